//! What workers may use, where the instance that their resource names is smaller than the machine.

use serde_json::{Value, json};

use crate::world::{Endpoint, Project, eventually, function};

const CODE: &str = r#"
import os, resource

def limits():
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    group = next((line for line in open("/proc/self/cgroup") if line.startswith("0::")), "")
    return {"data": soft, "group": group, "parent": os.getppid()}

def grow(size):
    return len(bytearray(size))
"#;

fn project() -> Project {
    let hardware = json!({"type": "cpu", "instanceIds": ["cpu3c-1-2"]});
    let functions = ["limits", "grow"].map(|name| function(name, false));
    Project::new("queue", CODE, json!(functions)).spec("hardware", hardware)
}

async fn run(endpoint: &Endpoint, function: &str, kwargs: Value) -> Value {
    let input = json!({"function_name": function, "kwargs": kwargs});
    endpoint.post("/runsync", json!({"input": input})).await.body
}

/// `/health` tells the truth about the worker that answers.
async fn agrees(endpoint: &Endpoint) -> Value {
    let said = endpoint.get("/health").await.body["worker_limits"].clone();
    let found = run(endpoint, "limits", json!({})).await["output"].clone();
    let is_grouped = found["group"].as_str().unwrap().contains("/flash-");
    match said["by"].as_str() {
        Some("rlimit") => assert_eq!(found["data"], said["memory_bytes"], "{said} {found}"),
        Some("cgroup") => assert!(is_grouped, "{said} {found}"),
        _ => assert!(!is_grouped && said["reason"].is_string(), "{said} {found}"),
    }
    found
}

#[tokio::test]
async fn what_is_said_to_apply_applies() {
    let project = project();
    let endpoint = project.start().await;
    agrees(&endpoint).await;
    let said = endpoint.get("/health").await.body["worker_limits"].clone();
    if said["by"] == "rlimit" {
        let view = run(&endpoint, "grow", json!({"size": said["memory_bytes"]})).await;
        assert_eq!(view["status"], "FAILED", "{view}");
        assert!(view["error"].as_str().unwrap().contains("MemoryError"), "{view}");
        assert_eq!(run(&endpoint, "grow", json!({"size": 100_000_000})).await["output"], 100_000_000);
    }
}

#[tokio::test]
async fn it_applies_to_forked_workers() {
    let project = project().spec("flashboot", json!(true)).spec("idleTimeout", json!(0));
    let endpoint = project.start().await;
    eventually("a forked worker to come", || async {
        let health = endpoint.get("/health").await.body;
        let is_idle = health["workers"]["ready"] == 0;
        if health["worker_start"]["by"] == "fork" && is_idle { Ok(()) } else { Err(health.to_string()) }
    })
    .await;
    assert_ne!(agrees(&endpoint).await["parent"], std::process::id());
}

#[tokio::test]
async fn it_can_be_switched_off() {
    let mut project = project();
    project.limits_workers = false;
    let endpoint = project.start().await;
    let said = endpoint.get("/health").await.body["worker_limits"].clone();
    assert_eq!(said, json!({"by": "none", "reason": "switched off"}));
    agrees(&endpoint).await;
}

#[tokio::test]
async fn a_gpu_resource_is_not_limited() {
    let hardware = json!({"type": "gpu", "gpus": ["ADA_24"], "gpuCount": 1, "cudaVersions": []});
    let project = project().spec("hardware", hardware);
    let endpoint = project.start().await;
    assert_eq!(endpoint.get("/health").await.body["worker_limits"]["by"], "none");
    agrees(&endpoint).await;
}
