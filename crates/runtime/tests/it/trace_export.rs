//! Spans as a collector is sent them: which there are, how they hang together, and what becomes of them without a collector.

use flash_runtime::TraceExport;
use flash_testkit::receiver::{Delivery, Receiver};
use serde_json::{Value, json};

use crate::discovery::{Mothership, manifest};
use crate::metrics::sample;
use crate::traces::PARENT;
use crate::webhooks::{done, told};
use crate::world::{Endpoint, Project, eventually, function, route};

const UNSAMPLED: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

const CODE: &str = r#"
import pathlib, time
from tetra_rp import CpuLiveServerless, remote, trace

@remote(CpuLiveServerless(name="other"))
def look_elsewhere():
    raise AssertionError("runs elsewhere")

def look():
    return trace.current().traceparent if trace.current() else None

def item(id: int):
    return trace.current().traceparent

async def both():
    return await look_elsewhere()

def broken():
    raise ValueError("no")

async def parts(go: str):
    yield "first"
    while not pathlib.Path(go).exists():
        import asyncio
        await asyncio.sleep(0.01)
    yield "last"

def flaky(marker: str):
    path = pathlib.Path(marker)
    if not path.exists():
        path.touch()
        raise RuntimeError("once")
    return look()
"#;

fn functions() -> Value {
    json!([
        route("look", false, "POST", "/look"),
        route("item", false, "GET", "/items/{id:int}"),
        route("both", true, "POST", "/both"),
        route("broken", false, "POST", "/broken"),
        route("parts", true, "GET", "/parts"),
        function("flaky", false),
    ])
}

fn export(variables: &[(&str, &str)]) -> TraceExport {
    let of = |name: &str| {
        let found = variables.iter().find(|(there, _)| *there == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    TraceExport::of(of).unwrap().unwrap()
}

/// With a collector that answers with the given statuses, then with 200.
async fn project(kind: &str, statuses: &[u16]) -> (Project, Receiver) {
    let collector = Receiver::start(statuses).await;
    let mut project = Project::new(kind, CODE, functions());
    project.trace_export = Some(export(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=top%20secret"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team=red"),
    ]));
    (project, collector)
}

#[derive(Debug, Clone)]
struct Span {
    service: Value,
    span: Value,
}

impl Span {
    fn all(deliveries: &[Delivery]) -> Vec<Self> {
        let mut found = Vec::new();
        for delivery in deliveries {
            let body: Value = serde_json::from_str(&delivery.body).unwrap();
            let resource = &body["resourceSpans"][0];
            for span in resource["scopeSpans"][0]["spans"].as_array().unwrap() {
                found.push(Self { service: resource["resource"].clone(), span: span.clone() });
            }
        }
        found
    }

    fn text(&self, field: &str) -> &str {
        self.span[field].as_str().unwrap_or_default()
    }

    fn kind(&self) -> &str {
        match self.span["kind"].as_u64() {
            Some(1) => "internal",
            Some(2) => "server",
            Some(3) => "client",
            Some(5) => "consumer",
            _ => panic!("{self:?}"),
        }
    }

    fn attribute(&self, name: &str) -> String {
        value(&self.span["attributes"], name)
    }

    /// Of the service that it belongs to.
    fn of(&self, name: &str) -> String {
        value(&self.service["attributes"], name)
    }

    fn took_ns(&self) -> u128 {
        let time = |field| self.text(field).parse::<u128>().unwrap();
        time("endTimeUnixNano").checked_sub(time("startTimeUnixNano")).unwrap()
    }

    fn is_error(&self) -> bool {
        self.span["status"]["code"] == 2
    }
}

fn value(attributes: &Value, name: &str) -> String {
    let found = attributes.as_array().unwrap().iter().find(|attribute| attribute["key"] == name);
    let Some(found) = found else { return String::new() };
    let value = found["value"].as_object().unwrap().values().next().unwrap();
    value.as_str().unwrap().to_owned()
}

/// When there are so many, in the order of their begin.
async fn spans(collector: &Receiver, count: usize) -> Vec<Span> {
    let mut spans = eventually("spans", || async {
        let spans = Span::all(&collector.seen());
        if spans.len() >= count { Ok(spans) } else { Err(format!("{spans:?}")) }
    })
    .await;
    spans.sort_by_key(|span| span.text("startTimeUnixNano").to_owned());
    assert_eq!(spans.len(), count, "{spans:?}");
    spans
}

fn names(spans: &[Span]) -> Vec<(&str, &str)> {
    spans.iter().map(|span| (span.kind(), span.text("name"))).collect()
}

/// Whether each is below the one before it, the first below [`PARENT`].
fn are_a_chain(spans: &[Span]) -> bool {
    let mut above = "00f067aa0ba902b7";
    spans.iter().all(|span| {
        let is_below = span.text("parentSpanId") == std::mem::replace(&mut above, span.text("spanId"));
        is_below && span.text("traceId") == "4bf92f3577b34da6a3ce929d0e0e4736"
    })
}

