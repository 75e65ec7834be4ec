//! Requests to the load-balanced resource, through the mothership's front door.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;

use super::client::Client;
use super::pace::Pace;
use super::shadow::{Reach, Shadow};

const CALLERS: usize = 32;
const PATH: &str = "/lb/requests/add";
/// After a failure: a process that is being started again is not helped by more calls.
const PAUSE: Duration = Duration::from_millis(50);
const SHOWN_MAX: usize = 5;

#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) right: u64,
    /// 5xx or a broken connection, at a crash.
    pub(super) cut: u64,
    /// Everything else.
    pub(super) wrong: u64,
    /// The first of those.
    pub(super) shown: Vec<String>,
}

pub(super) async fn call(address: SocketAddr, pace: Pace, shadow: Arc<Shadow>) -> Result<Tally> {
    let mut callers = JoinSet::new();
    for number in 0..CALLERS {
        callers.spawn(call_until(address, pace, number, Arc::clone(&shadow)));
    }
    let mut all = Tally::default();
    while let Some(tally) = callers.join_next().await {
        all.add(tally?);
    }
    Ok(all)
}

async fn call_until(address: SocketAddr, pace: Pace, number: usize, shadow: Arc<Shadow>) -> Tally {
    let mut client = Client::new(address);
    let mut tally = Tally::default();
    let mut clock = pace.clock(number, CALLERS);
    while clock.next().await {
        let begun = Instant::now();
        let failure = match client.post(PATH, r#"{"x":1,"y":2}"#, None).await {
            Ok((status, body)) if status.is_success() && body.trim_ascii() == b"3" => {
                tally.right += 1;
                continue;
            }
            Ok((status, body)) => {
                (status.is_server_error(), format!("{status}: {}", String::from_utf8_lossy(&body)))
            }
            Err(error) => (true, format!("{error:#}")),
        };
        tally.fail(failure, shadow.covers(Reach::Worker, begun), pace.begun);
        tokio::time::sleep(PAUSE).await;
    }
    tally
}

impl Tally {
    fn fail(&mut self, (may_be_cut, text): (bool, String), is_at_crash: bool, begun: Instant) {
        if may_be_cut && is_at_crash {
            self.cut += 1;
            return;
        }
        self.wrong += 1;
        if self.shown.len() < SHOWN_MAX {
            self.shown.push(format!("at {:.1} s: {text}", begun.elapsed().as_secs_f64()));
        }
    }

    fn add(&mut self, other: Self) {
        self.right += other.right;
        self.cut += other.cut;
        self.wrong += other.wrong;
        self.shown.extend(other.shown);
        self.shown.truncate(SHOWN_MAX);
    }
}
