use serde_json::{Value, json};

use crate::world::{Project, TOKEN, eventually, file_appears, function, kill};

const CODE: &str = r#"
import os, pathlib, time

def double(x: int):
    return x * 2

def pid():
    return os.getpid()

def broken(text: str):
    raise KeyError(text)

def hang(marker: str):
    pathlib.Path(marker).write_text(str(os.getpid()))
    time.sleep(1000)

def once(marker: str):
    path = pathlib.Path(marker)
    if path.exists():
        return "second time"
    path.write_text("begun")
    time.sleep(1000)
"#;

pub(crate) fn project() -> Project {
    let functions = ["double", "pid", "broken", "hang", "once"].map(|name| function(name, false));
    Project::new("queue", CODE, json!(functions))
}

fn input(function: &str, kwargs: Value) -> Value {
    json!({"input": {"function_name": function, "kwargs": kwargs}, "policy": {"ttl": 60_000}, "unknown": "x"})
}

#[tokio::test]
async fn jobs_run_and_can_be_asked_for() {
    let project = project();
    let endpoint = project.start().await;
    let view = endpoint.post("/runsync", input("double", json!({"x": 21}))).await;
    assert_eq!(
        (view.status, &view.body["status"], &view.body["output"]),
        (200, &json!("COMPLETED"), &json!(42))
    );
    for field in ["delayTime", "executionTime"] {
        assert!(view.body[field].is_u64(), "{view:?}");
    }
    assert!(view.body["workerId"].as_str().unwrap().starts_with("it-1-"), "{view:?}");
    let id = view.body["id"].as_str().unwrap();
    assert!(id.starts_with("sync-"));
    assert_eq!(endpoint.get(&format!("/status/{id}")).await.body, view.body);

    let accepted = endpoint.post("/run", input("double", json!({"x": 1}))).await;
    assert_eq!((accepted.status, &accepted.body["status"]), (200, &json!("IN_QUEUE")));
    assert_eq!(endpoint.finished(accepted.body["id"].as_str().unwrap()).await["output"], 2);

    let failed = endpoint.post("/runsync", input("broken", json!({"text": "hi"}))).await;
    assert_eq!((failed.status, &failed.body["status"]), (200, &json!("FAILED")));
    assert!(failed.body["error"].as_str().unwrap().contains("KeyError"), "{failed:?}");

    let health = endpoint.get("/health").await.body;
    assert_eq!(
        health["jobs"],
        json!({"completed": 2, "failed": 1, "inProgress": 0, "inQueue": 0, "retried": 0})
    );
    assert_eq!(health["workers"]["ready"], 1);
    assert_eq!(health["workers"].as_object().unwrap().len(), 6);
}

