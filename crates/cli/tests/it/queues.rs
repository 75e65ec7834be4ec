//! A queue is its resource's: it outlives endpoints, versions of the code and of Flash, and goes with the resource.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Project, Running, signal};

const CODE: &str = r#"
import pathlib
import time

from tetra_rp import CpuLiveServerless, remote

work = CpuLiveServerless(name="work", workersMax=1)

@remote(work)
def run(wait_for: str = "") -> int:
    pathlib.Path("begun").touch()
    while wait_for and not pathlib.Path(wait_for).exists():
        time.sleep(0.01)
    return 1
"#;

fn job(wait_for: &str) -> Value {
    json!({"input": {"wait_for": wait_for}})
}

async fn submit(running: &Running, wait_for: &str) -> String {
    let (status, accepted) = running.post("/v2/work/run", job(wait_for)).await.parts();
    assert_eq!(status, 200, "{accepted}");
    accepted["id"].as_str().unwrap().to_owned()
}

async fn view(running: &Running, id: &str) -> Value {
    let (status, view) = running.get(&format!("/v2/work/status/{id}")).await.parts();
    assert_eq!(status, 200, "a job that was accepted is always known: {view}");
    view
}

/// What the job's function gave, when it has ended.
async fn output(running: &Running, id: &str) -> Value {
    loop {
        let view = view(running, id).await;
        match view["status"].as_str() {
            Some("IN_QUEUE" | "IN_PROGRESS") => {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await
            }
            Some("COMPLETED") => return view["output"].clone(),
            _ => panic!("{view}"),
        }
    }
}

