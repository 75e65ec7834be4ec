//! A queue endpoint, seen by its HTTP API.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde_json::Value;

use crate::http;

/// For functions that add two numbers.
pub(super) const JOB: &str = r#"{"input":{"x":1,"y":2}}"#;
const SUM: u64 = 3;
const EMPTY_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);
/// A worker that is not counted any more may still be on its way out.
const SETTLE_TIME: Duration = Duration::from_millis(200);

#[derive(Debug, Clone, Copy)]
pub(super) struct Queue {
    pub(super) address: SocketAddr,
}

impl Queue {
    pub(super) async fn health(&self) -> Result<Value> {
        document(http::get(self.address, "/health").await?)
    }

    /// Runs one job, and comes back when it has ended well.
    pub(super) async fn run(&self) -> Result<()> {
        check(&document(http::call(self.address, Method::POST, "/runsync", JOB).await?)?)
    }

    pub(super) async fn check_completed(&self, id: &str) -> Result<()> {
        check(&document(http::get(self.address, &format!("/status/{id}")).await?)?)
    }

    /// Waits until it has no worker, nor one on its way.
    pub(super) async fn until_no_worker(&self) -> Result<()> {
        let begun = Instant::now();
        loop {
            let workers = &self.health().await?["workers"];
            if count(workers, "ready")? + count(workers, "initializing")? == 0 {
                tokio::time::sleep(SETTLE_TIME).await;
                return Ok(());
            }
            if begun.elapsed() > EMPTY_MAX {
                bail!("an idle worker is still there after {EMPTY_MAX:?}");
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

pub(super) fn count(object: &Value, name: &str) -> Result<u64> {
    object[name].as_u64().with_context(|| format!("/health has no count {name}"))
}

pub(super) fn document((status, body): (StatusCode, Bytes)) -> Result<Value> {
    if !status.is_success() {
        bail!("{status}: {}", String::from_utf8_lossy(&body));
    }
    Ok(serde_json::from_slice(&body)?)
}

fn check(view: &Value) -> Result<()> {
    if view["status"] != "COMPLETED" || view["output"] != SUM {
        bail!("a job ended otherwise than it should: {view}");
    }
    Ok(())
}
