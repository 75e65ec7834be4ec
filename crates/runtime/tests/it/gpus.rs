//! Which GPUs workers see. The machine is said to have some; nothing here touches one.

use flash_runtime::GpuSettings;
use serde_json::{Value, json};

use crate::world::{Endpoint, Project, eventually, function, kill};

const CODE: &str = r#"
import os, pathlib, time

def gpus():
    return os.environ.get("CUDA_VISIBLE_DEVICES")

def hold(marker):
    pathlib.Path(marker).write_text(gpus() or "none")
    while not pathlib.Path(marker + ".go").exists():
        time.sleep(0.01)

def pid():
    return os.getpid()

def origin():
    return {"parent": os.getppid(), "gpus": gpus()}
"#;

fn project(gpu_count: u32, machine: &GpuSettings) -> Project {
    let functions = ["gpus", "hold", "pid", "origin"].map(|name| function(name, false));
    let hardware = json!({"type": "gpu", "gpus": ["ADA_24"], "gpuCount": gpu_count, "cudaVersions": []});
    let mut project = Project::new("queue", CODE, json!(functions)).spec("hardware", hardware);
    project.gpus = machine.clone();
    project
}

fn machine(count: u32) -> (GpuSettings, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (GpuSettings { count: Some(count), visible: None, locks_dir: dir.path().join("gpus") }, dir)
}

async fn run(endpoint: &Endpoint, function: &str) -> Value {
    let view =
        endpoint.post("/runsync", json!({"input": {"function_name": function, "kwargs": {}}})).await.body;
    assert_eq!(view["status"], "COMPLETED", "{view}");
    view["output"].clone()
}

/// The GPUs of the worker that runs it, and holds them until the file beside the marker is there.
async fn hold(project: &Project, endpoint: &Endpoint, marker: &str) -> String {
    let input = json!({"function_name": "hold", "kwargs": {"marker": marker}});
    endpoint.post("/run", json!({"input": input})).await;
    written(project, marker).await
}

async fn written(project: &Project, marker: &str) -> String {
    eventually("the job to begin", || async {
        let text = std::fs::read_to_string(project.path(marker)).map_err(|error| error.to_string())?;
        if text.is_empty() { Err("empty".to_owned()) } else { Ok(text) }
    })
    .await
}

async fn until(endpoint: &Endpoint, what: &str, count: u64) {
    eventually("another number of workers", || async {
        let workers = endpoint.get("/health").await.body["workers"].clone();
        if workers[what] == count { Ok(()) } else { Err(workers.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn workers_of_one_endpoint_and_of_others_get_different_ones() {
    let (machine, _dir) = machine(4);
    let busy = json!({"type": "REQUEST_COUNT", "value": 1});
    let two = project(1, &machine).spec("workersMax", json!(2)).spec("scaler", busy);
    let endpoint = two.start().await;
    let mut seen = vec![hold(&two, &endpoint, "a").await, hold(&two, &endpoint, "b").await];
    let other = project(2, &machine);
    let other_endpoint = other.start().await;
    seen.push(run(&other_endpoint, "gpus").await.as_str().unwrap().to_owned());
    seen.sort();
    assert_eq!(seen, ["0", "1", "2,3"]);
}

#[tokio::test]
async fn another_worker_waits_until_one_is_free() {
    let (machine, _dir) = machine(1);
    let busy = json!({"type": "REQUEST_COUNT", "value": 1});
    let project = project(1, &machine).spec("workersMax", json!(2)).spec("scaler", busy);
    let endpoint = project.start().await;
    assert_eq!(hold(&project, &endpoint, "a").await, "0");
    let input = json!({"function_name": "hold", "kwargs": {"marker": "b"}});
    endpoint.post("/run", json!({"input": input})).await;
    until(&endpoint, "throttled", 1).await;
    assert_eq!(endpoint.get("/health").await.body["workers"]["initializing"], 0);
    assert!(!project.path("b").exists());
    std::fs::write(project.path("a.go"), "").unwrap();
    assert_eq!(written(&project, "b").await, "0");
}

#[tokio::test]
async fn a_killed_workers_gpu_is_the_next_ones() {
    let (machine, _dir) = machine(2);
    let project = project(2, &machine);
    let endpoint = project.start().await;
    assert_eq!(run(&endpoint, "gpus").await, "0,1");
    kill(run(&endpoint, "pid").await.as_i64().unwrap() as i32);
    eventually("the next worker", || async {
        let view =
            endpoint.post("/runsync", json!({"input": {"function_name": "gpus", "kwargs": {}}})).await.body;
        if view["output"] == "0,1" { Ok(()) } else { Err(view.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn a_new_version_shares_what_the_old_one_has_until_it_is_gone() {
    let (machine, _dir) = machine(1);
    let (old, new) = (project(1, &machine), project(1, &machine));
    let old = old.start().await;
    let new = new.start().await;
    assert_eq!(run(&old, "gpus").await, "0");
    assert_eq!(run(&new, "gpus").await, "0");
}

#[tokio::test]
async fn a_forked_worker_has_its_own() {
    let (machine, _dir) = machine(2);
    let project = project(1, &machine).spec("flashboot", json!(true)).spec("idleTimeout", json!(0));
    let endpoint = project.start().await;
    eventually("a template", || async {
        let health = endpoint.get("/health").await.body;
        if health["worker_start"]["by"] == "fork" { Ok(()) } else { Err(health.to_string()) }
    })
    .await;
    until(&endpoint, "ready", 0).await;
    let taken = std::fs::File::open(machine.locks_dir.join("0")).unwrap();
    taken.try_lock().unwrap();
    let origin = run(&endpoint, "origin").await;
    assert_ne!(origin["parent"], std::process::id(), "forked");
    assert_eq!(origin["gpus"], "1");
}

#[tokio::test]
async fn without_gpus_or_with_a_say_of_its_own_nothing_is_set() {
    let (none, _dir) = machine(0);
    let endpoint = project(1, &none).start().await;
    assert_eq!(run(&endpoint, "gpus").await, Value::Null);
    let (some, _dir) = machine(2);
    let endpoint = project(1, &some).spec("env", json!(["CUDA_VISIBLE_DEVICES"])).start().await;
    assert_eq!(run(&endpoint, "gpus").await, Value::Null, "as the endpoint has it, which here has none");
}