async fn traced(endpoint: &Endpoint, path: &str, body: Value, traceparent: &str) -> Value {
    let request = endpoint.request("POST", path).header("traceparent", traceparent);
    endpoint.send(request.json(&body)).await.body
}

#[tokio::test]
async fn a_request_and_what_it_calls_are_one_chain_of_spans() {
    let code = format!("{CODE}\nlook_elsewhere = look\n");
    let (mut project, collector) = project("load_balanced", &[]).await;
    let mut callee = Project::new("queue", &code, json!([function("look_elsewhere", false)]));
    callee.trace_export.clone_from(&project.trace_export);
    let callee = callee.start().await;
    let mothership = Mothership::start(manifest(&[("other", "look_elsewhere", Some(&callee.url))])).await;
    project.mothership_url = Some(mothership.url.clone());
    let endpoint = project.start().await;

    let seen = traced(&endpoint, "/both", json!({}), PARENT).await;
    let found = spans(&collector, 5).await;
    let expected = [
        ("server", "POST /both"),
        ("internal", "call both"),
        ("client", "call look_elsewhere"),
        ("server", "POST /_flash/call/{function}"),
        ("internal", "call look_elsewhere"),
    ];
    assert_eq!(names(&found), expected);
    assert!(are_a_chain(&found), "{found:?}");
    let innermost = seen.as_str().unwrap().split('-').nth(2).unwrap();
    assert_eq!(found[4].text("spanId"), innermost, "what the function sees is its own span");
    assert!(found.iter().all(|span| !span.is_error() && span.took_ns() > 0));
    assert_eq!(found[0].attribute("http.response.status_code"), "200");
    assert_eq!(found[0].attribute("http.route"), "/both");
    let whose =
        ["service.name", "service.namespace", "deployment.environment.name", "service.instance.id", "team"];
    assert_eq!(whose.map(|name| found[0].of(name)), ["it", "a", "e", "it-1", "red"]);
    let delivery = &collector.seen()[0];
    assert_eq!(delivery.line, "POST /v1/traces HTTP/1.1");
    assert_eq!(
        (delivery.header("x-key"), delivery.header("content-type")),
        ("top secret", "application/json")
    );
}

#[tokio::test]
async fn who_asks_without_a_trace_begins_one_and_who_asked_for_none_gets_none() {
    let (project, collector) = project("load_balanced", &[]).await;
    let endpoint = project.start().await;
    // Not sampled where it came from.
    let unsampled = traced(&endpoint, "/look", json!({}), UNSAMPLED).await;
    assert!(unsampled.as_str().unwrap().ends_with("-00"), "{unsampled}");
    let seen = endpoint.get("/items/7?x=1").await.body;
    let found = spans(&collector, 2).await;
    assert_eq!(names(&found), [("server", "GET /items/{id:int}"), ("internal", "call item")]);
    assert_eq!((found[0].text("parentSpanId"), found[0].attribute("url.path")), ("", "/items/7".to_owned()));
    assert_eq!(seen, format!("00-{}-{}-03", found[1].text("traceId"), found[1].text("spanId")));
}

#[tokio::test]
async fn spans_say_what_went_wrong() {
    let (project, collector) = project("load_balanced", &[]).await;
    let endpoint = project.start().await;
    traced(&endpoint, "/broken", json!({}), PARENT).await;
    traced(&endpoint, "/nowhere", json!({}), PARENT).await;
    let found = spans(&collector, 3).await;
    let said: Vec<_> =
        found.iter().map(|span| (span.text("name"), span.is_error(), span.attribute("error.type"))).collect();
    let expected = [("POST /broken", true, "500"), ("call broken", true, "ValueError"), ("POST", false, "")];
    assert_eq!(said, expected.map(|(name, is_error, kind)| (name, is_error, kind.to_owned())));
    assert_eq!(found[2].attribute("http.response.status_code"), "404");
}

#[tokio::test]
async fn a_stream_s_spans_last_until_its_last_part() {
    let (project, collector) = project("load_balanced", &[]).await;
    let endpoint = project.start().await;
    let go = project.path("go");
    let path = format!("/parts?go={}", go.display());
    let mut whole = endpoint.request("GET", &path).send().await.unwrap();
    assert_eq!(whole.chunk().await.unwrap().unwrap(), "first");
    let mut left = endpoint.request("GET", &path).send().await.unwrap();
    assert_eq!(left.chunk().await.unwrap().unwrap(), "first");
    drop(left);
    // Of the one whose caller has left; the other has not ended.
    let found = spans(&collector, 2).await;
    assert_eq!(names(&found), [("server", "GET /parts"), ("internal", "call parts")]);
    assert_eq!((found[0].is_error(), found[0].attribute("error.type")), (true, "caller gone".to_owned()));
    std::fs::write(&go, "").unwrap();
    assert_eq!(whole.text().await.unwrap(), "last");
    let found = spans(&collector, 4).await;
    assert_eq!(names(&found[..2]), [("server", "GET /parts"), ("internal", "call parts")]);
    assert!(found[..2].iter().all(|span| !span.is_error()), "{found:?}");
}