fn queues(project: &Project) -> Vec<PathBuf> {
    let entries = fs::read_dir(project.root().join(".flash/run/queues")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

async fn started() -> (Project, Running, Value) {
    let project = Project::of(&[("work.py", CODE)]);
    let mut running = project.run();
    let manifest = running.until_ready().await;
    (project, running, manifest)
}

#[tokio::test]
async fn a_change_finishes_what_was_begun_and_loses_no_job() {
    let (project, mut running, before) = started().await;
    let begun = submit(&running, "go").await;
    running.eventually("begun", |_| project.root().join("begun").exists().then_some(()));
    let mut jobs = vec![submit(&running, "").await];
    let caller = running.post("/v2/work/runsync", job(""));
    project.write("work.py", &CODE.replace("return 1", "return 2"));
    let (answer, after) = tokio::join!(caller, async {
        // Accepted at every moment of the change.
        loop {
            jobs.push(submit(&running, "").await);
            let manifest = running.get("/manifest").await.json();
            let resource = manifest["resources"]["work"].clone();
            if resource["endpoint_id"] != before["resources"]["work"]["endpoint_id"] {
                let served = submit(&running, "").await;
                assert_eq!(
                    output(&running, &served).await,
                    2,
                    "what the old version still runs holds up nobody"
                );
                jobs.push(served);
                fs::write(project.root().join("go"), "").unwrap();
                break resource;
            }
        }
    });
    assert_eq!(after["status"], "ready");
    let answer = answer.json();
    assert_eq!((&answer["status"], &answer["output"]), (&json!("COMPLETED"), &json!(2)), "{answer}");
    assert_eq!(output(&running, &begun).await, 1, "the old version drains");
    for id in &jobs {
        assert_eq!(output(&running, id).await, 2);
    }
    running.eventually("one left", |running| (running.endpoint_pids().len() == 1).then_some(()));
    for id in jobs.iter().chain([&begun]) {
        assert_eq!(view(&running, id).await["status"], "COMPLETED");
    }
}

#[tokio::test]
async fn a_version_that_cannot_be_loaded_leaves_the_old_one_answering() {
    let (project, mut running, before) = started().await;
    let waiting = submit(&running, "go").await;
    project.write("work.py", &format!("import a_module_that_is_not_there\n{CODE}"));
    while !running.stderr().contains("work failed") {
        let (status, health) = running.get("/v2/work/health").await.parts();
        assert_eq!((status, &health["jobs"]["inProgress"]), (200, &json!(1)), "{health}");
    }
    assert!(running.stderr().contains("a_module_that_is_not_there"), "{}", running.stderr());
    fs::write(project.root().join("go"), "").unwrap();
    assert_eq!(output(&running, &waiting).await, 1);
    assert_eq!(running.post("/v2/work/runsync", job("")).await.json()["output"], 1);
    let id = &running.get("/manifest").await.json()["resources"]["work"]["endpoint_id"];
    assert_eq!(id, &before["resources"]["work"]["endpoint_id"]);
    project.write("work.py", &CODE.replace("return 1", "return 3"));
    running.until_ready().await;
    assert_eq!(running.post("/v2/work/runsync", job("")).await.json()["output"], 3);
    assert_eq!(output(&running, &waiting).await, 1, "what was answered stays so");
}

#[tokio::test]
async fn the_old_version_killed_in_mid_switch_loses_no_job() {
    let (project, mut running, _) = started().await;
    let old = running.endpoint_pids();
    let cut_off = submit(&running, "go").await;
    let waiting = submit(&running, "").await;
    running.eventually("begun", |_| project.root().join("begun").exists().then_some(()));
    project.write("work.py", &CODE.replace("return 1", "return 2"));
    running.eventually("a second one", |running| (running.endpoint_pids().len() == 2).then_some(()));
    signal(old[0].1, Signal::KILL);
    fs::write(project.root().join("go"), "").unwrap();
    for id in [&cut_off, &waiting] {
        loop {
            let (status, view) = running.get(&format!("/v2/work/status/{id}")).await.parts();
            match (status, view["status"].as_str()) {
                (200, Some("COMPLETED")) => break assert_eq!(view["output"], 2, "{view}"),
                // Its address was the old one's for a moment.
                (200, Some("IN_QUEUE" | "IN_PROGRESS")) | (502 | 503, _) => {
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                }
                _ => panic!("{status} {view}"),
            }
        }
    }
    running.eventually("one left", |running| (running.endpoint_pids().len() == 1).then_some(()));
    running.until_ready().await;
}

#[tokio::test]
async fn jobs_of_the_earlier_layout_are_still_there() {
    let (project, mut running, before) = started().await;
    let done = submit(&running, "").await;
    assert_eq!(output(&running, &done).await, 1);
    let waiting = submit(&running, "go").await;
    let later = submit(&running, "").await;
    assert_eq!(running.interrupt().code(), Some(0));

    let id = before["resources"]["work"]["endpoint_id"].as_str().unwrap();
    let endpoint = project.root().join(".flash/run/endpoints").join(id);
    let [queue] = &queues(&project)[..] else { panic!() };
    for file in ["jobs.sqlite-wal", "jobs.sqlite"] {
        if queue.join(file).exists() {
            fs::rename(queue.join(file), endpoint.join(file)).unwrap();
        }
    }
    fs::remove_dir_all(queue).unwrap();
    let mut running = project.run();
    running.until_ready().await;
    assert_eq!(view(&running, &done).await["output"], 1);
    fs::write(project.root().join("go"), "").unwrap();
    assert_eq!((output(&running, &waiting).await, output(&running, &later).await), (json!(1), json!(1)));
    assert!(!endpoint.join("jobs.sqlite").exists());
    let left: Vec<_> =
        fs::read_dir(&queues(&project)[0]).unwrap().flatten().map(|file| file.file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("earlier")), "{left:?}");
}

#[tokio::test]
async fn a_queue_goes_with_its_resource_and_not_before() {
    let (project, mut running, _) = started().await;
    project.write("other.py", &CODE.replace("\"work\"", "\"other\"").replace("def run", "def run_other"));
    let done = submit(&running, "").await;
    assert_eq!(output(&running, &done).await, 1);
    running.eventually("two queues", |_| (queues(&project).len() == 2).then_some(()));
    running.until_ready().await;
    fs::remove_file(project.root().join("work.py")).unwrap();
    running.eventually("removed", |_| (queues(&project).len() == 1).then_some(()));
    project.write("work.py", CODE);
    running.eventually("added again", |_| (queues(&project).len() == 2).then_some(()));
    running.until_ready().await;
    assert_eq!(running.post("/v2/work/runsync", job("")).await.json()["output"], 1);
    assert_eq!(running.get(&format!("/v2/work/status/{done}")).await.status, 404);
}
