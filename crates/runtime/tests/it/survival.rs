use flash_runtime::serve::{self, serve_until};
use serde_json::json;

use crate::queue;
use crate::world::{Project, eventually, file_appears, function, process_ends};

#[tokio::test]
async fn accepted_jobs_survive_a_hard_end() {
    let project = queue::project();
    let endpoint = project.start().await;
    let submit = |function: &str, kwargs| {
        endpoint.post("/run", json!({"input": {"function_name": function, "kwargs": kwargs}}))
    };
    let running = submit("once", json!({"marker": "m"})).await.body["id"].as_str().unwrap().to_owned();
    let waiting = submit("double", json!({"x": 8})).await.body["id"].as_str().unwrap().to_owned();
    file_appears(&project.path("m")).await;
    drop(endpoint);

    let endpoint = project.start().await;
    assert_eq!(endpoint.finished(&running).await["output"], "second time");
    assert_eq!(endpoint.finished(&waiting).await["output"], 16);
}

#[tokio::test]
async fn jobs_are_kept_while_no_worker_can_start() {
    let project = queue::project();
    let endpoint = project.start_unready().await;
    let id = endpoint.post("/run", json!({"input": {"function_name": "double", "kwargs": {"x": 3}}})).await;
    let id = id.body["id"].as_str().unwrap().to_owned();
    drop(endpoint);
    project.write_code("raise RuntimeError('not today')");
    let endpoint = project.start_unready().await;
    eventually("the import to fail", || async {
        let ping = endpoint.get("/ping").await;
        if ping.status == 503 { Ok(()) } else { Err(format!("{ping:?}")) }
    })
    .await;
    let view = endpoint.get(&format!("/status/{id}")).await.body;
    assert!(["IN_QUEUE", "COMPLETED"].contains(&view["status"].as_str().unwrap()), "{view}");
    let refused = endpoint.post("/run", json!({"input": {}})).await;
    assert_eq!((refused.status, &refused.body["exception"]["message"]), (503, &json!("not today")));
    drop(endpoint);
    project.write_code(
        "def double(x):\n    return x * 2\ndef nothing(): pass\npid = broken = hang = once = nothing\n",
    );
    assert_eq!(project.start().await.finished(&id).await["output"], 6);
}

#[tokio::test]
async fn a_drain_lets_calls_finish_and_leaves_nothing_behind() {
    let code = r#"
import asyncio, os, pathlib
async def slow():
    pathlib.Path("begun").write_text(str(os.getpid()))
    while not pathlib.Path("go").exists():
        await asyncio.sleep(0.01)
    return "done"
"#;
    let project = Project::new("load_balanced", code, json!([function("slow", true)]));
    let endpoint = project.start().await;
    let (_stop, told) = tokio::sync::watch::channel(None);
    let second = serve_until(project.settings(), told).await;
    assert!(matches!(second, Err(serve::Error::AlreadyRunning { .. })), "{second:?}");

    let call = tokio::spawn(endpoint.request("POST", "/_flash/call/slow").json(&json!({})).send());
    let pid = eventually("the call to begin", || async {
        let text = std::fs::read_to_string(project.path("begun")).map_err(|error| error.to_string())?;
        text.parse::<i32>().map_err(|error| error.to_string())
    })
    .await;
    endpoint.begin_stop();
    eventually("the door to close", || async {
        match endpoint.request("GET", "/ping").send().await {
            Err(error) if error.is_connect() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    std::fs::write(project.path("go"), "").unwrap();
    assert_eq!(call.await.unwrap().unwrap().text().await.unwrap(), "\"done\"");
    endpoint.stop().await;
    assert!(!project.path("endpoint/endpoint.json").exists());
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    assert!(rustix::process::test_kill_process(pid).is_err(), "the worker outlived its endpoint");
}

#[tokio::test]
async fn an_endpoint_whose_folder_is_removed_ends() {
    let project = queue::project();
    let endpoint = project.start().await;
    std::fs::remove_dir_all(project.path("endpoint")).unwrap();
    endpoint.ended().await;
}

#[tokio::test]
async fn what_user_code_starts_ends_with_the_worker() {
    let code = r#"
import os, subprocess
def leave():
    child = subprocess.Popen(["sleep", "1000"])
    with open("new", "w") as file:
        file.write(str(child.pid))
    os.rename("new", "pid")
    os._exit(3)
"#;
    let project = Project::new("queue", code, json!([function("leave", false)]));
    let endpoint = project.start().await;
    let view = endpoint.post("/runsync", json!({"input": {"__empty": true}})).await.body;
    assert_eq!(view["status"], "FAILED", "{view}");
    assert!(view["error"].as_str().unwrap().contains("status 3"), "{view}");
    let pid = file_appears(&project.path("pid")).await;
    process_ends(pid).await;
}

#[tokio::test]
async fn workers_go_when_idle_and_come_back_with_the_next_job() {
    let project = queue::project().spec("idleTimeout", json!(1));
    let endpoint = project.start().await;
    let wait_for_ready = async |count: u64| {
        eventually("the number of workers to change", || async {
            let health = endpoint.get("/health").await.body;
            if health["workers"]["ready"] == count { Ok(()) } else { Err(health.to_string()) }
        })
        .await;
    };
    wait_for_ready(1).await;
    wait_for_ready(0).await;
    assert_eq!(endpoint.get("/ping").await.status, 200);
    let job = json!({"input": {"function_name": "double", "kwargs": {"x": 5}}});
    assert_eq!(endpoint.post("/runsync", job).await.body["output"], 10);
}

#[tokio::test]
async fn waiting_jobs_bring_more_workers() {
    let project = queue::project().spec("workersMax", json!(2));
    let endpoint = project.start().await;
    for marker in ["one", "two"] {
        endpoint
            .post("/run", json!({"input": {"function_name": "hang", "kwargs": {"marker": marker}}}))
            .await;
    }
    let pids = (file_appears(&project.path("one")).await, file_appears(&project.path("two")).await);
    assert_ne!(pids.0, pids.1);
}
