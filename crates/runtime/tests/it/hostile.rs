//! Functions that do what no function should. Their endpoint goes on: other calls are answered, `/ping` all the while, their
//! own callers are told, and nothing of them is left in the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flash_runtime::Recycling;
use serde_json::{Value, json};

use crate::world::{Endpoint, Project, eventually, function};

const CODE: &str = r#"
import asyncio, builtins, ctypes, os, pathlib, re, signal, subprocess, sys, threading, time

hoard = []

def double(x):
    return x * 2

def spin():
    while True:
        pass

def backtrack():
    re.match("(a+)+$", "a" * 64 + "b")

async def block():
    spin()

def crash():
    ctypes.string_at(0)

def leak():
    hoard.append(bytearray(os.urandom(1)) * 60_000_000)
    return os.getpid()

def multiply():
    for number in range(50):
        if os.fork() == 0:
            signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals) - {signal.SIGKILL})
            pathlib.Path(f"child-{number}").write_text(str(os.getpid()))
            while True:
                time.sleep(1000)
    while sum(name.startswith("child-") for name in os.listdir()) < 50:
        time.sleep(0.01)
    os.abort()

def close():
    os.closerange(0, 20)

async def close_on_loop():
    os.closerange(0, 20)

async def blind():
    for name in os.listdir("/proc/self/fd"):
        try:
            if "eventpoll" in os.readlink(f"/proc/self/fd/{name}"):
                os.close(int(name))
        except OSError:
            pass
    await asyncio.sleep(1000)

def scribble():
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            try:
                os.write(int(name), b"garbage " * 512)
            except OSError:
                pass
    time.sleep(1000)

def leave():
    os._exit(0)

async def take_over():
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    signal.set_wakeup_fd(-1)
    sys.stdout = sys.stderr = sys.stdin = None
    builtins.print = None
    os._exit = sys.exit = lambda *_: None
    return "mine"

def linger():
    for daemon in (True, False):
        threading.Thread(target=spin, daemon=daemon).start()
    return "lingering"

def freeze():
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(1000)
"#;
/// Between calls of one that leaks: what it can hoard before it is looked at is bounded.
const PAUSE: Duration = Duration::from_millis(300);
/// So that asking leaves the machine to those who are asked.
const PING_PAUSE: Duration = Duration::from_millis(50);
const ASYNC: [&str; 4] = ["block", "close_on_loop", "blind", "take_over"];
const SYNC: [&str; 11] = [
    "double",
    "spin",
    "backtrack",
    "crash",
    "leak",
    "multiply",
    "close",
    "scribble",
    "leave",
    "linger",
    "freeze",
];

fn project() -> Project {
    let functions: Vec<Value> = ASYNC
        .iter()
        .map(|name| function(name, true))
        .chain(SYNC.iter().map(|name| function(name, false)))
        .collect();
    Project::new("queue", CODE, json!(functions))
        .spec("workersMax", json!(2))
        .spec("scaler", json!({"type": "REQUEST_COUNT", "value": 1}))
}

async fn run(endpoint: &Endpoint, function: &str, kwargs: Value) -> Value {
    let input = json!({"function_name": function, "kwargs": kwargs});
    let body = endpoint.post("/run", json!({"input": input})).await.body;
    endpoint.finished(body["id"].as_str().unwrap_or_else(|| panic!("{body}"))).await
}

async fn double(endpoint: &Endpoint, x: u64) -> Value {
    run(endpoint, "double", json!({"x": x})).await
}

/// How a call of `hostile` ends, where others are answered meanwhile and after it, `/ping` always, and nothing is left in the end.
async fn survived(project: Project, hostile: &str) -> Value {
    let endpoint = Arc::new(project.start().await);
    let is_over = Arc::new(AtomicBool::new(false));
    let pinging = tokio::spawn({
        let (endpoint, is_over) = (Arc::clone(&endpoint), Arc::clone(&is_over));
        async move {
            while !is_over.load(Ordering::Relaxed) {
                let ping = endpoint.get("/ping").await;
                assert_eq!(ping.status, 200, "{ping:?}");
                tokio::time::sleep(PING_PAUSE).await;
            }
        }
    });
    let hostile = async { run(&endpoint, hostile, json!({})).await };
    let others = async {
        for x in 0..5 {
            let view = double(&endpoint, x).await;
            assert_eq!(view["output"], x * 2, "beside it: {view}");
        }
    };
    let (view, ()) = tokio::join!(hostile, others);
    for x in 0..5 {
        let view = double(&endpoint, x).await;
        assert_eq!(view["output"], x * 2, "after it: {view}");
    }
    is_over.store(true, Ordering::Relaxed);
    pinging.await.unwrap();
    Arc::into_inner(endpoint).unwrap().stop().await;
    eventually("everything to be gone", || async {
        let left = processes_in(&project);
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    view
}

/// Workers run in the project's folder, and so does what they start.
fn processes_in(project: &Project) -> Vec<String> {
    let folder = project.path("").canonicalize().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let inside = processes.filter(|process| {
        std::fs::read_link(process.path().join("cwd")).is_ok_and(|working| working == folder)
    });
    inside.map(|process| process.file_name().to_string_lossy().into_owned()).collect()
}

fn assert_failed(view: &Value, with: &str) {
    assert_eq!(view["status"], "FAILED", "{view}");
    assert!(view["error"].as_str().unwrap().contains(with), "{view}");
}

#[tokio::test]
async fn one_that_never_ends() {
    for hostile in ["spin", "backtrack", "block", "freeze"] {
        let view = survived(project().spec("executionTimeoutMs", json!(1000)), hostile).await;
        assert_eq!(view["status"], "TIMED_OUT", "{hostile}: {view}");
    }
}

#[tokio::test]
async fn one_that_reads_where_nothing_is() {
    assert_failed(&survived(project(), "crash").await, "SIGSEGV");
}

#[tokio::test]
async fn one_that_leaves_in_the_middle() {
    assert_failed(&survived(project(), "leave").await, "exited with status 0");
}

#[tokio::test]
async fn one_that_starts_children_which_hear_no_signal() {
    assert_failed(&survived(project(), "multiply").await, "SIGABRT");
}

#[tokio::test]
async fn one_that_closes_what_it_did_not_open() {
    for hostile in ["close", "close_on_loop"] {
        assert_failed(&survived(project(), hostile).await, "worker");
    }
}

#[tokio::test]
async fn one_that_takes_the_loops_eyes() {
    assert_failed(&survived(project(), "blind").await, "exited with status 1");
}

#[tokio::test]
async fn one_that_writes_everywhere() {
    assert_failed(&survived(project(), "scribble").await, "frame");
}

#[tokio::test]
async fn one_that_takes_over_signals_and_streams() {
    assert_eq!(survived(project(), "take_over").await["output"], "mine");
}

#[tokio::test]
async fn one_whose_threads_never_end() {
    assert_eq!(survived(project(), "linger").await["output"], "lingering");
}

#[tokio::test]
async fn one_that_forgets_nothing() {
    let mut project = project().spec("workersMax", json!(1));
    project.recycling = Recycling { calls_max: None, bytes_max: Some(200_000_000) };
    let endpoint = project.start().await;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let view = run(&endpoint, "leak", json!({})).await;
        assert_eq!(view["status"], "COMPLETED", "{view}");
        seen.push(view["output"].clone());
        seen.dedup();
        tokio::time::sleep(PAUSE).await;
    }
    assert_eq!(double(&endpoint, 4).await["output"], 8);
}
