//! Jobs that failed for good, and queueing them again.

use serde_json::{Value, json};

use crate::retries::{job, project, submit};
use crate::world::{Endpoint, Project, eventually, file_appears, function};

async fn dead(endpoint: &Endpoint) -> Vec<Value> {
    let answer = endpoint.get("/dead").await.body;
    let letters = answer["dead"].as_array().unwrap().clone();
    assert_eq!(answer["total"], letters.len(), "{answer}");
    letters
}

#[tokio::test]
async fn what_failed_for_good_is_listed_and_runs_again_when_asked() {
    let project = project();
    let endpoint = project.start().await;
    let ordinary = submit(&endpoint, job("flaky", json!({"marker": "o", "good": 9}), json!({}))).await;
    assert_eq!(endpoint.finished(&ordinary).await["status"], "FAILED");
    let policy = json!({"maxRetries": 1});
    let (mut ids, mut jobs) = (Vec::new(), Vec::new());
    for marker in ["a", "b", "c"] {
        let job = job("flaky", json!({"marker": marker, "good": 3}), policy.clone());
        let id = submit(&endpoint, job.clone()).await;
        let view = endpoint.finished(&id).await;
        assert_eq!((&view["status"], &view["retries"]), (&json!("FAILED"), &json!(1)), "{view}");
        ids.push(id);
        jobs.push(job);
    }
    let letters = dead(&endpoint).await;
    let listed: Vec<_> = letters.iter().map(|letter| letter["id"].as_str().unwrap()).collect();
    assert_eq!(listed, [&*ids[2], &*ids[1], &*ids[0]], "the newest first, and none without retries");
    for (letter, job) in letters.iter().rev().zip(&jobs) {
        assert_eq!((&letter["status"], &letter["attempts"]), (&json!("FAILED"), &json!(2)), "{letter}");
        assert_eq!(letter["inputBytes"], job["input"].to_string().len(), "{letter}");
        assert!(letter["error"].as_str().unwrap().contains("RuntimeError: time 2"), "{letter}");
        assert!(letter["diedAtMs"].as_u64().unwrap() > 1_700_000_000_000, "{letter}");
    }
    let some = endpoint.get("/dead?limit=1").await.body;
    assert_eq!((&some["total"], some["dead"].as_array().unwrap().len()), (&json!(3), 1));
    let refused = endpoint.get("/dead?limit=0").await;
    assert_eq!((refused.status, &refused.body["code"]), (400, &json!("FL311")));

    let one = endpoint.post(&format!("/redrive/{}", ids[1]), json!({})).await;
    assert_eq!((one.status, one.body), (200, json!({"id": ids[1], "status": "IN_QUEUE"})));
    assert_eq!(endpoint.finished(&ids[1]).await["output"], 3);
    for (id, status, code) in
        [(&ids[1], 409, "FL401"), (&ordinary, 409, "FL401"), (&"none".to_owned(), 404, "FL314")]
    {
        let refused = endpoint.post(&format!("/redrive/{id}"), json!({})).await;
        assert_eq!((refused.status, refused.body["code"].as_str()), (status, Some(code)), "{refused:?}");
    }
    let all = endpoint.post("/redrive", json!({})).await;
    assert_eq!((all.status, all.body), (200, json!({"redriven": 2, "status": "completed"})));
    for id in [&ids[0], &ids[2]] {
        let view = endpoint.finished(id).await;
        assert_eq!((&view["output"], &view["retries"]), (&json!(3), &json!(2)), "{view}");
    }
    assert!(dead(&endpoint).await.is_empty());
    assert_eq!(endpoint.post("/redrive", json!({})).await.body["redriven"], 0);
    assert_eq!(endpoint.get("/redrive").await.status, 405);
    assert_eq!(endpoint.post("/dead", json!({})).await.status, 405);
}

#[tokio::test]
async fn a_job_that_takes_its_endpoint_down_is_a_dead_letter_and_can_be_retried() {
    let code = r#"
import pathlib, time
def hang():
    count = len(list(pathlib.Path(".").glob("begun-*"))) + 1
    pathlib.Path(f"begun-{count}").touch()
    while not pathlib.Path("go").exists():
        time.sleep(0.01)
    return count
"#;
    let project = Project::new("queue", code, json!([function("hang", false)]));
    let mut id = String::new();
    for attempt in 1..=3 {
        let endpoint = project.start().await;
        if attempt == 1 {
            id = submit(&endpoint, json!({"input": {}})).await;
        }
        file_appears(&project.path(&format!("begun-{attempt}"))).await;
        drop(endpoint);
    }
    let endpoint = project.start().await;
    let letters = eventually("the job to be given up", || async {
        let letters = dead(&endpoint).await;
        if letters.is_empty() { Err("none".to_owned()) } else { Ok(letters) }
    })
    .await;
    assert_eq!((&letters[0]["id"], &letters[0]["attempts"]), (&json!(id), &json!(3)));
    assert!(letters[0]["error"].as_str().unwrap().contains("3 times"), "{letters:?}");
    std::fs::write(project.path("go"), "").unwrap();
    assert_eq!(endpoint.post(&format!("/retry/{id}"), json!({})).await.body["status"], "IN_QUEUE");
    assert_eq!(endpoint.finished(&id).await["output"], 4);
    assert!(dead(&endpoint).await.is_empty());
}
