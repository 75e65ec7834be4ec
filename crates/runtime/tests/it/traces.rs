//! W3C trace context, from a request through its calls and jobs to whoever they call.

use flash_model::TraceContext;
use flash_model::wire::LogLine;
use flash_runtime::LogReader;
use flash_testkit::receiver::Receiver;
use serde_json::{Value, json};

use crate::discovery::{Mothership, manifest};
use crate::webhooks::{done, told};
use crate::world::{Endpoint, Project, Response, eventually, file_appears, function, route};

pub(crate) const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const STATE: &str = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE";

const CODE: &str = r#"
import asyncio, pathlib, time
from tetra_rp import CpuLiveServerless, remote, trace

@remote(CpuLiveServerless(name="other"))
def look_elsewhere():
    raise AssertionError("runs elsewhere")

def look():
    now = trace.current()
    if now:
        print("in a trace")
    return now and [now.traceparent, now.tracestate]

async def both():
    return [look(), await look_elsewhere()]

def both_sync():
    return [look(), asyncio.run(look_elsewhere())]

def once(marker: str):
    path = pathlib.Path(marker)
    if path.exists():
        return look()
    path.write_text("begun")
    time.sleep(1000)
"#;

fn project(kind: &str) -> Project {
    let functions = json!([
        route("look", false, "POST", "/look"),
        route("both", true, "POST", "/both"),
        route("both_sync", false, "POST", "/both_sync"),
        function("once", false),
    ]);
    Project::new(kind, CODE, functions)
}

async fn traced(endpoint: &Endpoint, path: &str, body: Value, traceparent: &str) -> Response {
    let request = endpoint.request("POST", path).header("traceparent", traceparent);
    endpoint.send(request.header("tracestate", STATE).json(&body)).await
}

/// What a function saw, which must be a step of its own in the trace of [`PARENT`].
fn in_trace(seen: &Value) -> TraceContext {
    let context = TraceContext::parse(seen[0].as_str().unwrap_or_else(|| panic!("{seen}"))).unwrap();
    let parent = TraceContext::parse(PARENT).unwrap();
    assert_eq!((context.trace(), context.is_sampled()), (parent.trace(), true), "{seen}");
    assert_ne!(context.span(), parent.span());
    assert_eq!(seen[1], STATE);
    context
}

fn job(function: &str, kwargs: Value) -> Value {
    json!({"input": {"function_name": function, "kwargs": kwargs}})
}

#[tokio::test]
async fn functions_see_their_requests_trace_and_only_where_there_is_one() {
    let project = project("load_balanced");
    let endpoint = project.start().await;
    assert_eq!(endpoint.post("/look", json!({})).await.body, Value::Null);
    let first = in_trace(&traced(&endpoint, "/look", json!({}), PARENT).await.body);
    let second = in_trace(&traced(&endpoint, "/look?a=1", json!({}), PARENT).await.body);
    assert_ne!(first.span(), second.span());
    in_trace(&traced(&endpoint, "/_flash/call/look", json!({}), PARENT).await.body);
    // What cannot be read begins another trace, without the state of the first.
    let begun = traced(&endpoint, "/look", json!({}), "00-nonsense-01").await.body;
    let context = TraceContext::parse(begun[0].as_str().unwrap()).unwrap();
    assert_ne!(context.trace(), first.trace());
    assert_eq!((context.is_sampled(), &begun[1]), (false, &json!("")));
    assert_eq!(endpoint.post("/look", json!({})).await.body, Value::Null);
}

#[tokio::test]
async fn what_a_call_prints_names_its_trace() {
    let project = project("load_balanced");
    let endpoint = project.start().await;
    let context = in_trace(&traced(&endpoint, "/look", json!({}), PARENT).await.body);
    let line: LogLine = eventually("the line", || async {
        let mut found = None;
        let read = LogReader::new(&project.path("endpoint")).read(|_, line| {
            if line.text == "in a trace" {
                found = Some(line);
            }
        });
        read.unwrap();
        found.ok_or_else(|| "not there".to_owned())
    })
    .await;
    assert_eq!(line.trace, Some(context.trace().to_string()));
    assert!(line.request.is_some(), "{line:?}");
}

#[tokio::test]
async fn one_trace_goes_through_two_endpoints() {
    // There it is a function of its own.
    let code = format!("{CODE}\nlook_elsewhere = look\n");
    let callee = Project::new("queue", &code, json!([function("look_elsewhere", false)]));
    let callee = callee.start().await;
    let mothership = Mothership::start(manifest(&[("other", "look_elsewhere", Some(&callee.url))])).await;
    let mut project = project("load_balanced");
    project.mothership_url = Some(mothership.url.clone());
    let endpoint = project.start().await;
    for path in ["/both", "/both_sync"] {
        let seen = traced(&endpoint, path, json!({}), PARENT).await.body;
        assert_ne!(in_trace(&seen[0]).span(), in_trace(&seen[1]).span(), "{seen}");
        assert_eq!(endpoint.post(path, json!({})).await.body, json!([null, null]));
    }
}

#[tokio::test]
async fn a_job_keeps_its_submitters_trace_over_a_hard_end_and_its_webhook_carries_it() {
    let receiver = Receiver::start(&[]).await;
    let project = project("queue");
    let endpoint = project.start().await;
    let mut running = job("once", json!({"marker": "m"}));
    running["webhook"] = json!(done(&receiver));
    let accepted = traced(&endpoint, "/run", running, PARENT).await.body;
    file_appears(&project.path("m")).await;
    let waiting = traced(&endpoint, "/run", job("look", json!({})), PARENT).await.body;
    let untraced = endpoint.post("/run", job("look", json!({}))).await.body;
    drop(endpoint);
    let endpoint = project.start().await;
    for accepted in [&accepted, &waiting] {
        let view = endpoint.finished(accepted["id"].as_str().unwrap()).await;
        in_trace(&view["output"]);
    }
    let view = endpoint.finished(untraced["id"].as_str().unwrap()).await;
    assert_eq!(view["output"], Value::Null, "{view}");
    let delivered = told(&receiver, 1).await;
    in_trace(&json!([delivered[0].header("traceparent"), delivered[0].header("tracestate")]));
}
