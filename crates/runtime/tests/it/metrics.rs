use serde_json::{Value, json};

use crate::queue;
use crate::world::{Endpoint, Project, eventually, kill, route};

/// What a sample is now; `None` where there is none.
pub(crate) async fn sample(endpoint: &Endpoint, path: &str, line: &str) -> Option<f64> {
    let answer = endpoint.get(path).await;
    let text = answer.body.as_str().unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let (name, labels) = line.split_once('{').unwrap_or((line, ""));
    let labels: Vec<&str> =
        labels.trim_end_matches('}').split(',').filter(|label| !label.is_empty()).collect();
    let found = text.lines().find(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|label| line.contains(label))
    })?;
    assert!(found.contains("resource=\"") && found.contains("endpoint=\"it-1\""), "{found}");
    found.rsplit_once(' ')?.1.parse().ok()
}

#[tokio::test]
async fn requests_waits_runs_and_worker_ends_are_counted() {
    let code = "import os, time\ndef pid():\n    return os.getpid()\ndef nap():\n    time.sleep(0.3)\n";
    let functions = json!([route("pid", false, "GET", "/pid"), route("nap", false, "POST", "/nap")]);
    let project = Project::new("load_balanced", code, functions);
    let endpoint = project.start().await;
    for _ in 0..3 {
        assert_eq!(endpoint.get("/pid").await.status, 200);
    }
    assert_eq!(endpoint.get("/nowhere").await.status, 404);
    assert_eq!(endpoint.post("/nap", json!({})).await.status, 200);
    let now = async |line: &str| sample(&endpoint, "/metrics", line).await;
    assert_eq!(now("flash_requests_total{status=\"200\"}").await, Some(4.0));
    assert_eq!(now("flash_requests_total{status=\"404\"}").await, Some(1.0));
    assert_eq!(now("flash_call_execution_seconds_count").await, Some(4.0));
    assert!(now("flash_call_execution_seconds_sum").await.unwrap() >= 0.3);
    let waits = now("flash_call_queue_seconds_count").await.unwrap()
        + now("flash_call_cold_start_seconds_count").await.unwrap();
    assert_eq!(waits, 4.0, "each call waited, if only for no time");
    assert_eq!(now("flash_workers{state=\"idle\"}").await, Some(1.0));
    assert_eq!(now("flash_worker_exits_total{reason=\"crashed\"}").await, None);
    let pid = endpoint.worker_pid().await;
    kill(pid);
    eventually("another worker", || async {
        let now = endpoint.get("/pid").await.body;
        if now.as_i64().is_some_and(|now| now != i64::from(pid)) { Ok(()) } else { Err(now.to_string()) }
    })
    .await;
    assert_eq!(now("flash_worker_exits_total{reason=\"crashed\"}").await, Some(1.0));
    assert_eq!(now("flash_worker_starts_total").await, Some(2.0));
    let bytes = sample(&endpoint, "/_flash/metrics", "flash_sent_bytes_total").await;
    assert!(bytes.unwrap() > 0.0);
}

#[tokio::test]
async fn a_route_of_the_project_at_that_path_is_the_projects() {
    let code = "def metrics():\n    return {\"mine\": True}\n";
    let project = Project::new("load_balanced", code, json!([route("metrics", false, "GET", "/metrics")]));
    let endpoint = project.start().await;
    assert_eq!(endpoint.get("/metrics").await.body, json!({"mine": true}));
    assert_eq!(sample(&endpoint, "/_flash/metrics", "flash_requests_total{status=\"200\"}").await, Some(1.0));
}

#[tokio::test]
async fn jobs_are_counted_by_state() {
    let project = queue::project();
    let endpoint = project.start().await;
    let job = |function: &str, kwargs: Value| json!({"input": {"function_name": function, "kwargs": kwargs}});
    assert_eq!(endpoint.post("/runsync", job("double", json!({"x": 1}))).await.body["status"], "COMPLETED");
    assert_eq!(endpoint.post("/runsync", job("broken", json!({"text": "x"}))).await.body["status"], "FAILED");
    for (state, expected) in [("completed", 1.0), ("failed", 1.0), ("in_queue", 0.0)] {
        let line = format!("flash_jobs{{state=\"{state}\"}}");
        assert_eq!(sample(&endpoint, "/metrics", &line).await, Some(expected), "{state}");
    }
    assert_eq!(sample(&endpoint, "/metrics", "flash_job_age_seconds").await, Some(0.0));
    for _ in 0..2 {
        endpoint.post("/run", job("hang", json!({"marker": "m"}))).await;
    }
    eventually("the second one to wait", || async {
        let age = sample(&endpoint, "/metrics", "flash_job_age_seconds").await;
        if age > Some(0.0) { Ok(()) } else { Err(format!("{age:?}")) }
    })
    .await;
}
