//! Closed-loop load: each connection sends its next request when it has the answer to the last.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::task::JoinSet;

use super::caller::{Call, Caller};
use crate::args::Args;
use crate::peers::{self, Peer, up};
use crate::process::processor_time_of;
use crate::project::{self, Running};
use crate::server::Server;
use crate::stats::{median, percentile};

pub(crate) const CONNECTIONS: [usize; 3] = [1, 16, 64];
const WARM_UP: Duration = Duration::from_millis(500);
/// Beyond the deadline, for the answers that are still to come.
const LAST_ANSWER_MAX: Duration = Duration::from_secs(10);
const REQUEST: &str = r#"{"x":1,"y":2}"#;
const ANSWER: &[u8] = b"3";

/// One place to send the call to.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) peer: Peer,
    pub(super) address: SocketAddr,
    pub(super) path: String,
}

/// Medians over the rounds.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) peer: Peer,
    pub(crate) connections: usize,
    pub(crate) requests_per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// Processor time a request, of all the server's processes.
    pub(crate) processor_us: Option<f64>,
}

struct Round {
    requests_per_second: f64,
    p50_us: f64,
    p99_us: f64,
    processor_us: Option<f64>,
}

/// Peers take turns within each round, so that a slow moment of the machine meets all of them.
pub(super) async fn measure(args: &Args) -> Result<Vec<Load>> {
    let flash = Running::start(args, project::ADD).await?;
    let fastapi = up(peers::start_fastapi(args)?)?;
    let reference = up(peers::start_uvicorn(args, "handler")?)?;
    let granian = up(peers::start_granian(args)?)?;
    let hyper = up(peers::start_hyper(args)?)?;
    let target = |peer, address, path: &str| Target { peer, address, path: path.to_owned() };
    let add = |peer, server: &Server| (target(peer, server.address, "/add"), server.id());
    let front_door = format!("/lb/{}/add", project::ADD);
    let targets = [
        (target(Peer::FlashChild, flash.endpoint(project::ADD)?, "/add"), flash.server.id()),
        (target(Peer::FlashFrontDoor, flash.server.address, &front_door), flash.server.id()),
        add(Peer::FastApi, &fastapi),
        add(Peer::Reference, &reference),
        add(Peer::Granian, &granian),
        add(Peer::Hyper, &hyper),
    ];
    let mut loads = Vec::new();
    for connections in CONNECTIONS {
        let mut rounds: Vec<Vec<Round>> = targets.iter().map(|_| Vec::new()).collect();
        for (target, server) in &targets {
            round(target, *server, connections, WARM_UP).await?;
        }
        for number in 1..=args.rounds {
            eprintln!("load, {connections} connections, round {number} of {}", args.rounds);
            for ((target, server), rounds) in targets.iter().zip(&mut rounds) {
                rounds.push(round(target, *server, connections, args.round_time).await?);
            }
        }
        for ((target, _), rounds) in targets.iter().zip(&rounds) {
            loads.push(Load::of(target.peer, connections, rounds));
        }
    }
    flash.server.stop()?;
    Ok(loads)
}

impl Load {
    fn of(peer: Peer, connections: usize, rounds: &[Round]) -> Self {
        let middle = |figure: fn(&Round) -> f64| median(&rounds.iter().map(figure).collect::<Vec<_>>());
        let processor: Option<Vec<f64>> = rounds.iter().map(|round| round.processor_us).collect();
        Self {
            peer,
            connections,
            requests_per_second: middle(|round| round.requests_per_second),
            p50_us: middle(|round| round.p50_us),
            p99_us: middle(|round| round.p99_us),
            processor_us: processor.map(|rounds| median(&rounds)),
        }
    }
}

/// `server` is the process that all of the server's processes are below.
async fn round(target: &Target, server: u32, connections: usize, time: Duration) -> Result<Round> {
    let calls = async {
        let started = Instant::now();
        let latencies_us = callers(target, connections, started + time).await?.all().await?;
        anyhow::Ok((latencies_us, started.elapsed()))
    };
    let (called, processor) = processor_time_of(server, calls).await;
    let (mut latencies_us, elapsed) = called?;
    let requests = latencies_us.len() as f64;
    latencies_us.sort_by(f64::total_cmp);
    Ok(Round {
        requests_per_second: requests / elapsed.as_secs_f64(),
        p50_us: percentile(&latencies_us, 50),
        p99_us: percentile(&latencies_us, 99),
        processor_us: processor.map(|processor| processor.as_secs_f64() * 1e6 / requests),
    })
}

pub(super) struct Callers {
    peer: Peer,
    deadline: Instant,
    tasks: JoinSet<Result<Vec<f64>>>,
}

/// All of them are connected when this comes back, and call until the deadline.
pub(super) async fn callers(target: &Target, connections: usize, deadline: Instant) -> Result<Callers> {
    let peer = target.peer;
    let call = Arc::new(Call::post(target.address, &target.path, REQUEST, ANSWER));
    let mut callers = Vec::new();
    for _ in 0..connections {
        let caller = Caller::connect(target.address, Arc::clone(&call)).await;
        callers.push(caller.with_context(|| format!("cannot call {}", peer.label()))?);
    }
    let mut tasks = JoinSet::new();
    for caller in callers {
        tasks.spawn(caller.call_until(deadline));
    }
    Ok(Callers { peer, deadline, tasks })
}

impl Callers {
    /// Latency of each call, in microseconds, once the deadline has passed.
    pub(super) async fn all(mut self) -> Result<Vec<f64>> {
        let limit = self.deadline + LAST_ANSWER_MAX;
        let all = async {
            let mut latencies_us = Vec::new();
            while let Some(outcome) = self.tasks.join_next().await {
                latencies_us.extend(outcome??);
            }
            anyhow::Ok(latencies_us)
        };
        let label = self.peer.label();
        let all = tokio::time::timeout_at(limit.into(), all).await;
        all.with_context(|| format!("{label} does not answer"))?.with_context(|| format!("load on {label}"))
    }
}
