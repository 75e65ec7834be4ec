//! A queue is its resource's: it outlives endpoints, versions of the code and of Flash, and goes with the resource.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{Project, Running};

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