#[tokio::test]
async fn every_attempt_of_a_job_and_its_webhook_is_a_span_below_its_submission() {
    let (project, collector) = project("queue", &[]).await;
    let endpoint = project.start().await;
    let receiver = Receiver::start(&[]).await;
    let job = json!({
        "input": {"function_name": "flaky", "kwargs": {"marker": "m"}}, "policy": {"maxRetries": 1}, "webhook": done(&receiver),
    });
    let id = traced(&endpoint, "/run", job, PARENT).await["id"].as_str().unwrap().to_owned();
    told(&receiver, 1).await;
    let found = spans(&collector, 4).await;
    let expected = [
        ("server", "POST /run"),
        ("consumer", "process job"),
        ("consumer", "process job"),
        ("client", "webhook"),
    ];
    assert_eq!(names(&found), expected);
    assert!(found[1..].iter().all(|span| span.text("parentSpanId") == found[0].text("spanId")), "{found:?}");
    assert!(found[1..].iter().all(|span| span.attribute("messaging.message.id") == id));
    let attempts =
        found[1..3].iter().map(|span| (span.attribute("flash.job.attempt"), span.attribute("error.type")));
    let attempts: Vec<_> = attempts.collect();
    assert_eq!(attempts, [("1".to_owned(), "RuntimeError".to_owned()), ("2".to_owned(), String::new())]);
    let traceparent = told(&receiver, 1).await[0].header("traceparent").to_owned();
    assert_eq!(traceparent.split('-').nth(2), Some(found[3].text("spanId")));
}

#[tokio::test]
async fn what_a_collector_refuses_for_now_is_sent_again() {
    let (project, collector) = project("load_balanced", &[503, 429]).await;
    let endpoint = project.start().await;
    traced(&endpoint, "/look", json!({}), PARENT).await;
    let deliveries = eventually("the same batch three times", || async {
        let seen = collector.seen();
        if seen.len() == 3 { Ok(seen) } else { Err(seen.len().to_string()) }
    })
    .await;
    assert!(deliveries.iter().all(|delivery| delivery.body == deliveries[0].body));
    assert_eq!(Span::all(&deliveries[..1]).len(), 2);
    eventually("them to be counted once", || async {
        let exported = sample(&endpoint, "/metrics", "flash_spans_exported_total").await;
        if exported == Some(2.0) { Ok(()) } else { Err(format!("{exported:?}")) }
    })
    .await;
    assert_eq!(sample(&endpoint, "/metrics", "flash_spans_dropped_total").await, Some(0.0));
}

#[tokio::test]
async fn calls_go_on_without_a_collector_and_lost_spans_are_counted() {
    let (project, collector) = project("load_balanced", &[400]).await;
    let endpoint = project.start().await;
    assert_ne!(traced(&endpoint, "/look", json!({}), PARENT).await, Value::Null);
    eventually("them to be counted", || async {
        let dropped = sample(&endpoint, "/metrics", "flash_spans_dropped_total").await;
        if dropped == Some(2.0) { Ok(()) } else { Err(format!("{dropped:?}")) }
    })
    .await;
    assert_eq!(collector.seen().len(), 1, "400 is final");
    drop(collector);
    assert_ne!(traced(&endpoint, "/look", json!({}), PARENT).await, Value::Null);
    endpoint.stop().await;
}

#[tokio::test]
async fn what_is_left_at_the_end_is_sent() {
    let (project, collector) = project("load_balanced", &[]).await;
    let endpoint = project.start().await;
    for _ in 0..3 {
        traced(&endpoint, "/look", json!({}), PARENT).await;
    }
    endpoint.stop().await;
    // Nobody is there any more who could send them later.
    assert_eq!(Span::all(&collector.seen()).len(), 6);
}

#[tokio::test]
async fn a_web_application_is_called_in_its_request_s_span() {
    let (mut project, collector) = project("load_balanced", &[]).await;
    let mut application = crate::web_application::project();
    application.trace_export = project.trace_export.take();
    let endpoint = application.start().await;
    let answer = endpoint.send(endpoint.request("GET", "/a/b").header("traceparent", PARENT)).await.body;
    let found = spans(&collector, 1).await;
    assert_eq!(names(&found), [("server", "GET")]);
    assert!(are_a_chain(&found));
    let span = found[0].text("spanId");
    assert_eq!(answer["traceparent"], format!("00-4bf92f3577b34da6a3ce929d0e0e4736-{span}-01"));
}
