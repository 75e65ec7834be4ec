//! Workers that are forked from a process that has loaded the code, and workers of code that cannot be forked.

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};

use crate::world::{Endpoint, Project, eventually, file_appears, function, process_ends};

const CODE: &str = r#"
import os, random, subprocess, time

with open("imports", "a") as imports:
    imports.write("x")

def who():
    return {"pid": os.getpid(), "parent": os.getppid(), "group": os.getpgid(0), "random": random.random()}

def die():
    os.abort()

def leave():
    child = subprocess.Popen(["sleep", "1000"])
    with open("new", "w") as file:
        file.write(str(child.pid))
    os.rename("new", "left")
    time.sleep(1000)
"#;

fn project(code: &str) -> Project {
    let functions = ["who", "die", "leave"].map(|name| function(name, false));
    // A worker that is not needed goes at once, so that the next call needs another.
    Project::new("queue", code, json!(functions)).spec("flashboot", json!(true)).spec("idleTimeout", json!(0))
}

async fn run(endpoint: &Endpoint, function: &str) -> Value {
    endpoint.post("/runsync", json!({"input": {"function_name": function, "kwargs": {}}})).await.body
}

async fn until_start_is(endpoint: &Endpoint, by: &str, reason: &str) {
    eventually("another way to start workers", || async {
        let start = endpoint.get("/health").await.body["worker_start"].clone();
        let is_so = start["by"] == by && start["reason"].as_str().unwrap_or_default().contains(reason);
        let metrics = endpoint.get("/metrics").await.body;
        let mut lines = metrics.as_str().unwrap().lines();
        let metric = lines.find(|line| line.starts_with("flash_worker_next_start{")).unwrap().to_owned();
        let says_so =
            metric.contains(&format!("by=\"{by}\"")) && metric.contains(reason) && metric.ends_with(" 1");
        let is_alone = !lines.any(|line| line.starts_with("flash_worker_next_start{"));
        if is_so && says_so && is_alone { Ok(()) } else { Err(format!("{start} {metric}")) }
    })
    .await;
}

async fn until_idle(endpoint: &Endpoint) {
    eventually("no worker left", || async {
        let workers = endpoint.get("/health").await.body["workers"].clone();
        if workers["ready"] == 0 && workers["initializing"] == 0 { Ok(()) } else { Err(workers.to_string()) }
    })
    .await;
}

async fn forking(project: &Project) -> Endpoint {
    let endpoint = project.start().await;
    until_start_is(&endpoint, "fork", "").await;
    until_idle(&endpoint).await;
    endpoint
}

#[tokio::test]
async fn a_forked_worker_has_the_code_and_a_life_of_its_own() {
    let project = project(CODE);
    let endpoint = forking(&project).await;
    let imports = std::fs::read_to_string(project.path("imports")).unwrap();
    let first = run(&endpoint, "who").await["output"].clone();
    until_idle(&endpoint).await;
    let second = run(&endpoint, "who").await["output"].clone();
    assert_ne!(first["pid"], second["pid"]);
    assert_eq!(first["parent"], second["parent"], "the template");
    assert_eq!(first["group"], first["pid"], "a group of its own");
    assert_ne!(first["random"], second["random"]);
    assert_eq!(
        std::fs::read_to_string(project.path("imports")).unwrap(),
        imports,
        "nothing is imported again"
    );
    eventually("the first one to be reaped", || async {
        let pid = Pid::from_raw(first["pid"].as_i64().unwrap() as i32).unwrap();
        if test_kill_process(pid).is_ok() { Err("there".to_owned()) } else { Ok(()) }
    })
    .await;
    endpoint.stop().await;
    process_ends(&second["pid"]).await;
    process_ends(&second["parent"]).await;
}

#[tokio::test]
async fn how_a_forked_worker_dies_is_told() {
    let project = project(CODE);
    let endpoint = forking(&project).await;
    let view = run(&endpoint, "die").await;
    assert_eq!(view["status"], "FAILED", "{view}");
    assert!(view["error"].as_str().unwrap().contains("signal 6 (SIGABRT)"), "{view}");
    assert!(run(&endpoint, "who").await["output"]["pid"].is_number());
}

#[tokio::test]
async fn what_user_code_starts_ends_with_a_forked_worker() {
    let project = project(CODE);
    let endpoint = forking(&project).await;
    let job = endpoint.post("/run", json!({"input": {"function_name": "leave", "kwargs": {}}})).await.body;
    let left: Value = file_appears(&project.path("left")).await.trim().parse::<i64>().unwrap().into();
    let cancelled = endpoint.post(&format!("/cancel/{}", job["id"].as_str().unwrap()), json!({})).await;
    assert_eq!(cancelled.body["status"], "CANCELLED", "{cancelled:?}");
    process_ends(&left).await;
}

#[tokio::test]
async fn a_template_that_dies_costs_nothing_and_comes_back() {
    let project = project(CODE);
    let endpoint = forking(&project).await;
    let template = run(&endpoint, "who").await["output"]["parent"].as_i64().unwrap();
    let kill = |pid: i64| kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::KILL).unwrap();
    kill(template);
    until_idle(&endpoint).await;
    let answer = run(&endpoint, "who").await;
    assert!(answer["output"]["pid"].is_number(), "{answer}");
    until_start_is(&endpoint, "fork", "").await;
    until_idle(&endpoint).await;
    let next = run(&endpoint, "who").await["output"]["parent"].as_i64().unwrap();
    assert_ne!(next, template);
}

#[tokio::test]
async fn code_that_cannot_be_forked_is_spawned_and_it_is_said_why() {
    let cases = [
        (
            "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n",
            "threads",
        ),
        ("import socket\nconnection = socket.socketpair()\n", "socket"),
        ("import asyncio\nloop = asyncio.new_event_loop()\n", "anon_inode"),
    ];
    for (danger, reason) in cases {
        let project = project(&format!("{danger}{CODE}"));
        let endpoint = project.start().await;
        until_start_is(&endpoint, "spawn", reason).await;
        let answer = run(&endpoint, "who").await;
        assert_eq!(answer["output"]["parent"], std::process::id(), "{answer}");
    }
}
