//! Jobs by way of the mothership's front door: each is submitted until it is accepted, and watched until it has ended.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hyper::StatusCode;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::client::Client;
use super::pace::Pace;
use super::shadow::{Reach, Shadow};

const SUBMITTERS: usize = 128;
const FIRST_LOOK: Duration = Duration::from_millis(20);
const LOOK_PERIOD_MAX: Duration = Duration::from_millis(250);
/// After a failed request.
const PAUSE: Duration = Duration::from_millis(100);
/// A job that was not accepted, or has not ended, by then is lost.
const JOB_MAX: Duration = Duration::from_secs(120);
/// Every so many jobs, one is looked at again so long after its end.
const AGAIN_EVERY: u64 = 20;
const AGAIN_AFTER: Duration = Duration::from_secs(3);
const AGAIN_WAITING_MAX: usize = 10_000;
/// Every so many jobs, one is tried again when it fails.
const RETRIED_EVERY: u64 = 2;
const SHOWN_MAX: usize = 5;

/// What submitters share.
#[derive(Debug, Clone)]
pub(super) struct Work {
    front: SocketAddr,
    /// Jobs append their numbers to it.
    lines: PathBuf,
    shadow: Arc<Shadow>,
    next: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) accepted: u64,
    pub(super) completed: u64,
    /// Failed or timed out with their worker, at a crash.
    pub(super) cut: u64,
    /// Failed or timed out otherwise.
    pub(super) failed: u64,
    /// Accepted, and then not known, or not ended in time.
    pub(super) lost: u64,
    pub(super) looked_again: u64,
    /// Not as they were when their end was seen.
    pub(super) changed: u64,
    /// Requests that failed with 5xx or a broken connection at a crash; they were sent again.
    pub(super) requests_cut: u64,
    /// Requests that failed otherwise.
    pub(super) requests_wrong: u64,
    pub(super) shown: Vec<String>,
    pub(super) ends: Vec<End>,
}

/// Of a job, as it was seen.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    pub(super) number: u64,
    /// How long the file of lines was then.
    pub(super) lines_bytes: u64,
    pub(super) completed: bool,
}

impl Work {
    pub(super) fn new(front: SocketAddr, lines: PathBuf, shadow: Arc<Shadow>) -> Result<Self> {
        fs::write(&lines, "").with_context(|| format!("cannot write {}", lines.display()))?;
        Ok(Self { front, lines, shadow, next: Arc::default() })
    }

    pub(super) fn front(&self) -> SocketAddr {
        self.front
    }

    pub(super) fn shadow(&self) -> Arc<Shadow> {
        Arc::clone(&self.shadow)
    }
}

/// Comes back when every job that was accepted has ended.
pub(super) async fn run(work: Work, pace: Pace) -> Result<Tally> {
    let (again, ended) = mpsc::channel(AGAIN_WAITING_MAX);
    let looking = tokio::spawn(look_again(work.clone(), ended));
    let mut submitters = JoinSet::new();
    for number in 0..SUBMITTERS {
        let submitter = Submitter {
            client: Client::new(work.front),
            work: work.clone(),
            again: again.clone(),
            begun: pace.begun,
            tally: Tally::default(),
        };
        submitters.spawn(submitter.run(pace, number));
    }
    drop(again);
    let mut all = Tally::default();
    while let Some(tally) = submitters.join_next().await {
        all.add(tally??);
    }
    all.add(looking.await?);
    Ok(all)
}

struct Submitter {
    client: Client,
    work: Work,
    again: mpsc::Sender<Ended>,
    begun: Instant,
    tally: Tally,
}

#[derive(Debug)]
struct Ended {
    id: String,
    seen: Instant,
    view: Value,
}

impl Submitter {
    async fn run(mut self, pace: Pace, number: usize) -> Result<Tally> {
        let mut clock = pace.clock(number, SUBMITTERS);
        while clock.next().await {
            let number = self.work.next.fetch_add(1, Ordering::Relaxed);
            let begun = Instant::now();
            let Some(id) = self.submit(number, begun).await else { continue };
            self.tally.accepted += 1;
            match self.end_of(&id, begun).await {
                Some(view) => self.note(number, id, view, begun)?,
                None => self.tally.lost += 1,
            }
        }
        Ok(self.tally)
    }

    /// Sends the same job under the same key until it is accepted; its id.
    async fn submit(&mut self, number: u64, begun: Instant) -> Option<String> {
        let retries = if number.is_multiple_of(RETRIED_EVERY) { 3 } else { 0 };
        let body = json!({
            "input": {"number": number, "file": self.work.lines},
            "policy": {"maxRetries": retries},
        })
        .to_string();
        let key = format!("soak-{number}");
        while begun.elapsed() < JOB_MAX {
            let sent = Instant::now();
            let answer = self.client.post("/v2/jobs/run", &body, Some(&key)).await;
            if let Some(view) = self.document("run", answer, sent) {
                return view["id"].as_str().map(str::to_owned);
            }
            tokio::time::sleep(PAUSE).await;
        }
        None
    }

