//! What user code prints, in the endpoint's log.

use flash_model::wire::{LogLine, LogStream};
use flash_runtime::LogReader;
use serde_json::json;

use crate::world::{Endpoint, Project, eventually, function, route};

const CODE: &str = r#"
import asyncio, os, subprocess, sys

def say(word):
    print(word)
    print(word, "on stderr", file=sys.stderr)
    os.write(1, f"{word} past Python\n".encode())
    subprocess.run(["echo", word, "by a child"], check=True)

def flood(count):
    for number in range(count):
        print(number)

def long(size):
    print("x" * size)

def leave(word):
    print(word)
    print("no end", end="")
    os.kill(os.getpid(), 9)

def hold():
    print("loading ...", end="")
    while not os.path.exists("go"):
        pass
"#;

fn project() -> Project {
    let functions = ["say", "flood", "long", "leave", "hold"].map(|name| function(name, false));
    Project::new("queue", CODE, json!(functions))
}

fn lines(project: &Project) -> Vec<LogLine> {
    let mut lines = Vec::new();
    LogReader::new(&project.path("endpoint")).read(|_, line| lines.push(line)).unwrap();
    lines
}

/// All lines, once `texts` are among them.
async fn lines_with(project: &Project, texts: &[&str]) -> Vec<LogLine> {
    eventually("lines in the log", || async {
        let lines = lines(project);
        let is_there = |text: &&str| lines.iter().any(|line| line.text == *text);
        if texts.iter().all(is_there) { Ok(lines) } else { Err(format!("{lines:#?}")) }
    })
    .await
}

fn job(function: &str, kwargs: serde_json::Value) -> serde_json::Value {
    json!({"input": {"function_name": function, "kwargs": kwargs}})
}

async fn run(endpoint: &Endpoint, function: &str, kwargs: serde_json::Value) -> String {
    let view = endpoint.post("/runsync", job(function, kwargs)).await.body;
    view["id"].as_str().unwrap_or_else(|| panic!("{view}")).to_owned()
}

#[tokio::test]
async fn everything_that_a_job_prints_is_the_jobs() {
    let project = project();
    let endpoint = project.start().await;
    let one = run(&endpoint, "say", json!({"word": "one"})).await;
    let two = run(&endpoint, "say", json!({"word": "two"})).await;
    endpoint.post("/_flash/call/say", json!({"word": "three"})).await;
    let lines = lines_with(&project, &["three", "three on stderr", "three by a child"]).await;
    for (word, job) in [("one", Some(&one)), ("two", Some(&two)), ("three", None)] {
        let printed: Vec<&LogLine> = lines.iter().filter(|line| line.text.starts_with(word)).collect();
        assert_eq!(printed.len(), 4, "{printed:#?}");
        for line in &printed {
            assert_eq!(line.job.as_ref(), job, "{line:?}");
            assert_eq!(line.request.is_some(), job.is_none(), "{line:?}");
            assert_eq!(line.worker.as_deref(), Some("it-1-1"));
            let is_stderr = line.text.contains("stderr");
            assert_eq!(line.stream, if is_stderr { LogStream::Stderr } else { LogStream::Stdout });
            assert_eq!(line.call(), printed[0].call());
        }
        assert!(printed.is_sorted_by_key(|line| line.at_ms));
    }
}

#[tokio::test]
async fn requests_that_run_at_the_same_time_are_told_apart() {
    let code = r#"
import asyncio
arrived = []
gate = asyncio.Event()
async def say(number: int):
    print("begin", number)
    arrived.append(number)
    if len(arrived) == 8:
        gate.set()
    await gate.wait()
    print("en", end="")
    await asyncio.sleep(0)
    print("d", number)
"#;
    let project = Project::new("load_balanced", code, json!([route("say", true, "POST", "/say")]));
    let endpoint = project.start().await;
    let calls = (0..8).map(|number| endpoint.request("POST", "/say").json(&json!({"number": number})).send());
    for call in calls.map(tokio::spawn).collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap().unwrap().status(), 200);
    }
    let ends: Vec<String> = (0..8).map(|number| format!("end {number}")).collect();
    let lines = lines_with(&project, &ends.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let of = |text: String| {
        let found: Vec<_> = lines.iter().filter(|line| line.text == text).collect();
        assert_eq!(found.len(), 1, "{text}: {lines:#?}");
        found[0].request.clone().unwrap_or_else(|| panic!("{:?}", found[0]))
    };
    let mut ids = std::collections::BTreeSet::new();
    for number in 0..8 {
        let id = of(format!("begin {number}"));
        assert_eq!(of(format!("end {number}")), id);
        ids.insert(id);
    }
    assert_eq!(ids.len(), 8);
}

