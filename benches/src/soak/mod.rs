//! A project under half of the load that it can take, for minutes, while its processes are killed: what grows, what gets lost.

mod client;
mod crashes;
mod jobs;
mod pace;
mod place;
mod ran;
mod requests;
mod shadow;
mod sizes;
pub(crate) mod table;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::args::Args;
use crate::project::Running;
use pace::Pace;
use place::Place;
use shadow::Shadow;

const PROJECT: &str = "soak";
const WARM_UP: Duration = Duration::from_secs(3);
const TOP_TIME: Duration = Duration::from_secs(10);
/// Of what the project can take.
const SHARE: f64 = 0.5;

#[derive(Debug)]
pub(crate) struct Soak {
    time: Duration,
    seed: u64,
    top_jobs: f64,
    top_requests: f64,
    jobs: jobs::Tally,
    requests: requests::Tally,
    ran: ran::Ran,
    crashes: crashes::Crashes,
    sizes: sizes::Sizes,
    queue_bytes: u64,
    /// Processes that were there when everything had been stopped.
    left: usize,
}

pub(crate) async fn measure(args: &Args) -> Result<Soak> {
    let running = Running::start(args, PROJECT).await?;
    let place = Place::new(args, running)?;
    let shadow = Arc::new(Shadow::default());
    let lines = args.work.join("soak-lines");
    let work = jobs::Work::new(place.front(), lines.clone(), Arc::clone(&shadow))?;
    eprintln!("soak: what the project can take");
    load(&work, Pace::new(None, WARM_UP), Pace::new(None, WARM_UP)).await?;
    let top = load(&work, Pace::new(None, TOP_TIME), Pace::new(None, TOP_TIME)).await?;
    let top_jobs = top.0.ended() as f64 / TOP_TIME.as_secs_f64();
    let top_requests = top.1.right as f64 / TOP_TIME.as_secs_f64();
    let seed = u64::from(std::process::id());
    eprintln!("soak: {top_jobs:.0} jobs/s and {top_requests:.0} requests/s at the top; seed {seed}");

    let time = args.soak_time;
    let begun = Instant::now();
    let end = begun + time;
    let crashing = crashes::go_on(place.clone(), Arc::clone(&shadow), seed, begun, time);
    let sampling = sizes::go_on(place.clone(), time, end);
    let loading =
        load(&work, Pace::new(Some(top_jobs * SHARE), time), Pace::new(Some(top_requests * SHARE), time));
    let (crashes, sizes, loads) = tokio::join!(crashing, sampling, loading);
    let (jobs, requests) = loads.context("load")?;
    let (crashes, sizes) = (crashes.context("crashes")?, sizes.context("samples")?);
    let queue_bytes = place.queue_bytes();
    eprintln!("soak: everything has ended, stopping");
    let left = place.stop()?;
    let ran = ran::read(&lines, &jobs)?;
    Ok(Soak { time, seed, top_jobs, top_requests, jobs, requests, ran, crashes, sizes, queue_bytes, left })
}

/// Jobs and requests at once, until every job that was accepted has ended.
async fn load(work: &jobs::Work, jobs: Pace, requests: Pace) -> Result<(jobs::Tally, requests::Tally)> {
    let (jobs, requests) =
        tokio::join!(jobs::run(work.clone(), jobs), requests::call(work.front(), requests, work.shadow()),);
    Ok((jobs?, requests?))
}
