//! The example projects, called every way that a person would.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Project, Running, is_alive, text};

#[tokio::test]
async fn pipeline_answers_over_every_door() {
    let project = Project::example("pipeline");
    let mut running = project.run();
    let manifest = running.until_ready().await;

    let text_in = json!({"text": "what a wonderful day"});
    let front = running.post("/lb/api/classify", text_in.clone()).await.parts();
    assert_eq!((front.0, &front.1["label"]), (200, &json!("POSITIVE")), "{}", front.1);
    let own_url = manifest["resources"]["api"]["endpoint_url"].as_str().unwrap();
    let own = running.post(&format!("{own_url}/classify"), text_in.clone()).await.parts();
    assert_eq!((own.0, &own.1["label"]), (200, &json!("POSITIVE")));
    assert_eq!(own.1["worker"]["loads"], 1, "the model is loaded once and kept");
    assert_eq!(own.1["worker"]["pid"], front.1["worker"]["pid"]);
    assert!(own.1["worker"]["asked"].as_u64() > front.1["worker"]["asked"].as_u64());

    let (status, job) = running.post("/v2/prep/runsync", json!({"input": {"text": "Héllo"}})).await.parts();
    assert_eq!(
        (status, &job["status"], &job["output"]),
        (200, &json!("COMPLETED"), &json!("Hello")),
        "{job}"
    );
    let (status, accepted) = running.post("/v2/prep/run", json!({"input": {"text": "Ünder"}})).await.parts();
    assert_eq!(status, 200, "{accepted}");
    let path = format!("/v2/prep/status/{}", accepted["id"].as_str().unwrap());
    let finished = loop {
        let view = running.get(&path).await.json();
        if !matches!(view["status"].as_str(), Some("IN_QUEUE" | "IN_PROGRESS")) {
            break view;
        }
    };
    assert_eq!((&finished["status"], &finished["output"]), (&json!("COMPLETED"), &json!("Under")));

    // The reference's envelope: cloudpickle of "Añb" in base64, for token holders only.
    let envelope =
        json!({"input": {"function_name": "clean", "args": ["gAWVCAAAAAAAAACMBEHDsWKULg=="], "kwargs": {}}});
    let refused = running.post("/v2/prep/runsync", envelope.clone()).await.parts();
    assert_eq!((refused.0, &refused.1["code"]), (401, &json!("FL308")));
    let token = running.token();
    let answer = running.request(Method::POST, "/v2/prep/runsync", Some(envelope), Some(&token)).await.json();
    assert_eq!(answer["output"]["success"], true, "{answer}");
    assert!(answer["output"]["result"].is_string());

    let refused = running.get(&format!("{own_url}/manifest")).await;
    assert_eq!((refused.status, &refused.json()["code"]), (403, &json!("FL303")));
    let etag = running.get("/manifest").await.headers["etag"].clone();
    assert!(etag.to_str().unwrap().starts_with('"'));

    let metrics = running.get("/metrics").await;
    assert_eq!(metrics.headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    let lines: Vec<&str> = metrics.text.lines().collect();
    let of = |name: &str| lines.iter().filter(|line| line.starts_with(name)).count();
    assert_eq!(of("# TYPE flash_requests "), 1, "{}", metrics.text);
    let ready = lines.iter().find(|line| line.starts_with("flash_mothership_resources{status=\"ready\"}"));
    let resources = running.get("/manifest").await.json()["resources"].as_object().unwrap().len();
    assert_eq!(ready.unwrap().rsplit(' ').next(), Some(resources.to_string().as_str()));
    assert_eq!(of("flash_worker_starts_total{"), resources, "{}", metrics.text);
    assert!(lines.contains(&"flash_mothership_leading 1"), "{}", metrics.text);
    assert!(lines.iter().any(|line| {
        line.starts_with("flash_jobs{")
            && line.contains("resource=\"prep\"")
            && line.contains("state=\"completed\"")
    }));
}

#[tokio::test]
async fn every_curl_line_that_is_printed_works() {
    for name in ["hello", "pipeline", "webapp"] {
        let project = Project::example(name);
        let mut running = project.run();
        running.until_ready().await;
        running.eventually("table shown", |running| running.stderr().contains("Ctrl+C stops").then_some(()));
        let output = running.stdout();
        let lines: Vec<&str> = output.lines().filter(|line| line.starts_with("curl ")).collect();
        assert!(!lines.is_empty(), "{output}");
        for line in lines {
            let (status, body) = run_curl_line(&running, line).await;
            assert!((200..300).contains(&status), "{name}: {line}: {status} {body}");
            assert_ne!(body["status"], "FAILED", "{name}: {line}: {body}");
        }
    }
}

/// Understands what our own lines use: `-X METHOD`, one URL, one header, `-d BODY`, single quotes.
async fn run_curl_line(running: &Running, line: &str) -> (u16, Value) {
    let (mut method, mut url, mut body) = (Method::GET, None, None);
    let mut words = split(line).into_iter().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "-X" => method = words.next().unwrap().parse().unwrap(),
            "-H" => assert_eq!(words.next().unwrap(), "Content-Type: application/json"),
            "-d" => body = Some(serde_json::from_str(&words.next().unwrap()).unwrap()),
            _ => url = Some(word),
        }
    }
    if body.is_some() && method == Method::GET {
        method = Method::POST;
    }
    let answer = running.request(method, &url.unwrap(), body, None).await;
    let body = serde_json::from_str(&answer.text).unwrap_or(Value::String(answer.text));
    (answer.status, body)
}

