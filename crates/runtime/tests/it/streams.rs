use bytes::Bytes;
use serde_json::json;

use crate::world::{Endpoint, Project, eventually, file_appears, function, kill, route};

const CODE: &str = r#"
import asyncio, os, pathlib, time

async def steps():
    yield "one"
    while not pathlib.Path("go").exists():
        await asyncio.sleep(0.005)
    yield "two"

def steps_sync():
    yield "one"
    while not pathlib.Path("go").exists():
        time.sleep(0.005)
    yield "two"

async def rows(count: int):
    for number in range(count):
        yield {"number": number}

async def fails(late: bool):
    if late:
        yield "some"
    raise ValueError("no luck")

made = 0

async def endless():
    global made
    try:
        while True:
            yield b"x" * 65536
            made += 1
    finally:
        pathlib.Path("closed").write_text(str(made))

def endless_sync():
    global made
    try:
        while True:
            yield b"x" * 65536
            made += 1
    finally:
        pathlib.Path("closed").write_text(str(made))

async def count():
    return made

async def waits():
    yield "begun"
    await asyncio.sleep(1000)

def sleeps():
    yield "begun"
    time.sleep(1000)

async def pid():
    return os.getpid()
"#;

fn project() -> Project {
    Project::new(
        "load_balanced",
        CODE,
        json!([
            route("steps", true, "GET", "/steps"),
            route("steps_sync", false, "GET", "/steps_sync"),
            route("rows", true, "GET", "/rows"),
            route("fails", true, "GET", "/fails"),
            route("endless", true, "GET", "/endless"),
            route("endless_sync", false, "GET", "/endless_sync"),
            route("count", true, "GET", "/count"),
            route("waits", true, "GET", "/waits"),
            route("sleeps", false, "GET", "/sleeps"),
            function("pid", true),
        ]),
    )
}

async fn open(endpoint: &Endpoint, path: &str) -> reqwest::Response {
    let response = endpoint.request("GET", path).send().await.unwrap();
    assert_eq!(response.status(), 200, "{path}");
    response
}

async fn first(response: &mut reqwest::Response) -> Bytes {
    response.chunk().await.unwrap().unwrap()
}

#[tokio::test]
async fn items_arrive_as_they_are_made() {
    for path in ["/steps", "/steps_sync"] {
        let project = project();
        let endpoint = project.start().await;
        let mut response = open(&endpoint, path).await;
        assert_eq!(response.headers()["content-type"], "text/plain; charset=utf-8");
        assert_eq!(response.headers()["transfer-encoding"], "chunked");
        assert_eq!(first(&mut response).await, "one");
        // The function waits for this before it goes on, so the first item has not waited for the second.
        std::fs::write(project.path("go"), "").unwrap();
        assert_eq!(response.text().await.unwrap(), "two");
    }
}

#[tokio::test]
async fn values_are_lines_of_json() {
    let project = project();
    let endpoint = project.start().await;
    let response = open(&endpoint, "/rows?count=1000").await;
    assert_eq!(response.headers()["content-type"], "application/jsonl");
    let text = response.text().await.unwrap();
    let expected: String = (0..1000).map(|number| format!("{{\"number\":{number}}}\n")).collect();
    assert_eq!(text, expected);
    let empty = open(&endpoint, "/rows?count=0").await;
    assert_eq!(empty.headers()["content-type"], "application/jsonl");
    assert_eq!(empty.headers()["content-length"], "0");
}

#[tokio::test]
async fn a_failure_is_an_error_before_the_first_item_and_an_incomplete_body_after_it() {
    let project = project();
    let endpoint = project.start().await;
    let early = endpoint.get("/fails?late=false").await;
    assert_eq!((early.status, &early.body["exception"]["message"]), (500, &json!("no luck")));
    let mut late = open(&endpoint, "/fails?late=true").await;
    assert_eq!(first(&mut late).await, "some");
    late.chunk().await.unwrap_err();
    assert_eq!(endpoint.get("/count").await.body, 0);
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_the_generator() {
    for path in ["/endless", "/endless_sync"] {
        let project = project();
        let endpoint = project.start().await;
        let mut response = open(&endpoint, path).await;
        first(&mut response).await;
        drop(response);
        file_appears(&project.path("closed")).await;
    }
}

#[tokio::test]
async fn a_caller_that_does_not_read_stops_the_generator() {
    for path in ["/endless", "/endless_sync"] {
        let project = project();
        let endpoint = project.start().await;
        let mut response = open(&endpoint, path).await;
        first(&mut response).await;
        let made = async || endpoint.get("/count").await.body.as_u64().unwrap();
        let settled = eventually("the generator to stop", || async {
            let before = made().await;
            // Each of these runs on the loop that would make more items if it might.
            for _ in 0..50 {
                endpoint.get("/count").await;
            }
            let after = made().await;
            if before == after { Ok(after) } else { Err(format!("{before}, then {after}")) }
        })
        .await;
        // What the sockets between us hold, and the parts under way.
        assert!(settled < 1024, "{settled} blocks of 64 KiB were made for nobody");
        // It goes on when the caller does.
        let mut read = 0;
        while read < (settled + 100) * 65536 {
            read += first(&mut response).await.len() as u64;
        }
    }
}

#[tokio::test]
async fn a_worker_that_dies_leaves_an_incomplete_body() {
    let project = project();
    let endpoint = project.start().await;
    let pid = endpoint.worker_pid().await;
    let mut response = open(&endpoint, "/waits").await;
    assert_eq!(first(&mut response).await, "begun");
    kill(pid);
    response.chunk().await.unwrap_err();
    assert_eq!(endpoint.get("/count").await.status, 200);
}

#[tokio::test]
async fn a_stream_that_runs_too_long_is_cut_off() {
    let project = project().spec("executionTimeoutMs", json!(1000));
    let endpoint = project.start().await;
    let pid = endpoint.worker_pid().await;
    for (path, survives) in [("/waits", true), ("/sleeps", false)] {
        let mut response = open(&endpoint, path).await;
        assert_eq!(first(&mut response).await, "begun");
        response.chunk().await.unwrap_err();
        assert_eq!(endpoint.get("/count").await.status, 200);
        if survives {
            assert_eq!(endpoint.worker_pid().await, pid);
        } else {
            eventually("the worker that does not stop to be ended", || async {
                let answer = endpoint.post("/_flash/call/pid", json!({})).await;
                if answer.status == 200 && answer.body != pid { Ok(()) } else { Err(format!("{answer:?}")) }
            })
            .await;
        }
    }
}
