//! The process that [`super::mothership`] is, seen from outside.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::args::Args;
use crate::http;
use crate::process::rss_mb;
use crate::server::free_port;

const UP_MAX: Duration = Duration::from_secs(10);
const ANSWER_MAX: Duration = Duration::from_secs(400);

#[derive(Debug)]
pub(super) struct Simulated {
    pub(super) address: SocketAddr,
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

#[derive(Debug)]
pub(super) struct Told {
    pub(super) seconds: f64,
    calls: BTreeMap<String, u64>,
}

impl Simulated {
    /// With a state of its own.
    pub(super) fn start(args: &Args, latency: Duration) -> Result<Self> {
        let state = args.work.join("reconcile-state");
        if state.exists() {
            fs::remove_dir_all(&state)?;
        }
        fs::create_dir_all(&state)?;
        let port = free_port()?;
        let mut child = Command::new(std::env::current_exe()?)
            .arg("mothership")
            .arg(format!("{port}:{}:{}", latency.as_millis(), state.join("state.sqlite").display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start the mothership")?;
        let input = child.stdin.take().context("no standard input")?;
        let output = BufReader::new(child.stdout.take().context("no standard output")?).lines();
        Ok(Self { address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), child, input, output })
    }

    pub(super) async fn wait_until_up(&self) -> Result<()> {
        let begun = Instant::now();
        while http::get(self.address, "/ping").await.is_err() {
            if begun.elapsed() > UP_MAX {
                bail!("the mothership does not answer");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    pub(super) async fn ask(&mut self, command: &str) -> Result<Told> {
        self.input.write_all(format!("{command}\n").as_bytes()).await?;
        let line = tokio::time::timeout(ANSWER_MAX, self.output.next_line()).await.context("no answer")??;
        let answer: Value = serde_json::from_str(&line.context("the mothership ended")?)?;
        let seconds = answer["seconds"].as_f64().context("no time in the answer")?;
        Ok(Told { seconds, calls: serde_json::from_value(answer["calls"].clone())? })
    }

    /// In MB (10^6 bytes); none where the system has no `/proc`.
    pub(super) fn rss_mb(&self) -> Option<f64> {
        rss_mb(self.child.id()?)
    }
}

impl Told {
    pub(super) fn calls_per(&self, children: usize) -> f64 {
        self.calls.values().sum::<u64>() as f64 / children as f64
    }

    /// Health checks go to endpoints, not to the provider, and have a clock of their own.
    pub(super) fn calls_beside_one_listing(&self) -> u64 {
        let to_provider = self.calls.iter().filter(|(verb, _)| *verb != "health");
        to_provider.map(|(_, count)| count).sum::<u64>().saturating_sub(1)
    }
}