fn split(line: &str) -> Vec<String> {
    let (mut words, mut quoted) = (vec![String::new()], false);
    for character in line.chars() {
        match character {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().unwrap().push(other),
        }
    }
    words
}

#[tokio::test]
async fn the_web_application_is_served_at_the_root_and_calls_workers() {
    let project = Project::example("webapp");
    let mut running = project.run();
    running.until_ready().await;
    let (status, body) = running.post("/gpu/hello", json!({"message": "hi"})).await.parts();
    assert_eq!((status, &body["worker_type"]), (200, &json!("GPU")), "{body}");
    let (status, body) = running.post("/cpu/hello", json!({"message": 3})).await.parts();
    assert_eq!(status, 422, "the application's own validation: {body}");
    assert_eq!(running.get("/docs").await.status, 200);
    assert!(
        running.stderr().contains("no GPU on this machine") || std::path::Path::new("/dev/nvidia0").exists()
    );
}

#[tokio::test]
async fn commands_talk_to_the_running_project() {
    let project = Project::example("hello");
    let mut running = project.run();
    running.until_ready().await;

    let called = project.flash(&["call", "greet", r#"{"name": "Ada"}"#]);
    let result: Value = serde_json::from_slice(&called.stdout).unwrap();
    assert!(result.to_string().contains("Ada"), "{result}");

    let status = project.flash(&["status", "--json"]);
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["resources"]["hello"]["status"], "ready");
    let table = text(&project.flash(&["status"]).stdout);
    assert!(table.contains("RESOURCE") && table.contains("/v2/hello"), "{table}");

    for (arguments, code) in [
        (["call", "nope", "{}"], "FL307"),
        (["call", "greet", "{"], "FL311"),
        (["call", "greet", r#"{"wrong": 1}"#], "FL318"),
        (["run", ".", "--port=0"], "FL205"),
    ] {
        let output = project.flash(&arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(text(&output.stderr).contains(code), "{arguments:?}: {}", text(&output.stderr));
    }
}

#[tokio::test]
async fn ctrl_c_stops_everything_and_the_next_run_has_the_same_endpoints() {
    let project = Project::example("hello");
    let mut running = project.run();
    let before = running.until_ready().await;
    let endpoints = running.endpoint_pids();
    assert_eq!(endpoints.len(), 1);
    let workers = children(endpoints[0].1);
    assert!(!workers.is_empty());

    assert_eq!(running.interrupt().code(), Some(0), "{}", running.stderr());
    for pid in endpoints.iter().map(|(_, pid)| pid).chain(&workers) {
        assert!(!is_alive(*pid), "process {pid} is left");
    }
    let left: Vec<_> = walk(&project.root()).into_iter().filter(|path| is_socket(path)).collect();
    assert!(left.is_empty(), "sockets left: {left:?}");
    assert!(!project.root().join(".flash/run/mothership.json").exists());

    let mut again = project.run();
    let after = again.until_ready().await;
    assert_eq!(after["resources"]["hello"]["endpoint_id"], before["resources"]["hello"]["endpoint_id"]);
}

#[tokio::test]
async fn ping_answers_while_children_are_being_made() {
    let project = Project::example("pipeline");
    let mut running = project.run();
    let (mut early, mut pings) = (false, 0);
    loop {
        let answer = running.get("/ping").await;
        assert_eq!(answer.status, 200);
        pings += 1;
        let manifest = running.get("/manifest").await.json();
        let resources = manifest["resources"].as_object().unwrap();
        let ready = resources.values().filter(|resource| resource["status"] == "ready").count();
        early |= ready < resources.len() || resources.is_empty();
        if !resources.is_empty() && ready == resources.len() {
            break;
        }
        assert!(running.child.try_wait().unwrap().is_none(), "{}", running.stderr());
    }
    assert!(early && pings > 1, "never asked before everything was ready");
}

fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<u32>>())
        .collect()
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| {
            let path = entry.path();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder { walk(&path) } else { vec![path] }
        })
        .collect()
}

fn is_socket(path: &std::path::Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}
