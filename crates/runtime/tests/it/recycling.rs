//! Workers that are followed by new ones although they work.

use flash_runtime::Recycling;
use serde_json::json;

use crate::world::{Project, eventually, route};

const CODE: &str = r#"
import os
hoard = []
def pid():
    return os.getpid()
def grow():
    hoard.append(bytearray(os.urandom(1)) * 200_000_000)
    return os.getpid()
"#;

fn project(recycling: Recycling) -> Project {
    let functions = json!([route("pid", false, "GET", "/pid"), route("grow", false, "POST", "/grow")]);
    let mut project = Project::new("load_balanced", CODE, functions);
    project.recycling = recycling;
    project
}

#[tokio::test]
async fn after_so_many_calls() {
    let project = project(Recycling { calls_max: Some(3), bytes_max: None });
    let endpoint = project.start().await;
    let mut pids = Vec::new();
    for _ in 0..9 {
        let answer = endpoint.get("/pid").await;
        assert_eq!(answer.status, 200, "nobody notices: {answer:?}");
        pids.push(answer.body);
    }
    let counts: Vec<usize> = pids.chunk_by(|left, right| left == right).map(<[_]>::len).collect();
    assert_eq!(counts, [3, 3, 3], "{pids:?}");
}

#[tokio::test]
async fn when_it_has_grown() {
    let project = project(Recycling { calls_max: None, bytes_max: Some(150_000_000) });
    let endpoint = project.start().await;
    let first = endpoint.get("/pid").await.body;
    assert_eq!(endpoint.get("/pid").await.body, first);
    assert_eq!(endpoint.post("/grow", json!({})).await.body, first);
    eventually("another worker", || async {
        let answer = endpoint.get("/pid").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        if answer.body == first { Err(answer.body.to_string()) } else { Ok(()) }
    })
    .await;
}
