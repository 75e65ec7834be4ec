//! `kill -9` of a worker, of an endpoint, of the mothership.

use std::fs;

use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Project, Running, is_alive, signal};

const PROJECT: &str = r#"
import asyncio
import os
import time

from tetra_rp import CpuLiveLoadBalancer, CpuLiveServerless, remote

api = CpuLiveLoadBalancer(name="api", workersMin=1, workersMax=1)
back = CpuLiveServerless(name="back", workersMax=1)


@remote(api, method="GET", path="/pid")
async def pid() -> int:
    return os.getpid()


@remote(api, method="POST", path="/hang")
async def hang() -> str:
    await asyncio.sleep(3600)
    return "never"


@remote(api, method="POST", path="/block")
def block() -> str:
    time.sleep(3600)
    return "never"


@remote(api, method="POST", path="/raise")
async def fail(text: str) -> str:
    raise ValueError(f"bad: {text}")


@remote(api, method="GET", path="/socket")
async def unserializable():
    return object()


@remote(api, method="GET", path="/through")
async def through() -> dict:
    return {"api": os.getpid(), "back": await back_pid()}


@remote(back)
def back_pid() -> int:
    return os.getpid()
"#;

async fn started() -> (Project, Running, Value) {
    let project = Project::of(&[("service.py", PROJECT)]);
    let mut running = project.run();
    let manifest = running.until_ready().await;
    (project, running, manifest)
}

#[tokio::test]
async fn a_worker_killed_in_the_middle_of_a_call_costs_that_call_only() {
    let (_project, running, _) = started().await;
    for path in ["/lb/api/hang", "/lb/api/block"] {
        let worker = u32::try_from(running.get("/lb/api/pid").await.json().as_u64().unwrap()).unwrap();
        let (answer, ()) = tokio::join!(running.post(path, json!({})), async {
            // The call is in the worker once the worker answers a call that was sent after it.
            running.get("/lb/api/pid").await;
            signal(worker, Signal::KILL);
        });
        let (status, problem) = answer.parts();
        assert_eq!((status, &problem["code"]), (502, &json!("FL304")), "{problem}");
        let next = running.get("/lb/api/pid").await;
        assert_eq!(next.status, 200, "{}", next.text);
        assert_ne!(next.json(), json!(worker));
    }
}

#[tokio::test]
async fn user_errors_reach_the_caller_with_type_message_and_traceback() {
    let (_project, running, _) = started().await;
    let (status, problem) = running.post("/lb/api/raise", json!({"text": "x"})).await.parts();
    assert_eq!((status, &problem["code"]), (500, &json!("FL305")));
    assert_eq!(problem["exception"]["type"], "ValueError");
    assert_eq!(problem["exception"]["message"], "bad: x");
    let traceback = problem["exception"]["traceback"].as_str().unwrap();
    assert!(traceback.contains("service.py") && traceback.contains("raise ValueError"), "{traceback}");
    let (status, problem) = running.get("/lb/api/socket").await.parts();
    assert_eq!((status, &problem["code"]), (500, &json!("FL306")), "{problem}");
    let (status, problem) = running.post("/lb/api/raise", json!({})).await.parts();
    assert_eq!((status, &problem["detail"][0]["loc"]), (422, &json!(["body", "text"])), "{problem}");
}

#[tokio::test]
async fn without_the_mothership_children_serve_and_call_each_other_and_the_next_one_adopts_them() {
    let (project, mut running, manifest) = started().await;
    let before = running.get("/lb/api/through").await.json();
    let processes = running.endpoint_pids();
    assert_eq!(processes.len(), 2);

    running.kill_9();
    let own_url = manifest["resources"]["api"]["endpoint_url"].as_str().unwrap();
    let alone = running.get(&format!("{own_url}/through")).await.parts();
    assert_eq!(alone, (200, before.clone()));

    // Somebody else may have its port by now: what it left on disk is not believed.
    let status = project.flash(&["status"]);
    assert_eq!(status.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&status.stderr).contains("FL207"));

    let mut next = project.run();
    let adopted = next.until_ready().await;
    for name in ["api", "back"] {
        let (old, new) = (&manifest["resources"][name], &adopted["resources"][name]);
        for field in ["endpoint_id", "endpoint_url", "config_hash"] {
            assert_eq!(old[field], new[field], "{name}.{field}");
        }
    }
    assert_eq!(next.endpoint_pids(), processes, "no second process");
    assert_eq!(next.get("/lb/api/through").await.json(), before, "nothing restarted");

    // The children learn where the new mothership is: what it provisions next, they can call.
    assert_eq!(next.interrupt().code(), Some(0));
    for (id, pid) in processes {
        assert!(!is_alive(pid), "{id} is left");
    }
    drop(running);
}

