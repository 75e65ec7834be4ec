//! Jobs whose function is a generator: `/stream/{id}` beside what any job has.

use serde_json::{Value, json};

use crate::world::{Endpoint, Project, file_appears, function, kill};

const CODE: &str = r#"
import asyncio, os, pathlib, time

def exists(name):
    return pathlib.Path(name).exists()

async def steps():
    yield {"step": 1, "big": 123456789012345678901234567890}
    while not exists("go"):
        await asyncio.sleep(0.005)
    yield None

def steps_sync():
    yield {"step": 1, "big": 123456789012345678901234567890}
    while not exists("go"):
        time.sleep(0.005)
    yield None

def rows(count: int):
    for number in range(count):
        yield number

class Model:
    async def words(self, text: str):
        for word in text.split():
            yield word

def fails():
    yield "some"
    yield "more"
    raise ValueError("no luck")

def unsuitable():
    yield "some"
    yield {1, 2}
    yield b"bytes"

def large():
    try:
        while True:
            yield "x" * 2**20
    finally:
        pathlib.Path("closed").touch()

async def endless():
    number = 0
    try:
        while True:
            yield number
            number += 1
            while not exists(f"go-{number}"):
                await asyncio.sleep(0.005)
    finally:
        pathlib.Path("closed").touch()

def cut_off(marker: str):
    attempt = "second" if exists(marker) else "first"
    yield f"begun {attempt}"
    yield f"going on {attempt}"
    if attempt == "first":
        pathlib.Path(marker).write_text(str(os.getpid()))
        time.sleep(1000)

def hang(marker: str):
    yield "begun"
    pathlib.Path(marker).write_text(str(os.getpid()))
    time.sleep(1000)

async def pid():
    return os.getpid()
"#;

fn project() -> Project {
    let mut functions = vec![function("Model", false)];
    functions[0]["is_class"] = json!(true);
    functions[0]["methods"] = json!([{"name": "words", "is_async": true}]);
    functions.extend(["steps", "endless", "pid"].map(|name| function(name, true)));
    let plain = ["steps_sync", "rows", "fails", "unsuitable", "large", "cut_off", "hang"];
    functions.extend(plain.map(|name| function(name, false)));
    Project::new("queue", CODE, json!(functions))
}

fn job(function: &str, kwargs: Value) -> Value {
    json!({"input": {"function_name": function, "kwargs": kwargs}})
}

async fn submit(endpoint: &Endpoint, job: Value) -> String {
    let accepted = endpoint.post("/run", job).await;
    assert_eq!(accepted.status, 200, "{accepted:?}");
    accepted.body["id"].as_str().unwrap().to_owned()
}