    /// The view of a job that has ended. None = it is lost.
    async fn end_of(&mut self, id: &str, begun: Instant) -> Option<Value> {
        let path = format!("/v2/jobs/status/{id}");
        let mut pause = FIRST_LOOK;
        while begun.elapsed() < JOB_MAX {
            tokio::time::sleep(pause).await;
            let sent = Instant::now();
            let answer = self.client.get(&path).await;
            if let Ok((StatusCode::NOT_FOUND, body)) = &answer {
                self.show(format!("{path}: 404: {}", String::from_utf8_lossy(body)));
                return None;
            }
            if let Some(view) = self.document("status", answer, sent)
                && !matches!(view["status"].as_str(), Some("IN_QUEUE" | "IN_PROGRESS"))
            {
                return Some(view);
            }
            pause = (pause * 3 / 2).min(LOOK_PERIOD_MAX);
        }
        self.show(format!("{path}: no end after {JOB_MAX:?}"));
        None
    }

    fn note(&mut self, number: u64, id: String, view: Value, begun: Instant) -> Result<()> {
        let lines_bytes = fs::metadata(&self.work.lines)?.len();
        let completed = view["status"] == "COMPLETED";
        self.tally.ends.push(End { number, lines_bytes, completed });
        if completed && view["output"] == number {
            self.tally.completed += 1;
        } else if !completed && self.work.shadow.covers(Reach::Worker, begun) {
            self.tally.cut += 1;
        } else {
            self.tally.failed += 1;
            self.show(format!("job {id}: {view}"));
        }
        if number.is_multiple_of(AGAIN_EVERY) {
            // It is full only if whoever looks is held up for minutes.
            let _ = self.again.try_send(Ended { id, seen: Instant::now(), view });
        }
        Ok(())
    }

    /// None for a failed request, which is noted.
    fn document(
        &mut self,
        what: &str,
        answer: Result<(StatusCode, bytes::Bytes)>,
        sent: Instant,
    ) -> Option<Value> {
        let (may_be_cut, text) = match answer {
            Ok((status, body)) if status.is_success() => match serde_json::from_slice(&body) {
                Ok(view) => return Some(view),
                Err(error) => (false, error.to_string()),
            },
            Ok((status, body)) => {
                (status.is_server_error(), format!("{status}: {}", String::from_utf8_lossy(&body)))
            }
            Err(error) => (true, format!("{error:#}")),
        };
        if may_be_cut && self.work.shadow.covers(Reach::Gateway, sent) {
            self.tally.requests_cut += 1;
        } else {
            self.tally.requests_wrong += 1;
            self.show(format!("{what}: {text}"));
        }
        None
    }

    fn show(&mut self, text: String) {
        if self.tally.shown.len() < SHOWN_MAX {
            self.tally.shown.push(format!("at {:.1} s: {text}", self.begun.elapsed().as_secs_f64()));
        }
    }
}

/// What has ended stays as it is: same status, same output, still known.
async fn look_again(work: Work, mut ended: mpsc::Receiver<Ended>) -> Tally {
    let mut client = Client::new(work.front);
    let mut tally = Tally::default();
    while let Some(Ended { id, seen, view }) = ended.recv().await {
        tokio::time::sleep_until((seen + AGAIN_AFTER).into()).await;
        let path = format!("/v2/jobs/status/{id}");
        // While the gateway is away there is no answer to compare.
        let Some((status, body)) = answer(&mut client, &path).await else { continue };
        tally.looked_again += 1;
        let now: Value = serde_json::from_slice(&body).unwrap_or_default();
        if status != StatusCode::OK || now != view {
            tally.changed += 1;
            if tally.shown.len() < SHOWN_MAX {
                tally.shown.push(format!("job {id} changed after its end: {view} to {status} {now}"));
            }
        }
    }
    tally
}

async fn answer(client: &mut Client, path: &str) -> Option<(StatusCode, bytes::Bytes)> {
    let begun = Instant::now();
    while begun.elapsed() < JOB_MAX {
        match client.get(path).await {
            Ok(answer) if !answer.0.is_server_error() => return Some(answer),
            _ => tokio::time::sleep(PAUSE).await,
        }
    }
    None
}

impl Tally {
    pub(super) fn ended(&self) -> u64 {
        self.completed + self.cut + self.failed
    }

    fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.completed += other.completed;
        self.cut += other.cut;
        self.failed += other.failed;
        self.lost += other.lost;
        self.looked_again += other.looked_again;
        self.changed += other.changed;
        self.requests_cut += other.requests_cut;
        self.requests_wrong += other.requests_wrong;
        self.shown.extend(other.shown);
        self.shown.truncate(SHOWN_MAX * 2);
        self.ends.extend(other.ends);
    }
}