#[tokio::test]
async fn what_is_asked_wrongly_is_refused() {
    let project = project();
    let endpoint = project.start().await;
    let with = |name: &str, value| json!({"input": {}, name: value});
    for (body, status, code) in [
        (json!({}), 400, "FL311"),
        (json!([1]), 400, "FL311"),
        (with("policy", json!({"ttl": 1})), 400, "FL311"),
        (with("policy", json!({"executionTimeout": 1})), 400, "FL311"),
        (with("policy", json!({"lowPriority": "yes"})), 400, "FL311"),
        (with("policy", json!(7)), 400, "FL311"),
        (with("webhook", json!("ftp://example")), 400, "FL311"),
        (with("webhook", json!(7)), 400, "FL311"),
    ] {
        let answer = endpoint.post("/run", body).await;
        assert_eq!((answer.status, answer.body["code"].as_str()), (status, Some(code)));
    }
    let unreadable = endpoint.request("POST", "/run").body(r#"{"input": {"text": "\ud800"}}"#);
    let answer = endpoint.send(unreadable).await;
    assert_eq!((answer.status, &answer.body["code"]), (400, &json!("FL311")), "{answer:?}");
    for (method, path, status, code) in [
        ("GET", "/status/none", 404, "FL314"),
        ("POST", "/cancel/none", 404, "FL314"),
        ("POST", "/retry/none", 404, "FL314"),
        ("GET", "/run", 405, "FL302"),
        ("GET", "/other", 404, "FL301"),
        ("GET", "/manifest", 403, "FL303"),
    ] {
        let answer = endpoint.send(endpoint.request(method, path)).await;
        assert_eq!((answer.status, answer.body["code"].as_str()), (status, Some(code)), "{method} {path}");
    }
}

#[tokio::test]
async fn the_pickled_envelope_is_for_token_holders() {
    let project = project();
    let endpoint = project.start().await;
    // pickle.dumps(21), protocol 4
    let body = json!({"input": {"function_name": "double", "args": ["gARLFS4="], "kwargs": {}}});
    let refused = endpoint.post("/runsync", body.clone()).await;
    assert_eq!((refused.status, &refused.body["code"]), (401, &json!("FL308")));
    let request = endpoint.request("POST", "/runsync").bearer_auth(TOKEN).json(&body);
    let view = endpoint.send(request).await.body;
    assert_eq!((&view["status"], &view["output"]["success"]), (&json!("COMPLETED"), &json!(true)), "{view}");
    assert!(view["output"]["result"].is_string());
}

#[tokio::test]
async fn waiting_and_running_jobs_can_be_cancelled() {
    let project = project();
    let endpoint = project.start().await;
    let submit = |marker: &str| endpoint.post("/run", input("hang", json!({"marker": marker})));
    let running = submit("running").await.body["id"].as_str().unwrap().to_owned();
    let waiting = submit("waiting").await.body["id"].as_str().unwrap().to_owned();
    file_appears(&project.path("running")).await;
    let health = endpoint.get("/health").await.body;
    assert_eq!((&health["jobs"]["inProgress"], &health["jobs"]["inQueue"]), (&json!(1), &json!(1)));

    for id in [&waiting, &running] {
        let cancelled = endpoint.post(&format!("/cancel/{id}"), json!({})).await.body;
        assert_eq!(cancelled, json!({"id": id, "status": "CANCELLED"}));
        assert_eq!(endpoint.finished(id).await["status"], "CANCELLED");
    }
    // A plain function cannot be interrupted, so its worker was ended for it.
    let next = endpoint.post("/runsync", input("double", json!({"x": 1}))).await;
    assert_eq!(next.body["output"], 2, "{next:?}");
    assert!(!project.path("waiting").exists());
}

#[tokio::test]
async fn runsync_gives_the_view_when_the_wait_is_over_and_purge_empties_the_queue() {
    let project = project();
    let endpoint = project.start().await;
    let view = endpoint.post("/runsync?wait=50", input("hang", json!({"marker": "m"}))).await;
    assert_eq!(view.status, 200);
    assert!(["IN_QUEUE", "IN_PROGRESS"].contains(&view.body["status"].as_str().unwrap()));
    file_appears(&project.path("m")).await;
    let id =
        endpoint.post("/run", input("double", json!({"x": 1}))).await.body["id"].as_str().unwrap().to_owned();
    let purged = endpoint.send(endpoint.request("POST", "/purge-queue")).await.body;
    assert_eq!(purged, json!({"removed": 1, "status": "completed"}));
    assert_eq!(endpoint.finished(&id).await["status"], "CANCELLED");
}

#[tokio::test]
async fn a_job_that_runs_too_long_times_out_and_can_be_retried() {
    let project = project().spec("executionTimeoutMs", json!(300));
    let endpoint = project.start().await;
    let view = endpoint.post("/runsync", input("once", json!({"marker": "marker"}))).await.body;
    assert_eq!(view["status"], "TIMED_OUT", "{view}");
    assert!(view["error"].as_str().unwrap().contains("300 ms"), "{view}");
    let id = view["id"].as_str().unwrap();
    assert_eq!(endpoint.post(&format!("/retry/{id}"), json!({})).await.body["status"], "IN_QUEUE");
    assert_eq!(endpoint.finished(id).await["output"], "second time");
    let refused = endpoint.post(&format!("/retry/{id}"), json!({})).await;
    assert_eq!(refused.status, 409);
    assert!(refused.body["detail"].as_str().unwrap().contains("is COMPLETED;"), "{refused:?}");
}

#[tokio::test]
async fn jobs_that_time_out_end_in_turn_and_the_next_runs() {
    let project = project().spec("executionTimeoutMs", json!(1_500));
    let endpoint = project.start().await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        let accepted = endpoint.post("/run", input("hang", json!({"marker": "m"}))).await;
        ids.push(accepted.body["id"].as_str().unwrap().to_owned());
    }
    // That no back-off lies between is said by `workers_that_we_end_do_not_count…`, on a clock of its own.
    let view = endpoint.post("/runsync", input("double", json!({"x": 1}))).await.body;
    assert_eq!(view["output"], 2, "{view}");
    for id in ids {
        let before = endpoint.get(&format!("/status/{id}")).await.body;
        assert_eq!(before["status"], "TIMED_OUT", "{before}");
    }
}

#[tokio::test]
async fn whoever_waits_for_a_job_is_answered_when_the_endpoint_stops() {
    let project = project();
    let endpoint = project.start().await;
    let request = endpoint.request("POST", "/runsync").json(&input("hang", json!({"marker": "m"})));
    let waiting = tokio::spawn(request.send());
    file_appears(&project.path("m")).await;
    endpoint.begin_stop();
    let response = waiting.await.unwrap().unwrap();
    assert_eq!(response.status(), 200);
    let view: Value = response.json().await.unwrap();
    assert_eq!(view["status"], "IN_PROGRESS", "{view}");
}

