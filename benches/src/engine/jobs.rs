//! How many trivial jobs a second are accepted, run and written down, and how long the submit takes at half of that.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, header};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::queue::{JOB, Queue, count, document};
use crate::args::Args;
use crate::http::{connect, exchange};
use crate::project::Running;
use crate::stats::{median, percentile};

const PROJECT: &str = "jobs";
const SUBMITTERS: usize = 64;
/// Above, submitters wait: what piles up was not sustained.
const WAITING_MAX: u64 = 2_000;
/// Looking costs the endpoint something: it counts all its jobs.
const LOOK_PERIOD: Duration = Duration::from_millis(100);
const DRAIN_PERIOD: Duration = Duration::from_millis(20);
const DRAIN_MAX: Duration = Duration::from_secs(60);
const WARM_UP: Duration = Duration::from_millis(500);

/// Medians over the rounds.
#[derive(Debug)]
pub(crate) struct Jobs {
    pub(crate) per_second: f64,
    /// At half that many, from the moment that each was due.
    pub(crate) submit_p99_ms: f64,
}

pub(super) async fn measure(args: &Args) -> Result<Jobs> {
    let flash = Running::start(args, PROJECT).await?;
    let queue = Queue { address: flash.endpoint(PROJECT)? };
    sustained(queue, WARM_UP).await?;
    let (mut rates, mut p99s) = (Vec::new(), Vec::new());
    for number in 1..=args.rounds {
        eprintln!("jobs, round {number} of {}", args.rounds);
        let rate = sustained(queue, args.round_time).await?;
        rates.push(rate);
        let mut took_ms = paced(queue, rate / 2.0, args.round_time).await?;
        took_ms.sort_by(f64::total_cmp);
        p99s.push(percentile(&took_ms, 99));
    }
    flash.server.stop()?;
    Ok(Jobs { per_second: median(&rates), submit_p99_ms: median(&p99s) })
}

/// Jobs a second, from the first submit to the last result.
async fn sustained(queue: Queue, time: Duration) -> Result<f64> {
    let (waiting, _) = watch::channel(0);
    let begun = Instant::now();
    let mut submitters = JoinSet::new();
    for _ in 0..SUBMITTERS {
        submitters.spawn(submit_until(queue, begun + time, waiting.subscribe()));
    }
    let all = async {
        let mut submitted = Vec::new();
        while let Some(outcome) = submitters.join_next().await {
            submitted.push(outcome??);
        }
        anyhow::Ok(submitted)
    };
    let submitted = tokio::select! {
        submitted = all => submitted?,
        error = watch_backlog(queue, &waiting) => return Err(error),
    };
    drain(queue).await?;
    let elapsed = begun.elapsed();
    for last in submitted.iter().filter_map(|submitted| submitted.last.as_ref()) {
        queue.check_completed(last).await?;
    }
    Ok(submitted.iter().map(|submitted| submitted.jobs).sum::<u64>() as f64 / elapsed.as_secs_f64())
}

#[derive(Debug, Default)]
struct Submitted {
    jobs: u64,
    /// Its id.
    last: Option<String>,
}

async fn submit_until(
    queue: Queue,
    deadline: Instant,
    mut waiting: watch::Receiver<u64>,
) -> Result<Submitted> {
    let mut sender = connect(queue.address).await?;
    let mut submitted = Submitted::default();
    while Instant::now() < deadline {
        submitted.last = Some(submit(queue, &mut sender).await?);
        submitted.jobs += 1;
        waiting.wait_for(|waiting| *waiting <= WAITING_MAX).await?;
    }
    Ok(submitted)
}

/// The job's id.
async fn submit(queue: Queue, sender: &mut SendRequest<Full<Bytes>>) -> Result<String> {
    let request = Request::post("/run")
        .header(header::HOST, queue.address.to_string())
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::from(JOB))?;
    let accepted = document(exchange(sender, request).await?)?;
    Ok(accepted["id"].as_str().context("a job has no id")?.to_owned())
}

/// Says how many jobs wait. Comes back where that cannot be told.
async fn watch_backlog(queue: Queue, waiting: &watch::Sender<u64>) -> anyhow::Error {
    loop {
        match queue.health().await.and_then(|health| count(&health["jobs"], "inQueue")) {
            Ok(count) => drop(waiting.send_replace(count)),
            Err(error) => return error,
        }
        tokio::time::sleep(LOOK_PERIOD).await;
    }
}

/// Until every job has ended, and well.
async fn drain(queue: Queue) -> Result<()> {
    let begun = Instant::now();
    loop {
        let jobs = &queue.health().await?["jobs"];
        if count(jobs, "failed")? > 0 {
            bail!("jobs failed");
        }
        if count(jobs, "inQueue")? + count(jobs, "inProgress")? == 0 {
            return Ok(());
        }
        if begun.elapsed() > DRAIN_MAX {
            bail!("jobs still wait after {DRAIN_MAX:?}");
        }
        tokio::time::sleep(DRAIN_PERIOD).await;
    }
}

/// Submits so many a second, whatever earlier ones take; milliseconds from the moment that each was due to its answer.
async fn paced(queue: Queue, rate: f64, time: Duration) -> Result<Vec<f64>> {
    let begun = Instant::now();
    let period = Duration::from_secs_f64(SUBMITTERS as f64 / rate);
    let mut submitters = JoinSet::new();
    for number in 0..SUBMITTERS {
        let first = begun + period.mul_f64(number as f64 / SUBMITTERS as f64);
        submitters.spawn(async move {
            let mut sender = connect(queue.address).await?;
            let mut took_ms = Vec::new();
            let mut due = first;
            while due < begun + time {
                tokio::time::sleep_until(due.into()).await;
                submit(queue, &mut sender).await?;
                took_ms.push(due.elapsed().as_secs_f64() * 1e3);
                due += period;
            }
            anyhow::Ok(took_ms)
        });
    }
    let mut took_ms = Vec::new();
    while let Some(outcome) = submitters.join_next().await {
        took_ms.extend(outcome??);
    }
    drain(queue).await?;
    Ok(took_ms)
}
