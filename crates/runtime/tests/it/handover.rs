//! Two versions of a resource's endpoint on one queue.

use serde_json::{Value, json};

use crate::world::{Endpoint, Project, eventually, file_appears, function};

const CODE: &str = r#"
import pathlib, time

VERSION = 1

def version():
    return VERSION

def hold(marker: str):
    pathlib.Path(marker).write_text("begun")
    while not pathlib.Path("go").exists():
        time.sleep(0.01)
    return VERSION

def once(marker: str):
    path = pathlib.Path(marker)
    if path.exists():
        return f"second time, by {VERSION}"
    path.write_text("begun")
    time.sleep(1000)
"#;

fn job(function: &str, kwargs: Value) -> Value {
    json!({"input": {"function_name": function, "kwargs": kwargs}})
}

async fn submit(endpoint: &Endpoint, job: Value) -> String {
    let accepted = endpoint.post("/run", job).await;
    assert_eq!(accepted.status, 200, "{accepted:?}");
    accepted.body["id"].as_str().unwrap().to_owned()
}

async fn status(endpoint: &Endpoint, id: &str) -> String {
    let view = endpoint.get(&format!("/status/{id}")).await;
    assert_eq!(view.status, 200, "{view:?}");
    view.body["status"].as_str().unwrap().to_owned()
}

async fn begun() -> (Project, Endpoint) {
    let functions = ["version", "hold", "once"].map(|name| function(name, false));
    let mut project = Project::new("queue", CODE, json!(functions));
    project.version("it-1");
    let endpoint = project.start().await;
    (project, endpoint)
}

fn change(project: &mut Project) {
    project.write_code(&CODE.replace("VERSION = 1", "VERSION = 2"));
    project.version("it-2");
}

#[tokio::test]
async fn the_next_version_takes_over_once_it_is_used_and_every_job_is_run() {
    let (mut project, old) = begun().await;
    let running = submit(&old, job("hold", json!({"marker": "m"}))).await;
    file_appears(&project.path("m")).await;
    let waiting = submit(&old, job("version", json!({}))).await;
    let caller = tokio::spawn(old.request("POST", "/runsync").json(&job("version", json!({}))).send());

    change(&mut project);
    let new = project.start().await;
    assert_eq!(status(&new, &running).await, "IN_PROGRESS");
    assert_eq!(status(&new, &waiting).await, "IN_QUEUE");
    let direct = new.post("/_flash/call/version", json!({})).await;
    assert_eq!(direct.body, 2, "functions are called past the queue");

    let during = submit(&new, job("version", json!({}))).await;
    for endpoint in [&old, &new] {
        for id in [&waiting, &during] {
            let view = endpoint.finished(id).await;
            assert_eq!(view["output"], 2, "{view}");
            assert!(view["workerId"].as_str().unwrap().starts_with("it-2-"), "{view}");
        }
    }
    assert_eq!(status(&new, &running).await, "IN_PROGRESS", "nobody waits for it");
    std::fs::write(project.path("go"), "").unwrap();
    for endpoint in [&old, &new] {
        assert_eq!(endpoint.finished(&running).await["output"], 1, "what was begun is finished");
    }
    let answer: Value = caller.await.unwrap().unwrap().json().await.unwrap();
    assert_eq!((&answer["status"], &answer["output"]), (&json!("COMPLETED"), &json!(2)), "{answer}");

    let late = old.post("/runsync", job("version", json!({}))).await;
    assert_eq!(late.body["output"], 2, "who still comes to the old one is served by the new one: {late:?}");
    old.stop().await;
    assert_eq!(new.post("/runsync", job("version", json!({}))).await.body["output"], 2);
}

#[tokio::test]
async fn a_version_that_cannot_be_loaded_leaves_the_queue_to_the_old_one() {
    let (mut project, old) = begun().await;
    project.write_code("raise RuntimeError('not today')");
    project.version("it-2");
    let new = project.start_unready().await;
    eventually("the import to fail", || async {
        let ping = new.get("/ping").await;
        assert_eq!(old.post("/runsync", job("version", json!({}))).await.body["output"], 1);
        if ping.status == 503 { Ok(()) } else { Err(format!("{ping:?}")) }
    })
    .await;
    let refused = new.post("/run", job("version", json!({}))).await;
    assert_eq!((refused.status, &refused.body["code"]), (503, &json!("FL312")), "{refused:?}");
    assert_eq!(old.post("/runsync", job("version", json!({}))).await.body["output"], 1);
    new.stop().await;
    assert_eq!(old.post("/runsync", job("version", json!({}))).await.body["output"], 1);
}

#[tokio::test]
async fn a_hard_end_of_either_version_in_mid_switch_loses_nothing() {
    let (mut project, old) = begun().await;
    let cut_off = submit(&old, job("once", json!({"marker": "first"}))).await;
    file_appears(&project.path("first")).await;
    let waiting = submit(&old, job("version", json!({}))).await;
    change(&mut project);
    let new = project.start().await;
    let during = submit(&new, job("version", json!({}))).await;
    drop(old);
    assert_eq!(new.finished(&cut_off).await["output"], "second time, by 2");
    assert_eq!(new.finished(&waiting).await["output"], 2);
    assert_eq!(new.finished(&during).await["output"], 2);

    // And the other way round: the third version has taken over from the second, and goes.
    let third_job = job("once", json!({"marker": "second"}));
    project.version("it-3");
    project.write_code(&CODE.replace("VERSION = 1", "VERSION = 3"));
    let third = project.start().await;
    let cut_off = submit(&third, third_job).await;
    file_appears(&project.path("second")).await;
    drop(third);
    assert_eq!(new.finished(&cut_off).await["output"], "second time, by 2");
}

