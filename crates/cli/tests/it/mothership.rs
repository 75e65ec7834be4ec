//! `flash mothership`: two of them on one machine.

use serde_json::Value;

use rustix::process::Signal;

use crate::support::{Project, Running, signal};

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

#[tokio::test]
async fn a_run_says_once_whom_it_follows_and_once_that_it_takes_over() {
    let project = Project::of(&[("service.py", PROJECT)]);
    assert_eq!(project.shown(&["plan", "-o", "next.plan"]).0, 0);
    assert_eq!(project.shown(&["apply", "next.plan"]).0, 0);
    let mut leader = Running::start_as("mothership", &project, &[], &[]);
    leader.eventually("leading", |leader| leader.stderr().contains("leading with fence").then_some(()));
    let mut follower = project.run();
    let following = "(flash mothership), which has led since 20";
    follower.eventually("following", |follower| follower.stderr().contains(following).then_some(()));
    assert!(follower.stderr().contains("takes over when that lease ends"), "{}", follower.stderr());

    leader.kill_9();
    follower.eventually("leading", |follower| follower.stderr().contains("leading with fence").then_some(()));
    follower.until_ready().await;
    let said = follower.stderr();
    assert_eq!(
        (said.matches(following).count(), said.matches("leading with fence").count()),
        (1, 1),
        "{said}"
    );
    assert!(follower.interrupt().success());
}

#[tokio::test]
async fn a_change_goes_to_whoever_leads_past_one_that_follows_or_hangs() {
    let project = Project::of(&[("service.py", PROJECT)]);
    assert_eq!(project.shown(&["plan", "-o", "next.plan"]).0, 0);
    assert_eq!(project.shown(&["apply", "next.plan"]).0, 0);
    let mut leader = Running::start_as("mothership", &project, &[], &[]);
    leader.eventually("leading", |leader| leader.stderr().contains("leading with fence").then_some(()));
    // Holds the project's lock, so it is asked first.
    let mut first = Running::start(&project, &[]);
    first.until_ready().await;

    project
        .write("service.py", &PROJECT.replace("name=\"jobs\", workersMax=1", "name=\"jobs\", workersMax=3"));
    assert_eq!(project.shown(&["plan", "-o", "next.plan"]).0, 0);
    let (status, _, notices) = project.shown(&["apply", "next.plan"]);
    assert_eq!(status, 0, "{notices}");
    assert!(notices.contains(&format!("applied by {}", leader.url)), "{notices}");

    signal(first.child.id(), Signal::STOP);
    let (status, _, notices) = project.shown(&["rollback"]);
    assert_eq!(status, 0, "{notices}");
    assert!(notices.contains(&format!("{} does not answer", first.url)), "{notices}");
    let (status, shown, notices) = project.shown(&["status"]);
    assert!(status == 0 && shown.contains(&leader.url), "{shown}{notices}");

    signal(leader.child.id(), Signal::STOP);
    let (status, _, notices) = project.shown(&["rollback"]);
    assert_eq!(status, 1);
    assert!(notices.contains("nothing was changed"), "{notices}");
    for running in [&first, &leader] {
        signal(running.child.id(), Signal::CONT);
    }
}
