//! A trace through the front door, two endpoints and a job, as `flash logs` shows it.

use flash_testkit::receiver::Receiver;
use serde_json::{Value, json};

use crate::support::{Project, Running};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CODE: &str = r#"
from tetra_rp import CpuLiveServerless, LiveLoadBalancer, remote, trace

api = LiveLoadBalancer(name="api")
work = CpuLiveServerless(name="work")

@remote(work)
async def seen() -> str | None:
    now = trace.current()
    print("seen", flush=True)
    return now and now.traceparent

@remote(api, method="POST", path="/both")
async def both() -> list:
    now = trace.current()
    return [now and now.traceparent, await seen()]
"#;

async fn post(running: &Running, path: &str, body: Value) -> Value {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(format!("{}{path}", running.url));
    let request = request.header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"));
    request.json(&body).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn a_trace_goes_through_the_front_door_and_two_endpoints_and_is_in_the_log() {
    let project = Project::of(&[("main_api.py", CODE)]);
    let mut running = project.run();
    running.until_ready().await;
    let seen = post(&running, "/lb/api/both", json!({})).await;
    let job = post(&running, "/v2/work/runsync", json!({"input": {}})).await;
    let mut spans: Vec<&str> = Vec::new();
    for traceparent in [&seen[0], &seen[1], &job["output"]] {
        let traceparent = traceparent.as_str().unwrap_or_else(|| panic!("{seen} {job}"));
        let (trace, span) = traceparent.strip_prefix("00-").unwrap().split_once('-').unwrap();
        assert_eq!(trace, TRACE);
        assert!(span.ends_with("-01") && !spans.contains(&span), "{traceparent}");
        spans.push(span);
    }
    assert_eq!(running.post("/lb/api/both", json!({})).await.json(), json!([null, null]));
    let traces = running.eventually("three lines in the log", |_| {
        let (_, lines, _) = project.shown(&["logs", "work", "--json"]);
        let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let traces: Vec<Value> =
            lines.filter(|line| line["text"] == "seen").map(|line| line["trace"].clone()).collect();
        (traces.len() == 3).then_some(traces)
    });
    assert_eq!(traces, [json!(TRACE), json!(TRACE), Value::Null]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_collector_of_the_environment_is_sent_the_spans_of_all_endpoints_and_no_other_hears_of_its_key() {
    const KEY: &str = "s3cret-of-the-collector";
    let collector = Receiver::start(&[]).await;
    let project = Project::of(&[("main_api.py", CODE)]);
    let headers = format!("x-key={KEY}");
    let environment =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()), ("OTEL_EXPORTER_OTLP_HEADERS", &headers)];
    let mut running = Running::start(&project, &environment);
    running.until_ready().await;
    post(&running, "/lb/api/both", json!({})).await;
    let services = running.eventually("spans of both endpoints", |_| {
        let mut services: Vec<String> = Vec::new();
        for delivery in collector.seen() {
            assert_eq!(delivery.header("x-key"), KEY);
            let body: Value = serde_json::from_str(&delivery.body).unwrap();
            let attributes = body["resourceSpans"][0]["resource"]["attributes"].clone();
            assert_eq!(attributes[0]["key"], "service.name");
            services.push(attributes[0]["value"]["stringValue"].as_str().unwrap().to_owned());
        }
        services.sort_unstable();
        services.dedup();
        (services == ["api", "work"]).then_some(services)
    });
    assert_eq!(services.len(), 2);
    assert!(!project.everything_written().contains(KEY));
}

#[tokio::test]
async fn a_wrong_variable_of_the_export_ends_no_endpoint_and_is_named_in_its_log() {
    let project = Project::of(&[("main_api.py", CODE)]);
    let mut running = Running::start(&project, &[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")]);
    running.until_ready().await;
    let (_, lines, _) = project.shown(&["logs", "api"]);
    assert!(lines.contains("OTEL_EXPORTER_OTLP_ENDPOINT is not an http or https URL with a host"), "{lines}");
}
