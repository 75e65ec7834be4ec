//! `flash test-mothership`: everything comes up, is called, and is gone.

use std::process::Stdio;

use rustix::process::Signal;

use crate::support::{Project, flash, is_alive, signal};

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

fn spawned(project: &Project) -> std::process::Child {
    flash(&project.root()).arg("test-mothership").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Returns once endpoints run.
fn until_endpoints(project: &Project, child: &mut std::process::Child) -> Vec<(String, u32)> {
    loop {
        let processes = project.throw_away_pids();
        if processes.len() == 2 {
            return processes;
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn every_function_is_called_beside_a_running_project_and_nothing_is_left() {
    let project = Project::of(&[("service.py", PROJECT)]);
    let mut running = project.run();
    running.until_ready().await;
    let processes = project.endpoint_pids();
    let (status, shown, notices) = project.shown(&["test-mothership", "--no-build"]);
    assert_eq!(status, 0, "{shown}{notices}");
    for part in [
        "tmp-api  value  GET /lb/api/value  answered in ",
        ": 200 \"one\"",
        "tmp-jobs  number  POST /v2/jobs/runsync  answered in ",
        ": COMPLETED 1",
        "2 of 2 endpoints up; 2 calls: 2 answered, 0 raised, 0 failed",
    ] {
        assert!(shown.contains(part), "{part:?} is not in:\n{shown}");
    }
    assert!(notices.contains("tmp-api ready") && notices.contains("removed project/tmp-"), "{notices}");
    assert!(!project.root().join(".flash/tmp").exists());
    assert_eq!(project.endpoint_pids(), processes, "the running project is not touched");
    let (status, _, notices) = project.shown(&["test-mothership", "--image", "x"]);
    assert_eq!(status, 1);
    assert!(notices.contains("--image is not needed any more"), "{notices}");
}

#[test]
fn what_raises_has_answered_and_what_dies_or_does_not_come_up_has_failed() {
    let raising = PROJECT.replace("return 1", "raise ValueError('no number')");
    let project = Project::of(&[("service.py", &raising)]);
    let (status, shown, notices) = project.shown(&["test-mothership"]);
    assert_eq!(status, 0, "{shown}{notices}");
    assert!(shown.contains("raised in ") && shown.contains("FAILED ValueError: no number"), "{shown}");

    let dying = PROJECT.replace("return 1", "import os; os._exit(7)");
    let broken = "import a_module_that_is_not_there\nfrom tetra_rp import CpuLiveServerless, remote\n\
                  broken = CpuLiveServerless(name=\"broken\")\n@remote(broken)\ndef never() -> int:\n    return 1\n";
    let project = Project::of(&[("service.py", &dying), ("broken.py", broken)]);
    let (status, shown, notices) = project.shown(&["test-mothership"]);
    assert_eq!(status, 1, "{shown}{notices}");
    assert!(
        notices.contains("error[FL416]: 2 of 3 endpoints up; 2 calls: 1 answered, 0 raised, 1 failed"),
        "{notices}"
    );
    assert!(shown.contains("tmp-broken failed"), "{shown}");
    assert!(shown.contains("a_module_that_is_not_there"), "{shown}");
    assert!(!project.root().join(".flash/tmp").exists());
}

#[test]
fn an_interrupted_test_removes_everything_and_a_killed_one_is_swept_by_the_next() {
    let project = Project::of(&[("service.py", PROJECT)]);
    let mut interrupted = spawned(&project);
    let processes = until_endpoints(&project, &mut interrupted);
    signal(interrupted.id(), Signal::INT);
    assert_eq!(interrupted.wait().unwrap().code(), Some(1));
    assert!(processes.iter().all(|(_, pid)| !is_alive(*pid)));
    assert!(!project.root().join(".flash/tmp").exists());

    let mut killed = spawned(&project);
    let left = until_endpoints(&project, &mut killed);
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(left.iter().all(|(_, pid)| is_alive(*pid)), "endpoints outlive their mothership");
    let (status, shown, notices) = project.shown(&["test-mothership", "--keep"]);
    assert_eq!(status, 0, "{shown}{notices}");
    assert!(notices.contains("and 2 endpoints, left by an earlier test"), "{notices}");
    assert!(left.iter().all(|(_, pid)| !is_alive(*pid)));
    assert_eq!(project.throw_away_pids(), [], "kept are folders, not processes");
    assert!(notices.contains("logs are in "), "{notices}");
    let (_, _, notices) = project.shown(&["test-mothership"]);
    assert!(notices.contains("left by an earlier test"), "what was kept goes too: {notices}");
    assert!(!project.root().join(".flash/tmp").exists());
}
