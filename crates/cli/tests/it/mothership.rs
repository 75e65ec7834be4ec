//! `flash mothership`: two of them on one machine.

use serde_json::Value;

use crate::support::{Project, Running};

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

#[tokio::test]
async fn one_leads_the_other_follows_and_takes_over_what_runs() {
    let project = Project::of(&[("service.py", PROJECT)]);
    assert_eq!(project.shown(&["plan", "-o", "next.plan"]).0, 0);
    assert_eq!(project.shown(&["apply", "next.plan"]).0, 0);
    let processes = project.endpoint_pids();
    assert_eq!(processes.len(), 2);

    let mut first = Running::start_as("mothership", &project, &[], &[]);
    first.eventually("leading", |first| first.stderr().contains("leading with fence").then_some(()));
    let mut second = Running::start_as("mothership", &project, &[], &[]);
    second.eventually("following", |second| second.stderr().contains("following pid-").then_some(()));
    let manifests: [Value; 2] = [first.until_ready().await, second.until_ready().await];
    assert_eq!(manifests[0], manifests[1], "both serve what is stored");
    assert_eq!(second.get("/lb/api/value").await.json(), "one");

    first.kill_9();
    second.eventually("leading", |second| second.stderr().contains("leading with fence").then_some(()));
    let after = second.until_ready().await;
    assert_eq!(after["generation"], 1, "it applied nothing of its own");
    assert_eq!(project.endpoint_pids(), processes, "nothing was restarted");
    let (status, shown, notices) = project.shown(&["call", "number"]);
    assert_eq!((status, shown.as_str()), (0, "1\n"), "commands find who is left: {notices}");

    assert_eq!(second.interrupt().code(), Some(0));
    assert_eq!(project.endpoint_pids(), processes, "endpoints go on");
    assert_eq!(project.shown(&["status"]).0, 1, "nobody is left");
}
