//! Workers that are killed and stopped at random, by a seed that is printed, while many submit jobs and send requests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::world::{Endpoint, Project, eventually, function, route};

const CODE: &str = r#"
import asyncio, os

lines = os.open("lines", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

async def note(number):
    os.write(lines, f"{number}\n".encode())
    await asyncio.sleep(0.005)
    return number

async def add(x, y):
    await asyncio.sleep(0.002)
    return x + y
"#;
const STORM: Duration = Duration::from_secs(4);
const SUBMITTERS: u64 = 32;
const CALLERS: usize = 48;
/// A worker that was stopped is ended at it, if it has a call.
const EXECUTION_TIMEOUT_MS: u64 = 1_000;
/// Who is refused does not ask again at once.
const REFUSED_PAUSE: Duration = Duration::from_millis(20);
const STRIKE_PAUSE_MS: u64 = 400;
const LOOK_PERIOD: Duration = Duration::from_millis(5);
/// Longer than any job or request may take, a thousand times over.
const END_MAX: Duration = Duration::from_secs(60);

#[tokio::test]
async fn no_accepted_job_is_lost_ends_twice_or_runs_after_its_end_whatever_is_killed() {
    let project = project("queue", json!([function("note", true)]));
    let endpoint = Arc::new(project.start().await);
    let until = Instant::now() + STORM;
    let mut submitters = JoinSet::new();
    for number in 0..SUBMITTERS {
        let (endpoint, lines) = (Arc::clone(&endpoint), project.path("lines"));
        submitters.spawn(async move { submit_until(&endpoint, &lines, number, until).await });
    }
    let _seed = strike(&project.path(""), until).await;
    let mut ended = BTreeMap::new();
    while let Some(of_one) = submitters.join_next().await {
        for job in of_one.unwrap() {
            assert!(ended.insert(job.id.clone(), job).is_none(), "one id was given out twice");
        }
    }

    let jobs = endpoint.get("/health").await.body["jobs"].clone();
    let count = |name: &str| jobs[name].as_u64().unwrap();
    assert_eq!((count("inQueue"), count("inProgress")), (0, 0), "{jobs}");
    let text = fs::read_to_string(project.path("lines")).unwrap();
    let mut position = 0;
    let mut ran: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for line in text.split_inclusive('\n') {
        ran.entry(line.trim_end().parse().unwrap()).or_default().push(position);
        position += line.len() as u64;
    }
    let mut statuses: BTreeMap<String, u64> = BTreeMap::new();
    for job in ended.values() {
        let now = endpoint.get(&format!("/status/{}", job.id)).await.body;
        assert_eq!(now, job.view, "what has ended stays as it is");
        let status = now["status"].as_str().unwrap();
        *statuses.entry(status.to_owned()).or_default() += 1;
        let runs = ran.remove(&job.number).unwrap_or_default();
        assert!(runs.iter().all(|at| *at < job.lines_at_end), "job {} ran after its end: {now}", job.number);
        if status == "COMPLETED" {
            assert!(!runs.is_empty() && now["output"] == job.number, "{now}");
        }
    }
    assert!(ran.is_empty(), "jobs ran that nobody was told of: {ran:?}");
    let of = |status: &str| statuses.get(status).copied().unwrap_or_default();
    assert_eq!(
        (count("completed"), count("failed")),
        (of("COMPLETED"), of("FAILED") + of("TIMED_OUT")),
        "{jobs} {statuses:?}"
    );
    assert!(of("COMPLETED") > 0, "{statuses:?}");
    goes_on(&project, Arc::into_inner(endpoint).unwrap(), "note", json!({"number": 7})).await;
}

#[tokio::test]
async fn every_request_is_answered_and_the_door_empties_whatever_is_killed() {
    let project = project("load_balanced", json!([route("add", true, "POST", "/add")]));
    let endpoint = Arc::new(project.start().await);
    let until = Instant::now() + STORM;
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let endpoint = Arc::clone(&endpoint);
        callers.spawn(async move { call_until(&endpoint, until).await });
    }
    let _seed = strike(&project.path(""), until).await;
    let mut answers: BTreeMap<u16, u64> = BTreeMap::new();
    while let Some(of_one) = callers.join_next().await {
        for (status, count) in of_one.unwrap() {
            *answers.entry(status).or_default() += count;
        }
    }
    let statuses: BTreeSet<u16> = answers.keys().copied().collect();
    assert!(statuses.is_subset(&BTreeSet::from([200, 502, 503, 504])), "{answers:?}");
    assert!(answers.get(&200).is_some_and(|count| *count > 0), "{answers:?}");
    goes_on(&project, Arc::into_inner(endpoint).unwrap(), "add", json!({"x": 3, "y": 4})).await;
}

fn project(kind: &str, functions: Value) -> Project {
    Project::new(kind, CODE, functions)
        .spec("workersMin", json!(2))
        .spec("workersMax", json!(3))
        .spec("maxConcurrency", json!(4))
        .spec("executionTimeoutMs", json!(EXECUTION_TIMEOUT_MS))
}