/// One answer: the job's status and what it gave.
async fn read(endpoint: &Endpoint, id: &str) -> (String, Vec<Value>) {
    let answer = endpoint.get(&format!("/stream/{id}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let fields: Vec<&str> = answer.body.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, ["status", "stream"]);
    let parts = answer.body["stream"].as_array().unwrap();
    let outputs = parts.iter().map(|part| {
        assert_eq!(part.as_object().unwrap().len(), 1, "{part}");
        part["output"].clone()
    });
    (answer.body["status"].as_str().unwrap().to_owned(), outputs.collect())
}

/// As existing clients do: until an answer with a final state has nothing.
async fn read_all(endpoint: &Endpoint, id: &str) -> (String, Vec<Value>) {
    let mut all = Vec::new();
    loop {
        let (status, parts) = read(endpoint, id).await;
        if parts.is_empty() && !["IN_QUEUE", "IN_PROGRESS"].contains(&status.as_str()) {
            return (status, all);
        }
        all.extend(parts);
    }
}

async fn read_some(endpoint: &Endpoint, id: &str, count: usize) -> Vec<Value> {
    let mut some = Vec::new();
    while some.len() < count {
        let (status, parts) = read(endpoint, id).await;
        assert!(!parts.is_empty() || status != "FAILED", "only {some:?}");
        some.extend(parts);
    }
    some
}

#[tokio::test]
async fn parts_are_read_while_the_function_runs_and_are_its_output_in_the_end() {
    for function in ["steps", "steps_sync"] {
        let project = project();
        let endpoint = project.start().await;
        let id = submit(&endpoint, job(function, json!({}))).await;
        let first = read_some(&endpoint, &id, 1).await;
        assert_eq!(first[0]["step"], 1);
        let view = endpoint.get(&format!("/status/{id}")).await.body;
        assert_eq!((&view["status"], view.get("output")), (&json!("IN_PROGRESS"), None), "{view}");
        // The function waits for this before it goes on.
        std::fs::write(project.path("go"), "").unwrap();
        assert_eq!(read_all(&endpoint, &id).await, ("COMPLETED".to_owned(), vec![Value::Null]));
        let path = format!("/status/{id}");
        let text = endpoint.request("GET", &path).send().await.unwrap().text().await.unwrap();
        let expected = r#""output":[{"step":1,"big":123456789012345678901234567890},null]"#;
        assert!(text.contains(expected), "{text}");
    }
}

#[tokio::test]
async fn nobody_needs_to_read_and_what_was_not_read_can_be_read_after_the_end() {
    let project = project();
    let endpoint = project.start().await;
    let view = endpoint.post("/runsync", job("rows", json!({"count": 1000}))).await.body;
    let expected: Vec<Value> = (0..1000).map(Value::from).collect();
    assert_eq!((&view["status"], &view["output"]), (&json!("COMPLETED"), &json!(expected)));
    let id = view["id"].as_str().unwrap();
    let posted = endpoint.post(&format!("/stream/{id}"), json!({})).await.body;
    assert_eq!((&posted["status"], posted["stream"].as_array().unwrap().len()), (&json!("COMPLETED"), 1000));
    assert_eq!(read(&endpoint, id).await, ("COMPLETED".to_owned(), vec![]));
    assert_eq!(endpoint.get(&format!("/status/{id}")).await.body, view, "the output stays");

    let empty = endpoint.post("/runsync", job("rows", json!({"count": 0}))).await.body;
    assert_eq!((&empty["status"], &empty["output"]), (&json!("COMPLETED"), &json!([])));
    assert_eq!(read_all(&endpoint, empty["id"].as_str().unwrap()).await, ("COMPLETED".to_owned(), vec![]));

    let words = endpoint.post("/runsync", job("Model", json!({"text": "a b c"}))).await.body;
    assert_eq!(words["output"], json!(["a", "b", "c"]), "{words}");

    let plain = endpoint.post("/runsync", job("pid", json!({}))).await.body;
    assert!(plain["output"].is_u64(), "{plain}");
    assert_eq!(read_all(&endpoint, plain["id"].as_str().unwrap()).await, ("COMPLETED".to_owned(), vec![]));

    let unknown = endpoint.get("/stream/none").await;
    assert_eq!((unknown.status, &unknown.body["code"]), (404, &json!("FL314")));
    let wrong = endpoint.send(endpoint.request("DELETE", "/stream/none")).await;
    assert_eq!((wrong.status, wrong.headers["allow"].to_str().unwrap()), (405, "GET, POST"));
}

#[tokio::test]
async fn two_readers_share_the_parts() {
    let project = project();
    let endpoint = project.start().await;
    let id = submit(&endpoint, job("rows", json!({"count": 3000}))).await;
    let (one, two) = tokio::join!(read_all(&endpoint, &id), read_all(&endpoint, &id));
    assert_eq!((one.0.as_str(), two.0.as_str()), ("COMPLETED", "COMPLETED"));
    let mut both: Vec<u64> = one.1.iter().chain(&two.1).map(|part| part.as_u64().unwrap()).collect();
    assert!(one.1.is_sorted_by_key(|part| part.as_u64()) && two.1.is_sorted_by_key(|part| part.as_u64()));
    both.sort_unstable();
    assert_eq!(both, (0..3000).collect::<Vec<_>>(), "each is given to one of them");
}

#[tokio::test]
async fn a_generator_that_raises_has_failed_with_what_it_yielded() {
    let project = project();
    let endpoint = project.start().await;
    for (function, parts, error) in [
        ("fails", json!(["some", "more"]), "no luck"),
        ("unsuitable", json!(["some", [1, 2]]), "holds bytes"),
    ] {
        let view = endpoint.post("/runsync", job(function, json!({}))).await.body;
        assert_eq!((&view["status"], view.get("output")), (&json!("FAILED"), None), "{view}");
        assert!(view["error"].as_str().unwrap().contains(error), "{view}");
        let (status, read) = read_all(&endpoint, view["id"].as_str().unwrap()).await;
        assert_eq!((status.as_str(), json!(read)), ("FAILED", parts));
    }
}

#[tokio::test]
async fn a_job_that_yields_more_than_is_kept_fails_and_says_so() {
    let project = project();
    let endpoint = project.start().await;
    let pid = endpoint.worker_pid().await;
    let view = endpoint.post("/runsync", job("large", json!({}))).await.body;
    assert_eq!(view["status"], "FAILED", "{view}");
    assert!(view["error"].as_str().unwrap().contains("yielded more than 64 MiB"), "{view}");
    file_appears(&project.path("closed")).await;
    let (status, parts) = read_all(&endpoint, view["id"].as_str().unwrap()).await;
    assert_eq!((status.as_str(), parts.len()), ("FAILED", 63), "with its quotes each is more than a MiB");
    assert_eq!(endpoint.worker_pid().await, pid, "the generator was closed, its worker goes on");
}

#[tokio::test]
async fn a_stream_that_is_cancelled_ends_where_it_is() {
    let project = project();
    let endpoint = project.start().await;
    let pid = endpoint.worker_pid().await;
    let cancelled = submit(&endpoint, job("endless", json!({}))).await;
    let waiting = submit(&endpoint, job("pid", json!({}))).await;
    assert_eq!(read_some(&endpoint, &cancelled, 1).await, [json!(0)]);
    std::fs::write(project.path("go-1"), "").unwrap();
    assert_eq!(read_some(&endpoint, &cancelled, 1).await, [json!(1)]);
    let answer = endpoint.post(&format!("/cancel/{cancelled}"), json!({})).await.body;
    assert_eq!(answer["status"], "CANCELLED");
    file_appears(&project.path("closed")).await;
    let next = endpoint.finished(&waiting).await;
    assert_eq!(next["output"], pid, "an async generator is closed where it waits: {next}");
    let over = endpoint.get(&format!("/stream/{cancelled}")).await;
    assert_eq!((over.status, &over.body["code"]), (409, &json!("FL401")), "{over:?}");
    let view = endpoint.get(&format!("/status/{cancelled}")).await.body;
    assert_eq!((&view["status"], view.get("output")), (&json!("CANCELLED"), None), "{view}");

    // A plain one cannot be interrupted where it does something else, so its worker is ended for it.
    let cancelled = submit(&endpoint, job("hang", json!({"marker": "m"}))).await;
    assert_eq!(file_appears(&project.path("m")).await, pid.to_string());
    endpoint.post(&format!("/cancel/{cancelled}"), json!({})).await;
    let next = endpoint.post("/runsync", job("pid", json!({}))).await.body;
    assert!(next["output"].is_u64() && next["output"] != pid, "{next}");
}

#[tokio::test]
async fn a_stream_that_is_cancelled_leaves_others_of_its_worker_alone() {
    let functions = ["steps", "endless", "pid"].map(|name| function(name, true));
    let project = Project::new("queue", CODE, json!(functions)).spec("maxConcurrency", json!(2));
    let endpoint = project.start().await;
    let pid = endpoint.worker_pid().await;
    let cancelled = submit(&endpoint, job("endless", json!({}))).await;
    let other = submit(&endpoint, job("steps", json!({}))).await;
    read_some(&endpoint, &cancelled, 1).await;
    read_some(&endpoint, &other, 1).await;
    endpoint.post(&format!("/cancel/{cancelled}"), json!({})).await;
    file_appears(&project.path("closed")).await;
    std::fs::write(project.path("go"), "").unwrap();
    assert_eq!(read_all(&endpoint, &other).await, ("COMPLETED".to_owned(), vec![Value::Null]));
    assert_eq!(endpoint.worker_pid().await, pid);
}

#[tokio::test]
async fn a_stream_that_runs_too_long_times_out() {
    let project = project().spec("executionTimeoutMs", json!(2000));
    let endpoint = project.start().await;
    for (function, kwargs, first) in
        [("endless", json!({}), json!(0)), ("hang", json!({"marker": "m"}), json!("begun"))]
    {
        let view = endpoint.post("/runsync", job(function, kwargs)).await.body;
        assert_eq!(view["status"], "TIMED_OUT", "{view}");
        let id = view["id"].as_str().unwrap();
        assert_eq!(read_all(&endpoint, id).await, ("TIMED_OUT".to_owned(), vec![first]));
    }
    assert!(endpoint.post("/runsync", job("pid", json!({}))).await.body["output"].is_u64());
}

#[tokio::test]
async fn a_worker_that_dies_leaves_what_was_yielded_until_the_job_is_retried() {
    let project = project();
    let endpoint = project.start().await;
    let id = submit(&endpoint, job("cut_off", json!({"marker": "m"}))).await;
    assert_eq!(read_some(&endpoint, &id, 1).await[0], "begun first");
    kill(file_appears(&project.path("m")).await.parse().unwrap());
    let view = endpoint.finished(&id).await;
    assert_eq!((&view["status"], view.get("output")), (&json!("FAILED"), None), "{view}");
    assert!(view["error"].as_str().unwrap().contains("SIGKILL"), "{view}");

    endpoint.post(&format!("/retry/{id}"), json!({})).await;
    let again = json!(["begun second", "going on second"]);
    assert_eq!(endpoint.finished(&id).await["output"], again);
    assert_eq!(read_all(&endpoint, &id).await, ("COMPLETED".to_owned(), again.as_array().unwrap().clone()));
}

#[tokio::test]
async fn an_attempt_that_is_cut_off_leaves_no_part_to_the_next() {
    let project = project();
    let endpoint = project.start().await;
    let id = submit(&endpoint, job("cut_off", json!({"marker": "m"}))).await;
    assert_eq!(read_some(&endpoint, &id, 2).await, [json!("begun first"), json!("going on first")]);
    file_appears(&project.path("m")).await;
    drop(endpoint);

    let endpoint = project.start().await;
    let again = json!(["begun second", "going on second"]);
    assert_eq!(endpoint.finished(&id).await["output"], again);
    drop(endpoint);
    // What is not read yet outlives the endpoint too.
    let endpoint = project.start().await;
    assert_eq!(read_all(&endpoint, &id).await, ("COMPLETED".to_owned(), again.as_array().unwrap().clone()));
}

#[tokio::test]
async fn what_the_old_version_yields_can_be_read_at_the_new_one() {
    let mut project = project();
    project.version("it-1");
    let old = project.start().await;
    let id = submit(&old, job("endless", json!({}))).await;
    assert_eq!(read_some(&old, &id, 1).await, [json!(0)]);
    project.version("it-2");
    let new = project.start().await;
    for (number, endpoint) in [(1, &new), (2, &old), (3, &new)] {
        std::fs::write(project.path(&format!("go-{number}")), "").unwrap();
        assert_eq!(read_some(endpoint, &id, 1).await, [json!(number)]);
    }
    new.post(&format!("/cancel/{id}"), json!({})).await;
    std::fs::write(project.path("go-4"), "").unwrap();
    // Its next part is not taken any more.
    file_appears(&project.path("closed")).await;
    assert_eq!(old.get(&format!("/stream/{id}")).await.status, 409);
}
