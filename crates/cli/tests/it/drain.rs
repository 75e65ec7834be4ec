//! What an endpoint has in hand when it is replaced or removed is finished, however long that takes, and once.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Project, Running};

const QUEUE: &str = r#"
import pathlib
import time

from tetra_rp import CpuLiveServerless, remote

work = CpuLiveServerless(name="work", workersMax=1)

@remote(work)
def run(hold: bool = False) -> int:
    if hold:
        with open("begun", "a") as begun:
            begun.write("x")
    while hold and not pathlib.Path("go").exists():
        time.sleep(0.01)
    return 1
"#;

const WEB: &str = r#"
import asyncio
import pathlib

from tetra_rp import CpuLiveLoadBalancer, remote

web = CpuLiveLoadBalancer(name="web", workersMin=1, workersMax=1)

@remote(web, method="GET", path="/value")
async def value(hold: bool = False) -> int:
    if hold:
        pathlib.Path("begun").touch()
    while hold and not pathlib.Path("go").exists():
        await asyncio.sleep(0.01)
    return 1
"#;

/// Longer than an endpoint may take that is told to end soon.
const LONG: Duration = Duration::from_secs(6);

async fn started(file: &str, code: &str) -> (Project, Running) {
    // Something has to be left where a resource is removed.
    let other = ["work", "web"].iter().fold(code.replace("def ", "def other_"), |other, name| {
        other.replace(&format!("\"{name}\""), "\"other\"")
    });
    let project = Project::of(&[(file, code), ("other.py", &other)]);
    let mut running = project.run();
    running.until_ready().await;
    (project, running)
}

fn begun(project: &Project, running: &mut Running) {
    running.eventually("begun", |_| project.root().join("begun").exists().then_some(()));
}

fn go(project: &Project) {
    fs::write(project.root().join("go"), "").unwrap();
}

fn folders(project: &Project) -> usize {
    fs::read_dir(project.root().join(".flash/run/endpoints")).unwrap().count()
}

async fn hold(running: &Running) -> String {
    let (status, accepted) = running.post("/v2/work/run", json!({"input": {"hold": true}})).await.parts();
    assert_eq!(status, 200, "{accepted}");
    accepted["id"].as_str().unwrap().to_owned()
}

async fn view(running: &Running, id: &str) -> Value {
    running.get(&format!("/v2/work/status/{id}")).await.json()
}

#[tokio::test]
async fn a_job_outlasts_the_change_of_its_endpoint_and_a_crash_of_the_mothership() {
    let (project, mut running) = started("work.py", QUEUE).await;
    let id = hold(&running).await;
    begun(&project, &mut running);
    project.write("work.py", &QUEUE.replace("return 1", "return 2"));
    while running.post("/v2/work/runsync", json!({"input": {}})).await.json()["output"] != 2 {}
    running.until_ready().await;
    running.kill_9();
    let mut running = project.run();
    running.until_ready().await;
    tokio::time::sleep(LONG).await;
    assert_eq!(view(&running, &id).await["status"], "IN_PROGRESS");
    assert_eq!(running.endpoint_pids().len(), 3, "the old version drains");
    go(&project);
    running.eventually("cleared away", |running| {
        (running.endpoint_pids().len() == 2 && folders(&project) == 2).then_some(())
    });
    let view = view(&running, &id).await;
    assert_eq!((&view["status"], &view["output"]), (&json!("COMPLETED"), &json!(1)), "{view}");
    assert_eq!(fs::read_to_string(project.root().join("begun")).unwrap(), "x", "it began once");
}

#[tokio::test]
async fn a_request_outlasts_the_removal_of_its_endpoint() {
    let (project, mut running) = started("web.py", WEB).await;
    let caller = running.get("/lb/web/value?hold=true");
    let (answer, ()) = tokio::join!(caller, async {
        while !project.root().join("begun").exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        fs::remove_file(project.root().join("web.py")).unwrap();
        while running.get("/lb/web/value").await.status != 404 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(LONG).await;
        go(&project);
    });
    assert_eq!(answer.parts(), (200, json!(1)));
    running.eventually("cleared away", |running| {
        (running.endpoint_pids().len() == 1 && folders(&project) == 1).then_some(())
    });
}

#[tokio::test]
async fn whoever_ends_everything_does_not_wait_for_what_drains() {
    let (project, mut running) = started("work.py", QUEUE).await;
    let id = hold(&running).await;
    begun(&project, &mut running);
    project.write("work.py", &QUEUE.replace("return 1", "return 2"));
    while running.post("/v2/work/runsync", json!({"input": {}})).await.json()["output"] != 2 {}
    assert_eq!(running.interrupt().code(), Some(0));
    assert_eq!(running.endpoint_pids(), []);
    go(&project);
    let mut running = project.run();
    running.until_ready().await;
    loop {
        let view = view(&running, &id).await;
        if view["status"] == "COMPLETED" {
            break assert_eq!(view["output"], 2, "what was cut off is run again: {view}");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(folders(&project), 2, "what is left of the old version is cleared away");
}