struct Ended {
    id: String,
    number: u64,
    view: Value,
    /// How long the file of lines was when the end had been seen.
    lines_at_end: u64,
}

async fn submit_until(endpoint: &Endpoint, lines: &Path, submitter: u64, until: Instant) -> Vec<Ended> {
    let client = reqwest::Client::builder().no_proxy().timeout(END_MAX).build().unwrap();
    let mut ended = Vec::new();
    let mut number = submitter;
    while Instant::now() < until {
        let job = json!({"input": {"number": number}, "policy": {"maxRetries": number % 2}});
        let answer = client.post(format!("{}/run", endpoint.url)).json(&job).send().await.unwrap();
        // Where starts are killed one after the other, the code counts as broken for some seconds.
        if answer.status() == 503 {
            tokio::time::sleep(REFUSED_PAUSE).await;
            continue;
        }
        assert_eq!(answer.status(), 200);
        let id = answer.json::<Value>().await.unwrap()["id"].as_str().unwrap().to_owned();
        let begun = Instant::now();
        let view = loop {
            let answer = client.get(format!("{}/status/{id}", endpoint.url)).send().await.unwrap();
            let view: Value = answer.json().await.unwrap();
            match view["status"].as_str() {
                Some("IN_QUEUE" | "IN_PROGRESS") => {}
                Some("COMPLETED" | "FAILED" | "TIMED_OUT") => break view,
                _ => panic!("a job that was accepted is lost: {view}"),
            }
            assert!(begun.elapsed() < END_MAX, "a job does not end: {view}");
            tokio::time::sleep(LOOK_PERIOD).await;
        };
        ended.push(Ended { id, number, view, lines_at_end: fs::metadata(lines).unwrap().len() });
        number += SUBMITTERS;
    }
    ended
}

/// Answers by status. No answer at all fails the test.
async fn call_until(endpoint: &Endpoint, until: Instant) -> BTreeMap<u16, u64> {
    let client = reqwest::Client::builder().no_proxy().timeout(END_MAX).build().unwrap();
    let mut answers = BTreeMap::new();
    while Instant::now() < until {
        let request = client.post(format!("{}/add", endpoint.url)).json(&json!({"x": 2, "y": 3}));
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let body: Value = answer.json().await.unwrap();
        if status == 200 {
            assert_eq!(body, 5);
        } else {
            assert!(body["code"].as_str().is_some_and(|code| code.starts_with("FL")), "{status} {body}");
            tokio::time::sleep(REFUSED_PAUSE).await;
        }
        *answers.entry(status).or_default() += 1;
    }
    answers
}

/// Kills workers, or stops them: half of these go on a moment later, the others have to be ended by their endpoint. The seed tells
/// itself if the test fails later.
async fn strike(folder: &Path, until: Instant) -> TellSeed {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64 | 1;
    let mut random = Random(seed);
    while Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(random.below(STRIKE_PAUSE_MS))).await;
        let workers = workers(folder);
        if workers.is_empty() {
            continue;
        }
        let worker = workers[random.below(workers.len() as u64) as usize];
        match random.below(4) {
            0 => {
                // Either fails only where the worker has ended meanwhile.
                let _ = kill_process(worker, Signal::STOP);
                tokio::time::sleep(Duration::from_millis(random.below(200))).await;
                let _ = kill_process(worker, Signal::CONT);
            }
            1 => drop(kill_process(worker, Signal::STOP)),
            _ => drop(kill_process(worker, Signal::KILL)),
        }
    }
    TellSeed(seed)
}

/// Nobody is waited for, a call is answered, and no process is left when it has been stopped.
async fn goes_on(project: &Project, endpoint: Endpoint, function: &str, arguments: Value) {
    eventually("calls to be over", || async {
        let metrics = endpoint.get("/metrics").await.body.as_str().unwrap().to_owned();
        let mut running = metrics.lines().filter(|line| line.contains(r#"state="running""#));
        if running.next().is_some_and(|line| line.ends_with(" 0")) { Ok(()) } else { Err(metrics) }
    })
    .await;
    // A worker that was stopped while it had no call is ended when it has one.
    eventually("a call to be answered", || async {
        let answer = endpoint.post(&format!("/_flash/call/{function}"), arguments.clone()).await;
        if answer.body == 7 { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
    endpoint.stop().await;
    assert_eq!(workers(&project.path("")), [], "workers outlived their endpoint");
}

/// Processes of this test run that have the project's folder as their own.
fn workers(folder: &Path) -> Vec<Pid> {
    let folder = folder.canonicalize().unwrap();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let ours = entries.filter(|entry| fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == folder));
    ours.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)).collect()
}

struct TellSeed(u64);

impl Drop for TellSeed {
    #[expect(clippy::print_stderr, reason = "whoever sees the failure needs the seed")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}", self.0);
        }
    }
}

/// xorshift64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