#[tokio::test]
async fn an_endpoint_that_is_killed_comes_back_under_the_same_id() {
    let (_project, mut running, manifest) = started().await;
    let processes = running.endpoint_pids();
    let id = manifest["resources"]["api"]["endpoint_id"].as_str().unwrap();
    let (_, victim) = processes.iter().find(|(endpoint, _)| endpoint == id).unwrap();
    signal(*victim, Signal::KILL);
    running.eventually("restarted", |running| {
        let alive = running.endpoint_pids();
        (alive.len() == 2 && alive.iter().all(|(_, pid)| pid != victim)).then_some(())
    });
    let again = running.until_ready().await;
    assert_eq!(again["resources"]["api"]["endpoint_id"], id);
    assert_eq!(running.get("/lb/api/through").await.status, 200);
}

#[tokio::test]
async fn code_that_cannot_be_loaded_is_a_status_with_the_traceback_and_not_a_hang() {
    let project = Project::of(&[
        (
            "good.py",
            "from tetra_rp import CpuLiveServerless, remote\nok = CpuLiveServerless(name=\"ok\")\n@remote(ok)\ndef fine() -> int:\n    return 1\n",
        ),
        (
            "bad.py",
            "import a_module_that_is_not_there\nfrom tetra_rp import CpuLiveServerless, remote\nbroken = CpuLiveServerless(name=\"broken\")\n@remote(broken)\ndef never() -> int:\n    return 1\n",
        ),
    ]);
    let mut running = project.run();
    running.eventually("settled", |running| running.stderr().contains("broken failed").then_some(()));
    // What is told is served a moment later.
    let reason = loop {
        let manifest = running.get("/manifest").await.json();
        let broken = &manifest["resources"]["broken"];
        if broken["status"] == "failed" {
            break broken["status_reason"].as_str().unwrap().to_owned();
        }
    };
    assert!(reason.contains("a_module_that_is_not_there"), "{reason}");
    assert_eq!(running.post("/v2/ok/runsync", json!({"input": {"__empty": true}})).await.json()["output"], 1);
    let called = project.flash(&["call", "never"]);
    assert_eq!(called.status.code(), Some(1));
    let shown = String::from_utf8_lossy(&called.stderr).into_owned();
    assert!(shown.contains("FL312") && shown.contains("a_module_that_is_not_there"), "{shown}");
}

#[tokio::test]
async fn a_signal_has_the_mothership_look_at_the_world_before_its_period_is_over() {
    let project = Project::of(&[("service.py", PROJECT)]);
    let mut running = Running::start_with(&project, &["--period", "3600"], &[]);
    let manifest = running.until_ready().await;
    let id = manifest["resources"]["api"]["endpoint_id"].as_str().unwrap();
    let file = project.root().join(".flash/run/endpoints").join(id).join("manifest.json");
    let idle_timeout = |change: Option<u64>| {
        let mut document: Value = serde_json::from_slice(&fs::read(&file).ok()?).ok()?;
        let value = &mut document["resources"]["api"]["spec"]["idleTimeout"];
        let found = value.as_u64();
        if let Some(change) = change {
            *value = json!(change);
            fs::write(&file, document.to_string()).unwrap();
        }
        found
    };
    let wanted = idle_timeout(Some(4321));
    assert_eq!(idle_timeout(None), Some(4321));
    signal(running.pid(), Signal::USR1);
    running.eventually("what somebody else changed is brought back", |_| {
        (idle_timeout(None) == wanted).then_some(())
    });
    assert!(running.interrupt().success());
}

#[tokio::test]
async fn where_the_token_is_required_commands_and_children_have_it_and_others_are_refused() {
    let project = Project::of(&[("service.py", PROJECT)]);
    let mut running = Running::start_with(&project, &["--require-token"], &[]);
    assert_eq!(running.get("/manifest").await.status, 401);
    assert_eq!(running.get("/ping").await.status, 200);
    let token = running.token();
    running.eventually("ready", |_| {
        let (status, shown, _) = project.shown(&["status", "--json"]);
        (status == 0 && shown.matches("\"ready\"").count() == 2).then_some(())
    });
    let through = running.request(Method::GET, "/lb/api/through", None, Some(&token)).await;
    assert_eq!(through.status, 200, "a child finds another: {}", running.stderr());
    assert_eq!(running.get("/lb/api/pid").await.status, 401);
    assert!(running.stderr().contains("Authorization: Bearer"), "{}", running.stderr());
    assert!(!running.stderr().contains(&token), "said, not shown");
    assert_eq!(project.shown(&["call", "back_pid"]).0, 0);
    assert!(running.interrupt().success());
}