#[tokio::test]
async fn a_worker_that_dies_loses_nothing_of_what_it_printed() {
    let project = project();
    let endpoint = project.start().await;
    for round in 0..5 {
        let word = format!("round {round}");
        let id = run(&endpoint, "leave", json!({"word": word})).await;
        assert_eq!(endpoint.finished(&id).await["status"], "FAILED");
        let lines = lines_with(&project, &[&word]).await;
        let of_job = |line: &&LogLine| line.job.as_ref() == Some(&id);
        let printed: Vec<&str> = lines.iter().filter(of_job).map(|line| line.text.as_str()).collect();
        assert_eq!(printed, [&word, "no end"]);
    }
}

#[tokio::test]
async fn what_is_too_much_is_counted_and_said() {
    const COUNT: u64 = 30_000;
    let project = project();
    let endpoint = project.start().await;
    run(&endpoint, "flood", json!({"count": COUNT})).await;
    let notice = eventually("all lines to be there or counted", || async {
        let lines = lines(&project);
        let dropped: u64 = lines.iter().map(|line| line.dropped_lines).sum();
        let printed = lines.iter().filter(|line| line.stream == LogStream::Stdout).count() as u64;
        let notice = lines.iter().find(|line| line.dropped_lines > 0).cloned();
        if printed + dropped == COUNT { Ok(notice) } else { Err(format!("{printed} and {dropped}")) }
    })
    .await
    .unwrap();
    assert_eq!((notice.stream, notice.worker.as_deref()), (LogStream::Flash, Some("it-1-1")));
    assert!(notice.text.contains("are dropped"), "{notice:?}");
    let metrics = endpoint.get("/metrics").await.body;
    let metric = |name: &str| {
        let line = metrics.as_str().unwrap().lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()
    };
    assert_eq!(metric("flash_log_lines_total") + metric("flash_log_lines_dropped_total"), COUNT);
    assert!(metric("flash_log_dropped_bytes_total") > 0);
}

#[tokio::test]
async fn long_lines_are_cut_and_lines_without_an_end_are_shown_before_the_call_ends() {
    let project = project();
    let endpoint = project.start().await;
    run(&endpoint, "long", json!({"size": 20_000})).await;
    let id = endpoint.post("/run", job("hold", json!({}))).await.body["id"].as_str().unwrap().to_owned();
    let lines = lines_with(&project, &["loading ..."]).await;
    let long = lines.iter().find(|line| line.cut_bytes > 0).unwrap();
    assert_eq!((long.text.len(), long.cut_bytes), (16 * 1024, 20_000 - 16 * 1024));
    assert_eq!(lines.last().unwrap().job.as_ref(), Some(&id));
    assert_eq!(endpoint.get(&format!("/status/{id}")).await.body["status"], "IN_PROGRESS");
    std::fs::write(project.path("go"), "").unwrap();
    assert_eq!(endpoint.finished(&id).await["status"], "COMPLETED");
}

#[tokio::test]
async fn files_are_bounded_while_the_endpoint_runs_and_go_on_after_a_restart() {
    const FILE_BYTES: usize = 8 * 1024 * 1024;
    let project = project();
    let log = project.path("endpoint/log");
    std::fs::create_dir_all(&log).unwrap();
    for number in 3..=6 {
        std::fs::write(log.join(format!("{number:06}.jsonl")), format!("{}\n", " ".repeat(FILE_BYTES - 600)))
            .unwrap();
    }
    let endpoint = project.start().await;
    run(&endpoint, "say", json!({"word": "first"})).await;
    lines_with(&project, &["first by a child"]).await;
    endpoint.stop().await;
    let endpoint = project.start().await;
    for word in ["second", "third"] {
        run(&endpoint, "say", json!({"word": word})).await;
    }
    let lines = lines_with(&project, &["third by a child"]).await;
    let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    let at = |text| texts.iter().position(|line| *line == text).unwrap();
    assert!(at("first") < at("second") && at("second") < at("third"), "{texts:?}");
    let mut files: Vec<_> = std::fs::read_dir(&log)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, ["000004.jsonl", "000005.jsonl", "000006.jsonl", "000007.jsonl"]);
}
