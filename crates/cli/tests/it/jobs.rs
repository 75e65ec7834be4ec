//! `flash jobs`: what failed for good is listed and queued again from the command line.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Project, Running};

const CODE: &str = r#"
import pathlib

from tetra_rp import CpuLiveLoadBalancer, CpuLiveServerless, remote

work = CpuLiveServerless(name="work", workersMax=1)
api = CpuLiveLoadBalancer(name="api", workersMax=1)

@remote(work)
def run(name: str) -> str:
    if not pathlib.Path("go").exists():
        raise RuntimeError(f"{name} cannot be done")
    return name

@remote(api, method="GET", path="/hi")
def hi() -> str:
    return "hi"
"#;

async fn ended(running: &Running, id: &str) -> Value {
    loop {
        let view = running.get(&format!("/v2/work/status/{id}")).await.json();
        if !["IN_QUEUE", "IN_PROGRESS"].contains(&view["status"].as_str().unwrap()) {
            return view;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn dead_letters_are_listed_and_queued_again() {
    let project = Project::of(&[("work.py", CODE)]);
    let (status, _, stderr) = project.shown(&["jobs", "dead", "work"]);
    assert!(status == 1 && stderr.contains("FL207"), "{stderr}");
    let mut running = project.run();
    running.until_ready().await;
    assert_eq!(project.shown(&["jobs", "dead", "work"]).1, "work has no dead letters\n");
    for (arguments, code, part) in [
        (&["jobs", "redrive", "work", "--all"] as &[&str], "FL314", "work has no dead letters"),
        (&["jobs", "redrive", "work", "none"], "FL314", "there is no job none"),
        (&["jobs", "dead", "wrok"], "FL315", "there is no endpoint"),
        (&["jobs", "redrive", "wrok", "--all"], "FL315", "there is no endpoint"),
        (&["jobs", "dead", "api"], "FL301", "api is a load-balanced endpoint"),
    ] {
        let (status, stdout, stderr) = project.shown(arguments);
        assert_eq!((status, stdout.as_str()), (1, ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(code) && stderr.contains(part), "{arguments:?}: {stderr}");
    }

    let mut ids = Vec::new();
    for name in ["first", "second", "third"] {
        let job = json!({"input": {"name": name}, "policy": {"maxRetries": 1}});
        let (status, accepted) = running.post("/v2/work/run", job).await.parts();
        assert_eq!(status, 200, "{accepted}");
        let id = accepted["id"].as_str().unwrap().to_owned();
        assert_eq!(ended(&running, &id).await["status"], "FAILED");
        ids.push(id);
    }
    let (_, json, _) = project.shown(&["jobs", "dead", "work", "--json"]);
    let letters: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&letters["total"], &letters["dead"][2]["id"]), (&json!(3), &json!(ids[0])));
    let (status, table, stderr) = project.shown(&["jobs", "dead", "work", "--limit", "2"]);
    assert_eq!((status, stderr.as_str()), (0, "and 1 older ones; --limit shows more\n"));
    let rows: Vec<&str> = table.lines().collect();
    assert!(rows.len() == 3 && rows[0].starts_with("JOB"), "{table}");
    assert!(
        rows[1].starts_with(&ids[2]) && rows[1].ends_with("RuntimeError: third cannot be done"),
        "{table}"
    );

    fs::write(project.root().join("go"), "").unwrap();
    let (status, _, stderr) = project.shown(&["jobs", "redrive", "work", &ids[0], &ids[1]]);
    assert_eq!(status, 0, "{stderr}");
    for (id, name) in ids.iter().zip(["first", "second"]) {
        assert_eq!(ended(&running, id).await["output"], name);
    }
    let (status, _, stderr) = project.shown(&["jobs", "redrive", "work", &ids[2], &ids[0]]);
    assert!(status == 1 && stderr.contains(&format!("{} is queued again", ids[2])), "{stderr}");
    assert!(stderr.contains("FL401") && stderr.contains("is COMPLETED and no dead letter"), "{stderr}");
    assert_eq!(ended(&running, &ids[2]).await["output"], "third");
    assert_eq!(project.shown(&["jobs", "dead", "work"]).1, "work has no dead letters\n");
}

#[tokio::test]
async fn all_of_them_can_be_queued_again_at_once() {
    let project = Project::of(&[("work.py", CODE)]);
    let mut running = project.run();
    running.until_ready().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let job = json!({"input": {"name": "x"}, "policy": {"maxRetries": 1}});
        ids.push(running.post("/v2/work/run", job).await.json()["id"].as_str().unwrap().to_owned());
    }
    for id in &ids {
        assert_eq!(ended(&running, id).await["status"], "FAILED");
    }
    fs::write(project.root().join("go"), "").unwrap();
    let (status, _, stderr) = project.shown(&["jobs", "redrive", "work", "--all"]);
    assert_eq!((status, stderr.as_str()), (0, "dead letters of work that are queued again: 3\n"));
    for id in &ids {
        assert_eq!(ended(&running, id).await["output"], "x");
    }
}
