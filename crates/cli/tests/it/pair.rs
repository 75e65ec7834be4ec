//! Two motherships of one project whose state is in PostgreSQL: the leader is killed, and stopped past its lease.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use flash_testkit::postgres::Server;
use rustix::process::Signal;
use serde_json::json;

use crate::support::{Project, Running, is_alive, signal};

const RESOURCES: usize = 4;

fn project(version: u32) -> String {
    let mut source = "from tetra_rp import CpuLiveServerless, remote\n".to_owned();
    for number in 0..RESOURCES {
        source.push_str(&format!(
            "\n@remote(CpuLiveServerless(name=\"job-{number}\", workersMax=1))\n\
             def run_{number}(x: int) -> int:\n    return {version} * x\n"
        ));
    }
    source
}

fn until_leading(running: &mut Running, times: usize) {
    running.eventually("leading", |running| {
        (running.stderr().matches("leading with fence").count() >= times).then_some(())
    });
}

async fn call(running: &Running, number: usize) -> serde_json::Value {
    running.post(&format!("/v2/job-{number}/runsync"), json!({"input": {"x": 1}})).await.json()
}

#[tokio::test]
async fn a_leader_that_is_killed_or_stopped_is_followed_and_nothing_is_made_twice() {
    let server = tokio::task::spawn_blocking(Server::start).await.unwrap();
    let url = server.uri("postgres");
    let environment = [("FLASH_STATE_URL", url.as_str())];
    let project = {
        let first = project(1);
        Project::of(&[("jobs.py", first.as_str())])
    };
    // Whoever provisions is killed at once: its endpoints are left.
    let mut maker = Running::start(&project, &environment);
    maker.until_ready().await;
    maker.kill_9();

    let start = || Running::start_as("mothership", &project, &[], &environment);
    let mut first = start();
    until_leading(&mut first, 1);
    first.until_ready().await;
    let mut second = start();
    second.eventually("following", |second| second.stderr().contains("following pid-").then_some(()));
    let manifests = [first.until_ready().await, second.until_ready().await];
    assert_eq!(manifests[0], manifests[1], "both serve the shared state");
    let processes: BTreeSet<_> = project.endpoint_pids().into_iter().collect();
    assert_eq!(processes.len(), RESOURCES);

    // Killed: the other takes over within the lease, and what runs goes on.
    first.kill_9();
    until_leading(&mut second, 1);
    assert_eq!(second.until_ready().await, manifests[0]);
    assert_eq!(project.endpoint_pids().into_iter().collect::<BTreeSet<_>>(), processes);

    // Stopped in the middle of things: it is followed, and when it wakes up it changes nothing and follows.
    let mut third = start();
    third.eventually("following", |third| third.stderr().contains("following pid-").then_some(()));
    let victim = processes.first().unwrap().1;
    signal(second.child.id(), Signal::STOP);
    signal(victim, Signal::KILL);
    until_leading(&mut third, 1);
    let after = third.eventually("started again", |_| {
        let pids: BTreeSet<_> = project.endpoint_pids().into_iter().collect();
        (pids.len() == RESOURCES && !is_alive(victim)).then_some(pids)
    });
    third.until_ready().await;
    signal(second.child.id(), Signal::CONT);
    second.eventually("following the other", |second| {
        (second.stderr().matches("following").count() >= 2).then_some(())
    });
    // It serves what was written meanwhile once it has looked.
    let deadline = Instant::now() + Duration::from_secs(60);
    while second.until_ready().await != third.until_ready().await {
        assert!(Instant::now() < deadline, "they never serve the same");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(project.endpoint_pids().into_iter().collect::<BTreeSet<_>>(), after, "it touched nothing");
    for number in 0..RESOURCES {
        let answers = [call(&second, number).await, call(&third, number).await];
        assert!(answers.iter().all(|answer| answer["output"] == json!(1)), "{answers:#?}");
    }
    for running in [&mut second, &mut third] {
        assert_eq!(running.interrupt().code(), Some(0));
    }
}
