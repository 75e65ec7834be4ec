//! The same submission twice is one job.

use serde_json::{Value, json};

use crate::queue;
use crate::world::{Endpoint, Response};

fn job(x: u32) -> Value {
    json!({"input": {"function_name": "double", "kwargs": {"x": x}}})
}

async fn submit(endpoint: &Endpoint, verb: &str, key: &str, job: &Value) -> Response {
    endpoint.send(endpoint.request("POST", verb).header("Idempotency-Key", key).json(job)).await
}

#[tokio::test]
async fn the_same_key_and_body_are_one_job_whoever_asks_at_whatever_door() {
    let mut project = queue::project();
    project.version("it-1");
    let old = project.start().await;
    project.version("it-2");
    let new = project.start().await;
    let (one, two) = (job(1), job(2));
    let (here, there) = tokio::join!(submit(&old, "/run", "k", &one), submit(&new, "/run", "k", &one));
    assert_eq!((here.status, there.status), (200, 200), "{here:?} {there:?}");
    let id = here.body["id"].as_str().unwrap();
    assert_eq!(there.body["id"], id);
    assert_eq!(old.finished(id).await["output"], 2);

    let again = submit(&new, "/run", "k", &one).await;
    assert_eq!((again.status, again.body), (200, json!({"id": id, "status": "COMPLETED"})));
    let again = submit(&old, "/runsync", "k", &one).await;
    assert_eq!((&again.body["id"], &again.body["output"]), (&json!(id), &json!(2)), "{again:?}");

    let refused = submit(&new, "/run", "k", &two).await;
    assert_eq!((refused.status, &refused.body["code"]), (422, &json!("FL319")), "{refused:?}");
    let other = submit(&new, "/runsync", "l", &two).await;
    assert_eq!((other.status, &other.body["output"]), (200, &json!(4)), "{other:?}");
    assert_eq!(new.get("/health").await.body["jobs"]["completed"], 2, "two keys, two jobs");

    // The endpoint that accepted it is gone; its jobs are the resource's.
    old.stop().await;
    drop(new);
    let new = project.start().await;
    assert_eq!(submit(&new, "/run", "k", &one).await.body["id"], id);
}

#[tokio::test]
async fn a_key_that_cannot_be_kept_is_refused() {
    let project = queue::project();
    let endpoint = project.start().await;
    for key in ["", &"k".repeat(256)] {
        let refused = submit(&endpoint, "/run", key, &job(1)).await;
        assert_eq!((refused.status, &refused.body["code"]), (400, &json!("FL311")), "{refused:?}");
    }
    assert_eq!(submit(&endpoint, "/run", &"k".repeat(255), &job(1)).await.status, 200);
}
