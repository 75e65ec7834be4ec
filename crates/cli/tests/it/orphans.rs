//! `flash state orphans`: endpoints that no record names.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Project, is_alive};

const PROJECT: &str = r#"
from tetra_rp import CpuLiveLoadBalancer, CpuLiveServerless, remote

api = CpuLiveLoadBalancer(name="api", workersMin=1, workersMax=1)
jobs = CpuLiveServerless(name="jobs", workersMax=1)

@remote(api, method="GET", path="/value")
async def value() -> str:
    return "one"

@remote(jobs)
def number() -> int:
    return 1
"#;

const ORPHANS: [&str; 2] = ["state", "orphans"];

fn listed(project: &Project) -> Vec<Value> {
    let (status, shown, notices) = project.shown(&[&ORPHANS[..], &["--json"]].concat());
    assert_eq!(status, 0, "{notices}");
    let list: Value = serde_json::from_str(&shown).unwrap();
    list["orphans"].as_array().unwrap().clone()
}

fn applied() -> Project {
    let project = Project::of(&[("service.py", PROJECT)]);
    assert_eq!(project.shown(&["plan", "-o", "next.plan"]).0, 0);
    let (status, _, notices) = project.shown(&["apply", "next.plan"]);
    assert_eq!(status, 0, "{notices}");
    project
}

#[test]
fn what_a_lost_state_leaves_is_listed_and_goes_only_with_consent() {
    let project = applied();
    assert_eq!(listed(&project), Vec::<Value>::new(), "what is recorded is no orphan");
    for file in ["state.sqlite", "state.sqlite-wal", "state.sqlite-shm"] {
        let _ = fs::remove_file(project.root().join(".flash/run").join(file));
    }
    let orphans = listed(&project);
    assert_eq!(orphans.len(), 2);
    assert_eq!(orphans[0]["resource"], "api");
    assert_eq!(orphans[0]["phase"], "running");
    assert!(orphans[0]["why"].as_str().unwrap().contains("no state here"));
    assert!(orphans[0]["started_ms"].as_u64().unwrap() > 0);
    let processes = project.endpoint_pids();

    let (status, _, notices) = project.shown(&[&ORPHANS[..], &["--delete"]].concat());
    assert_eq!(status, 1);
    assert!(notices.contains("error[FL415]"), "{notices}");
    assert!(notices.contains("is named with --state, and may want them"), "{notices}");
    assert_eq!(project.endpoint_pids(), processes);
    let (status, _, notices) = project.shown(&[&ORPHANS[..], &["--delete", "--yes"]].concat());
    assert_eq!(status, 0, "{notices}");
    assert!(processes.iter().all(|(_, pid)| !is_alive(*pid)));
    assert_eq!(listed(&project), Vec::<Value>::new());
    assert_eq!(project.shown(&[&ORPHANS[..], &["--yes"]].concat()).0, 2, "--yes to what?");
}

#[tokio::test]
async fn a_record_protects_its_own_and_a_running_mothership_is_not_acted_beside() {
    let project = applied();
    // A second endpoint of a resource that is recorded as another, of a state that knows it: surplus.
    let endpoints = project.root().join(".flash/run/endpoints");
    let (id, _) = project.endpoint_pids()[0].clone();
    let request: Value =
        serde_json::from_slice(&fs::read(endpoints.join(&id).join("request.json")).unwrap()).unwrap();
    let leave = |name: &str, environment: &str| {
        let mut request = request.clone();
        request["endpoint_id"] = json!(name);
        request["idempotency_key"] = json!(name);
        request["owner"]["scope"]["environment"] = json!(environment);
        project.write(&format!(".flash/run/endpoints/{name}/request.json"), &request.to_string());
    };
    leave("surplus-1", "dev");
    leave("elsewhere-1", "old");
    project.write(".flash/run/endpoints/damaged-1/request.json", "{");
    let orphans = listed(&project);
    let found: Vec<(&str, &str)> = orphans
        .iter()
        .map(|one| (one["endpoint_id"].as_str().unwrap(), one["why"].as_str().unwrap()))
        .collect();
    let recorded = format!("api is recorded as {id}");
    let no_state = "its app and environment have no state here";
    assert_eq!(found, [("elsewhere-1", no_state), ("surplus-1", recorded.as_str())], "unknown is no orphan");

    let running = project.run();
    let (status, _, notices) = project.shown(&[&ORPHANS[..], &["--delete", "--yes"]].concat());
    assert_eq!(status, 1, "{notices}");
    assert!(notices.contains("error[FL205]"), "of another state, perhaps: {notices}");
    assert!(endpoints.join("elsewhere-1").exists());
    assert!(endpoints.join(&id).exists());
    drop(running);
}
