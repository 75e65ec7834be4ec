//! How a worker is ended that does not stop a call: SIGTERM first, SIGKILL where that is of no use. In all its processes.

use serde_json::{Value, json};

use crate::world::{Endpoint, Project, eventually, file_appears, function, process_ends};

const CODE: &str = r#"
import atexit, os, pathlib, signal, subprocess, sys, time

def note(name):
    pathlib.Path(f"new-{name}").write_text(str(os.getpid()))
    os.rename(f"new-{name}", name)

atexit.register(note, "atexit")

def unwinds():
    try:
        note("begun")
        while True:
            pass
    finally:
        note("finally")

def starts_another():
    code = "import signal, time; signal.signal(signal.SIGTERM, lambda *_: open('child', 'w').close()); print(flush=True)"
    child = subprocess.Popen([sys.executable, "-c", f"{code}; time.sleep(1000)"], stdout=subprocess.PIPE)
    child.stdout.readline()
    note("begun")
    child.wait()

def moves_away():
    code = "import subprocess, sys; child = subprocess.Popen(['sleep', '1000'], start_new_session=True); print(child.pid, flush=True); child.wait()"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True)
    pathlib.Path("new-moved").write_text(f"{child.pid} {int(child.stdout.readline())}")
    os.rename("new-moved", "moved")
    note("begun")
    child.wait()

async def ignores():
    signal.signal(signal.SIGTERM, lambda *_: note("noticed"))
    note("begun")
    while True:
        time.sleep(1000)

def who():
    return os.getpid()
"#;

fn project() -> Project {
    let functions = json!([
        function("unwinds", false),
        function("starts_another", false),
        function("moves_away", false),
        function("ignores", true),
        function("who", false)
    ]);
    Project::new("queue", CODE, functions).spec("executionTimeoutMs", json!(500))
}

async fn run(endpoint: &Endpoint, function: &str) -> Value {
    endpoint.post("/runsync", json!({"input": {"function_name": function, "kwargs": {}}})).await.body
}

/// Has the call time out, and gives the worker that it ran on, which is gone.
async fn times_out(project: &Project, endpoint: &Endpoint, function: &str) -> i32 {
    let view = run(endpoint, function).await;
    assert_eq!(view["status"], "TIMED_OUT", "{view}");
    let pid = file_appears(&project.path("begun")).await;
    eventually("the worker to be gone", || async {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        if stat.is_empty() { Ok(()) } else { Err(stat) }
    })
    .await;
    assert_ne!(run(endpoint, "who").await["output"].to_string(), pid, "another worker");
    pid.parse().unwrap()
}

#[tokio::test]
async fn a_function_that_does_not_stop_is_unwound() {
    let project = project();
    let endpoint = project.start().await;
    let pid = times_out(&project, &endpoint, "unwinds").await.to_string();
    assert_eq!(std::fs::read_to_string(project.path("finally")).unwrap(), pid);
    assert_eq!(std::fs::read_to_string(project.path("atexit")).unwrap(), pid);
}

#[tokio::test]
async fn what_a_function_started_is_told_too() {
    let project = project();
    let endpoint = project.start().await;
    times_out(&project, &endpoint, "starts_another").await;
    assert!(project.path("child").exists());
}

async fn both_that_moved_away_end(project: &Project) {
    let moved = file_appears(&project.path("moved")).await;
    let pids: Vec<&str> = moved.split(' ').collect();
    assert_eq!(pids.len(), 2, "{moved}");
    for pid in pids {
        process_ends(pid).await;
    }
}

#[tokio::test]
async fn what_moved_to_sessions_of_its_own_is_killed_with_its_worker() {
    let project = project();
    let endpoint = project.start().await;
    times_out(&project, &endpoint, "moves_away").await;
    both_that_moved_away_end(&project).await;
}

#[tokio::test]
async fn what_moved_to_sessions_of_its_own_is_killed_at_the_end_of_its_endpoint() {
    let project = project().spec("executionTimeoutMs", json!(0));
    let endpoint = project.start().await;
    endpoint.post("/run", json!({"input": {"function_name": "moves_away", "kwargs": {}}})).await;
    file_appears(&project.path("begun")).await;
    endpoint.stop().await;
    both_that_moved_away_end(&project).await;
}

#[tokio::test]
async fn a_function_that_ignores_it_is_killed() {
    let project = project();
    let endpoint = project.start().await;
    times_out(&project, &endpoint, "ignores").await;
    assert!(project.path("noticed").exists());
    assert!(!project.path("finally").exists() && !project.path("atexit").exists());
}

#[tokio::test]
async fn a_forked_worker_is_ended_the_same_way() {
    let project = project().spec("flashboot", json!(true)).spec("idleTimeout", json!(0));
    let endpoint = project.start().await;
    eventually("workers to be forked, and none to be there", || async {
        let health = endpoint.get("/health").await.body;
        let is_so = health["worker_start"]["by"] == "fork" && health["workers"]["ready"] == 0;
        if is_so { Ok(()) } else { Err(health.to_string()) }
    })
    .await;
    let _ = std::fs::remove_file(project.path("atexit"));
    let pid = times_out(&project, &endpoint, "unwinds").await.to_string();
    assert_eq!(std::fs::read_to_string(project.path("finally")).unwrap(), pid);
    assert_eq!(std::fs::read_to_string(project.path("atexit")).unwrap(), pid);
    std::fs::remove_file(project.path("begun")).unwrap();
    times_out(&project, &endpoint, "moves_away").await;
    both_that_moved_away_end(&project).await;
}

#[tokio::test]
async fn a_job_that_is_cut_off_at_the_end_of_its_endpoint_is_unwound_and_runs_again() {
    let project = project().spec("executionTimeoutMs", json!(0));
    let endpoint = project.start().await;
    let job = endpoint.post("/run", json!({"input": {"function_name": "unwinds", "kwargs": {}}})).await.body;
    let first = file_appears(&project.path("begun")).await;
    endpoint.stop().await;
    assert_eq!(std::fs::read_to_string(project.path("finally")).unwrap(), first);
    project.write_code(
        "def unwinds(): return 'this time'\nstarts_another = moves_away = ignores = who = unwinds\n",
    );
    let endpoint = project.start().await;
    assert_eq!(endpoint.finished(job["id"].as_str().unwrap()).await["output"], "this time");
}