#[tokio::test]
async fn output_is_not_touched() {
    let project = project();
    let endpoint = project.start().await;
    let job = r#"{"input": {"function_name": "double", "kwargs": {"x": 123456789012345678901234567890}}}"#;
    let response = endpoint.request("POST", "/runsync").body(job).send().await.unwrap();
    let text = response.text().await.unwrap();
    assert!(text.contains(r#""output":246913578024691357802469135780"#), "{text}");
}

#[tokio::test]
async fn a_worker_that_dies_fails_its_job_only() {
    let project = project();
    let endpoint = project.start().await;
    let id = endpoint.post("/run", input("hang", json!({"marker": "m"}))).await.body["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let next =
        endpoint.post("/run", input("double", json!({"x": 4}))).await.body["id"].as_str().unwrap().to_owned();
    let pid: i32 = loop {
        if let Ok(pid) = file_appears(&project.path("m")).await.parse() {
            break pid;
        }
    };
    kill(pid);
    let failed = endpoint.finished(&id).await;
    assert_eq!(failed["status"], "FAILED");
    assert!(failed["error"].as_str().unwrap().contains("SIGKILL"), "{failed}");
    assert_eq!(endpoint.finished(&next).await["output"], 8);
}

#[tokio::test]
async fn a_job_has_its_own_time_out_and_its_own_time_to_live() {
    let project = project().spec("workersMax", json!(3));
    let endpoint = project.start().await;
    let mut limited = input("hang", json!({"marker": "limited"}));
    limited["policy"] = json!({"executionTimeout": 5000});
    let limited = endpoint.post("/run", limited).await.body["id"].as_str().unwrap().to_owned();
    let mut mortal = input("hang", json!({"marker": "mortal"}));
    mortal["policy"] = json!({"ttl": 10_000});
    let waiting = tokio::spawn(endpoint.request("POST", "/runsync").json(&mortal).send());
    let pid = file_appears(&project.path("mortal")).await.parse::<i32>().unwrap();

    let view = endpoint.finished(&limited).await;
    assert_eq!(view["status"], "TIMED_OUT", "the endpoint itself sets no limit: {view}");
    assert!(view["error"].as_str().unwrap().contains("5000 ms"), "{view}");

    let gone = waiting.await.unwrap().unwrap();
    assert_eq!(gone.status(), 404);
    eventually("its worker to be ended", || async {
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::test_kill_process(pid).err().map(drop).ok_or("it runs".to_owned())
    })
    .await;
    let health = endpoint.get("/health").await.body;
    let expected = json!({"completed": 0, "failed": 1, "inProgress": 0, "inQueue": 0, "retried": 0});
    assert_eq!(health["jobs"], expected);
}

#[tokio::test]
async fn a_job_of_low_priority_waits_for_a_worker_that_is_there() {
    let project = project().spec("workersMax", json!(2));
    let endpoint = project.start().await;
    let hang = endpoint.post("/run", input("hang", json!({"marker": "one"}))).await.body["id"].clone();
    file_appears(&project.path("one")).await;
    let mut patient = input("double", json!({"x": 1}));
    patient["policy"] = json!({"lowPriority": true});
    let patient = endpoint.post("/run", patient).await.body["id"].as_str().unwrap().to_owned();
    let view = endpoint.get(&format!("/status/{patient}")).await.body;
    assert_eq!(view["status"], "IN_QUEUE");

    // The next one is a reason for a second worker, and that one then does both.
    let urgent = endpoint.post("/runsync", input("pid", json!({}))).await.body;
    assert_eq!(urgent["status"], "COMPLETED", "{urgent}");
    let patient = endpoint.finished(&patient).await;
    assert_eq!(patient["output"], 2);
    let workers = [&urgent, &patient].map(|view| view["workerId"].as_str().unwrap().to_owned());
    assert_eq!(workers, ["it-1-2", "it-1-2"]);
    endpoint.post(&format!("/cancel/{}", hang.as_str().unwrap()), json!({})).await;
}

#[tokio::test]
async fn who_only_looks_waits_for_nobody_who_writes() {
    let project = project();
    let endpoint = project.start().await;
    let view = endpoint.post("/runsync", input("double", json!({"x": 1}))).await.body;
    let other = rusqlite::Connection::open(project.path("endpoint/jobs.sqlite")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let id = view["id"].as_str().unwrap();
    assert_eq!(endpoint.get(&format!("/status/{id}")).await.body, view);
    assert_eq!(endpoint.get("/health").await.body["jobs"]["completed"], 1);
    assert_eq!(endpoint.get("/dead").await.body["total"], 0);
    other.execute_batch("ROLLBACK").unwrap();
}