#[tokio::test]
async fn a_job_that_is_cut_off_is_run_again_by_the_next_version() {
    let (mut project, old) = begun().await;
    let request = old.request("POST", "/runsync").json(&job("once", json!({"marker": "m"})));
    let caller = tokio::spawn(request.send());
    file_appears(&project.path("m")).await;
    change(&mut project);
    let new = project.start().await;
    old.begin_stop();
    let told: Value = caller.await.unwrap().unwrap().json().await.unwrap();
    assert_eq!(told["status"], "IN_PROGRESS", "{told}");
    old.ended().await;
    let view = new.finished(told["id"].as_str().unwrap()).await;
    assert_eq!(view["output"], "second time, by 2", "{view}");
}

#[tokio::test]
async fn an_endpoint_that_drains_can_be_told_to_end_soon() {
    let (mut project, old) = begun().await;
    let cut_off = submit(&old, job("once", json!({"marker": "m"}))).await;
    file_appears(&project.path("m")).await;
    change(&mut project);
    let new = project.start().await;
    old.begin_drain();
    assert_eq!(new.post("/runsync", job("version", json!({}))).await.body["output"], 2);
    assert_eq!(status(&new, &cut_off).await, "IN_PROGRESS");
    old.begin_stop();
    old.ended().await;
    assert_eq!(new.finished(&cut_off).await["output"], "second time, by 2");
}

#[tokio::test]
async fn a_job_that_the_old_version_finishes_can_be_cancelled_at_the_new_one() {
    let (mut project, old) = begun().await;
    let running = submit(&old, job("once", json!({"marker": "m"}))).await;
    file_appears(&project.path("m")).await;
    change(&mut project);
    let new = project.start().await;
    assert_eq!(new.post("/runsync", job("version", json!({}))).await.body["output"], 2);
    old.begin_drain();
    let cancelled = new.post(&format!("/cancel/{running}"), json!({})).await;
    assert_eq!((cancelled.status, &cancelled.body["status"]), (200, &json!("CANCELLED")), "{cancelled:?}");
    // With nothing left in hand.
    old.ended().await;
    assert_eq!(status(&new, &running).await, "CANCELLED");
}

#[tokio::test]
async fn callers_of_the_old_version_are_answered_while_it_drains() {
    let (mut project, old) = begun().await;
    let send = |job: Value| tokio::spawn(old.request("POST", "/runsync").json(&job).send());
    let running = send(job("hold", json!({"marker": "m"})));
    file_appears(&project.path("m")).await;
    let waiting = send(job("version", json!({})));
    eventually("both to be accepted", || async {
        let jobs = old.get("/health").await.body["jobs"].clone();
        if jobs["inQueue"] == 1 { Ok(()) } else { Err(jobs.to_string()) }
    })
    .await;
    change(&mut project);
    let _new = project.start().await;
    old.begin_drain();
    eventually("the door to close", || async {
        match old.request("GET", "/ping").send().await {
            Err(error) if error.is_connect() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    std::fs::write(project.path("go"), "").unwrap();
    for (caller, output) in [(running, 1), (waiting, 2)] {
        let view: Value = caller.await.unwrap().unwrap().json().await.unwrap();
        assert_eq!((&view["status"], &view["output"]), (&json!("COMPLETED"), &json!(output)), "{view}");
    }
    old.ended().await;
}

#[tokio::test]
async fn jobs_of_an_endpoint_with_a_queue_of_its_own_are_taken_over() {
    let functions = ["version", "hold", "once"].map(|name| function(name, false));
    let mut project = Project::new("queue", CODE, json!(functions));
    let endpoint = project.start().await;
    let done = endpoint.post("/runsync", job("version", json!({}))).await.body;
    let cut_off = submit(&endpoint, job("once", json!({"marker": "m"}))).await;
    file_appears(&project.path("m")).await;
    let waiting = submit(&endpoint, job("version", json!({}))).await;
    drop(endpoint);

    change(&mut project);
    std::fs::create_dir(project.path("queue")).unwrap();
    for suffix in ["-wal", ""] {
        let from = project.path(&format!("endpoint/jobs.sqlite{suffix}"));
        let renamed = std::fs::rename(from, project.path(&format!("queue/earlier-it-1.sqlite{suffix}")));
        // The last connection, which may end just now, takes the log into the database and removes it.
        assert!(renamed.is_ok() || suffix == "-wal", "{renamed:?}");
    }
    let endpoint = project.start_unready().await;
    let id = done["id"].as_str().unwrap();
    assert_eq!(endpoint.get(&format!("/status/{id}")).await.body, done);
    assert_eq!(endpoint.finished(&cut_off).await["output"], "second time, by 2");
    assert_eq!(endpoint.finished(&waiting).await["output"], 2);
    assert!(!project.path("queue/earlier-it-1.sqlite").exists());
}

#[tokio::test]
async fn an_endpoint_whose_queue_is_removed_ends() {
    let (project, endpoint) = begun().await;
    std::fs::remove_dir_all(project.path("queue")).unwrap();
    endpoint.ended().await;
}
