//! Jobs that fail and are tried again by themselves.

use serde_json::{Value, json};

use crate::world::{Endpoint, Project, eventually, file_appears, function};

const CODE: &str = r#"
import os, pathlib, time

def begin(marker):
    path = pathlib.Path(marker)
    times = int(path.read_text() or 0) + 1 if path.exists() else 1
    path.write_text(str(times))
    return times

def flaky(marker: str, good: int):
    times = begin(marker)
    if times < good:
        raise RuntimeError(f"time {times}")
    return times

def slow(marker: str):
    if begin(marker) == 1:
        time.sleep(1000)
    return "in time"

def mortal(marker: str):
    if begin(marker) == 1:
        os._exit(3)
    return "alive"

def hold(marker: str):
    pathlib.Path(marker).touch()
    while not pathlib.Path("go").exists():
        time.sleep(0.01)
    raise RuntimeError("held")

def one():
    return 1
"#;

pub(crate) fn project() -> Project {
    let functions = ["flaky", "slow", "mortal", "hold", "one"].map(|name| function(name, false));
    Project::new("queue", CODE, json!(functions))
}

pub(crate) fn job(function: &str, kwargs: Value, policy: Value) -> Value {
    json!({"input": {"function_name": function, "kwargs": kwargs}, "policy": policy})
}

pub(crate) async fn submit(endpoint: &Endpoint, job: Value) -> String {
    let accepted = endpoint.post("/run", job).await;
    assert_eq!(accepted.status, 200, "{accepted:?}");
    accepted.body["id"].as_str().unwrap().to_owned()
}

async fn waiting_again(endpoint: &Endpoint, id: &str) -> Value {
    eventually("the job to wait for its next attempt", || async {
        let view = endpoint.get(&format!("/status/{id}")).await.body;
        if view["status"] == "IN_QUEUE" && view["retries"].is_u64() {
            Ok(view)
        } else {
            Err(view.to_string())
        }
    })
    .await
}

#[tokio::test]
async fn a_job_that_raises_times_out_or_loses_its_worker_is_tried_again() {
    let project = project();
    let endpoint = project.start().await;
    let flaky = job("flaky", json!({"marker": "f", "good": 3}), json!({"maxRetries": 2}));
    let slow = job("slow", json!({"marker": "s"}), json!({"maxRetries": 1, "executionTimeout": 5000}));
    let mortal = job("mortal", json!({"marker": "m"}), json!({"maxRetries": 1}));
    for (job, retries, output) in
        [(flaky, 2, json!(3)), (slow, 1, json!("in time")), (mortal, 1, json!("alive"))]
    {
        let id = submit(&endpoint, job).await;
        let view = endpoint.finished(&id).await;
        assert_eq!((&view["status"], &view["output"]), (&json!("COMPLETED"), &output), "{view}");
        assert_eq!((&view["retries"], &view["error"]), (&json!(retries), &Value::Null), "{view}");
    }
    let dead = endpoint.get("/dead").await.body;
    assert_eq!(dead, json!({"total": 0, "dead": []}), "they came to a good end");
}

#[tokio::test]
async fn what_cannot_fare_better_is_not_tried_again() {
    let project = project();
    let endpoint = project.start().await;
    for wrong in [
        job("flaky", json!({"wrong": 1}), json!({"maxRetries": 9})),
        job("none", json!({}), json!({"maxRetries": 9})),
    ] {
        let id = submit(&endpoint, wrong).await;
        let view = endpoint.finished(&id).await;
        assert_eq!((&view["status"], view.get("retries")), (&json!("FAILED"), None), "{view}");
    }
}

#[tokio::test]
async fn while_a_job_waits_for_its_next_attempt_others_run_and_it_can_be_cancelled() {
    let project = project();
    let endpoint = project.start().await;
    let id = submit(&endpoint, job("hold", json!({"marker": "held"}), json!({"maxRetries": 10}))).await;
    file_appears(&project.path("held")).await;
    std::fs::write(project.path("go"), "").unwrap();
    let view = waiting_again(&endpoint, &id).await;
    assert!(view["error"].as_str().unwrap().contains("held"), "{view}");
    let other = endpoint.post("/runsync", job("one", json!({}), json!({}))).await.body;
    assert_eq!(other["output"], 1, "{other}");
    let cancelled = endpoint.post(&format!("/cancel/{id}"), json!({})).await.body;
    assert_eq!(cancelled["status"], "CANCELLED");
    let retries = endpoint.get(&format!("/status/{id}")).await.body["retries"].clone();
    // Long enough for it to be due, and later jobs have run since.
    for _ in 0..3 {
        let id =
            submit(&endpoint, job("flaky", json!({"marker": "x", "good": 99}), json!({"maxRetries": 1})))
                .await;
        assert_eq!(endpoint.finished(&id).await["status"], "FAILED");
    }
    let view = endpoint.get(&format!("/status/{id}")).await.body;
    assert_eq!((&view["status"], &view["retries"]), (&json!("CANCELLED"), &retries), "{view}");
}

#[tokio::test]
async fn a_caller_waits_for_the_last_attempt_and_a_hard_end_in_between_loses_nothing() {
    let project = project();
    let endpoint = project.start().await;
    let flaky = job("flaky", json!({"marker": "f", "good": 3}), json!({"maxRetries": 5}));
    let view = endpoint.post("/runsync", flaky).await.body;
    assert_eq!((&view["output"], &view["retries"]), (&json!(3), &json!(2)), "{view}");

    let id =
        submit(&endpoint, job("flaky", json!({"marker": "g", "good": 4}), json!({"maxRetries": 5}))).await;
    waiting_again(&endpoint, &id).await;
    drop(endpoint);
    let endpoint = project.start().await;
    assert_eq!(endpoint.finished(&id).await["output"], 4);
}

#[tokio::test]
async fn what_the_old_version_failed_is_tried_again_by_the_new_one() {
    let mut project = project();
    project.version("it-1");
    let old = project.start().await;
    let id = submit(&old, job("hold", json!({"marker": "held"}), json!({"maxRetries": 5}))).await;
    file_appears(&project.path("held")).await;
    project.write_code(&CODE.replace(r#"raise RuntimeError("held")"#, r#"return "by the new one""#));
    project.version("it-2");
    let new = project.start().await;
    let first = new.post("/runsync", job("one", json!({}), json!({}))).await.body;
    assert_eq!(first["output"], 1, "it has the turn from here on: {first}");
    std::fs::write(project.path("go"), "").unwrap();
    let view = old.finished(&id).await;
    assert_eq!((&view["output"], &view["retries"]), (&json!("by the new one"), &json!(1)), "{view}");
    assert!(view["workerId"].as_str().unwrap().starts_with("it-2-"), "{view}");
}
