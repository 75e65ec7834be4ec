//! What a mothership costs: provisioning, looking again at what is unchanged, answering meanwhile, and coming back.

mod crash;
pub(crate) mod mothership;
mod reader;
mod simulated;

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::args::Args;
use crate::pings::Pings;
use crate::stats::{median, percentile};
pub(crate) use reader::Answer;
use simulated::Simulated;

pub(crate) const PROVISIONED: usize = 1_000;
pub(crate) const UNCHANGED: usize = 10_000;
pub(crate) const LATENCY: Duration = Duration::from_millis(50);
pub(crate) const CHILDREN: usize = crash::CHILDREN;
/// As many as one after the other takes a second and a half for.
const SEQUENTIAL: usize = 15;
const READERS: usize = 16;
const IDLE_TIME: Duration = Duration::from_secs(1);
/// Changes in a round of which waiting readers are told.
const PUSHES: usize = 10;

#[derive(Debug)]
pub(crate) struct Reconcile {
    pub(crate) provision_seconds: f64,
    pub(crate) calls_per_child: f64,
    /// The same calls one after the other, for as many children.
    pub(crate) sequential_seconds: f64,
    pub(crate) ping_p99_ms: f64,
    /// Of the same mothership before it has anything to do.
    pub(crate) idle_ping_p99_ms: f64,
    pub(crate) unchanged_ms: f64,
    /// Beside the one listing.
    pub(crate) unchanged_calls: u64,
    /// From the wish for one more resource to the answer of a reader that waits.
    pub(crate) push_p99_ms: f64,
    pub(crate) reads: Vec<(Answer, f64)>,
    pub(crate) rss_mb: Option<f64>,
    pub(crate) crash_seconds: f64,
}

pub(crate) async fn measure(args: &Args) -> Result<Reconcile> {
    let (mut provision, mut pings, mut calls) = (Vec::new(), Vec::new(), Vec::new());
    let (mut idle_pings, mut pushes) = (Vec::new(), Vec::new());
    let mut reads: Vec<(Answer, Vec<f64>)> = Answer::ALL.iter().map(|answer| (*answer, Vec::new())).collect();
    for round in 1..=args.rounds {
        eprintln!("reconcile, round {round} of {}: {PROVISIONED} resources", args.rounds);
        let mut simulated = Simulated::start(args, LATENCY)?;
        simulated.wait_until_up().await?;
        let pinging = Pings::start(simulated.address);
        tokio::time::sleep(IDLE_TIME).await;
        idle_pings.extend(pinging.stop().await?);
        let pinging = Pings::start(simulated.address);
        let answer = simulated.ask(&format!("want {PROVISIONED}")).await?;
        pings.extend(pinging.stop().await?);
        provision.push(answer.seconds);
        calls.push(answer.calls_per(PROVISIONED));
        for (answer, rates) in &mut reads {
            rates.push(reader::rate(simulated.address, *answer, READERS, args.round_time).await?);
        }
        for change in 1..=PUSHES {
            let waiting = reader::waiting(simulated.address, READERS).await?;
            let begun = Instant::now();
            simulated.ask(&format!("want {}", PROVISIONED + change)).await?;
            pushes.extend(waiting.told_since(begun).await?);
        }
    }
    pings.sort_by(f64::total_cmp);
    idle_pings.sort_by(f64::total_cmp);
    pushes.sort_by(f64::total_cmp);
    eprintln!("reconcile: {UNCHANGED} resources");
    let mut simulated = Simulated::start(args, Duration::ZERO)?;
    simulated.wait_until_up().await?;
    simulated.ask(&format!("want {UNCHANGED}")).await?;
    let (mut unchanged, mut unchanged_calls) = (Vec::new(), 0);
    for _ in 0..args.rounds.max(5) {
        let answer = simulated.ask("round").await?;
        unchanged.push(answer.seconds * 1e3);
        unchanged_calls = unchanged_calls.max(answer.calls_beside_one_listing());
    }
    let rss_mb = simulated.rss_mb();
    drop(simulated);
    let sequential_seconds = sequential(args).await?;
    let crash_seconds = crash::measure(args).await.context("children of a real mothership")?;
    Ok(Reconcile {
        provision_seconds: median(&provision),
        calls_per_child: median(&calls),
        sequential_seconds,
        ping_p99_ms: percentile(&pings, 99),
        idle_ping_p99_ms: percentile(&idle_pings, 99),
        unchanged_ms: median(&unchanged),
        unchanged_calls,
        push_p99_ms: percentile(&pushes, 99),
        reads: reads.into_iter().map(|(answer, rates)| (answer, median(&rates))).collect(),
        rss_mb,
        crash_seconds,
    })
}

/// What provisioning one child after the other costs with the same provider: measured for a few, and scaled.
async fn sequential(args: &Args) -> Result<f64> {
    let mut simulated = Simulated::start(args, LATENCY)?;
    simulated.wait_until_up().await?;
    let mut seconds = 0.0;
    for count in 1..=SEQUENTIAL {
        seconds += simulated.ask(&format!("want {count}")).await?.seconds;
    }
    Ok(seconds / SEQUENTIAL as f64 * PROVISIONED as f64)
}
