//! Hot reload: a saved file changes exactly what needs it.

use serde_json::{Value, json};

use crate::support::{Project, Running};

const ONE: &str = r#"
from tetra_rp import CpuLiveLoadBalancer, remote

one = CpuLiveLoadBalancer(name="one", workersMin=1, workersMax=1)

@remote(one, method="GET", path="/value")
async def value() -> str:
    return "old"
"#;

const TWO: &str = r#"
from tetra_rp import CpuLiveServerless, remote

two = CpuLiveServerless(name="two")

@remote(two)
def number() -> int:
    return 1
"#;

fn id<'a>(manifest: &'a Value, resource: &str) -> &'a Value {
    &manifest["resources"][resource]["endpoint_id"]
}

async fn value(running: &Running) -> Value {
    let answer = running.get("/lb/one/value").await;
    assert_eq!(answer.status, 200, "a change never shows as an error: {}", answer.text);
    answer.json()
}

#[tokio::test]
async fn a_saved_file_replaces_its_endpoint_without_a_failed_request() {
    let project = Project::of(&[("one.py", ONE), ("two.py", TWO)]);
    let mut running = project.run();
    let before = running.until_ready().await;
    assert_eq!(value(&running).await, "old");
    project.write("one.py", &ONE.replace("old", "new"));
    while value(&running).await != "new" {}
    let after = running.until_ready().await;
    assert_ne!(id(&after, "one"), id(&before, "one"));
    assert_eq!(id(&after, "two"), id(&before, "two"), "what did not change is not touched");

    project.write("two.py", &TWO.replace("return 1", "return 2"));
    let job = json!({"input": {"__empty": true}});
    while running.post("/v2/two/runsync", job.clone()).await.json()["output"] != 2 {}
    let after = running.until_ready().await;
    assert_ne!(id(&after, "two"), id(&before, "two"));
}

#[tokio::test]
async fn a_saved_mistake_changes_nothing_and_a_removed_file_removes_its_endpoint() {
    let project = Project::of(&[("one.py", ONE), ("two.py", TWO)]);
    let mut running = project.run();
    running.until_ready().await;
    project.write("one.py", "from tetra_rp import remote\ndef broken(:\n");
    running.eventually("said", |running| running.stderr().contains("goes on as it was").then_some(()));
    assert_eq!(value(&running).await, "old");
    assert!(running.stderr().contains("FL101"));
    project.write("one.py", ONE);
    std::fs::remove_file(project.root().join("two.py")).unwrap();
    running.eventually("removed", |running| (running.endpoint_pids().len() == 1).then_some(()));
    assert_eq!(value(&running).await, "old");
    assert_eq!(running.post("/v2/two/runsync", json!({"input": {}})).await.status, 404);
}

#[tokio::test]
async fn a_dependency_that_cannot_be_installed_leaves_the_old_code_running() {
    let project = Project::of(&[("two.py", TWO)]);
    let mut running = project.run();
    running.until_ready().await;
    let processes = running.endpoint_pids();
    let broken =
        TWO.replace("@remote(two)", "@remote(two, dependencies=[\"no-such-package-anywhere==0.0.1\"])");
    project.write("two.py", &broken);
    running.eventually("said", |running| running.stderr().contains("two failed").then_some(()));
    assert!(running.stderr().contains("no-such-package-anywhere"), "{}", running.stderr());
    let job = json!({"input": {"__empty": true}});
    assert_eq!(running.post("/v2/two/runsync", job).await.json()["output"], 1);
    assert_eq!(running.endpoint_pids(), processes);
    let manifest = running.get("/manifest").await.json();
    assert_eq!(manifest["resources"]["two"]["status"], "failed", "the change is not in, and says so");
    project.write("two.py", TWO);
    running.until_ready().await;
    assert_eq!(running.endpoint_pids(), processes, "a change taken back touches nothing");
}
