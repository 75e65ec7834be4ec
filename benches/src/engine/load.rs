//! Closed-loop load: each connection sends its next request when it has the answer to the last.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, header};
use tokio::task::JoinSet;

use crate::args::Args;
use crate::http::{connect, exchange};
use crate::peers::{self, Peer, up};
use crate::process::processor_time_of;
use crate::project::{self, Running};
use crate::server::Server;
use crate::stats::{median, percentile};

pub(crate) const CONNECTIONS: [usize; 3] = [1, 16, 64];
const WARM_UP: Duration = Duration::from_millis(500);
const REQUEST: &[u8] = br#"{"x":1,"y":2}"#;
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
    tasks: JoinSet<Result<Vec<f64>>>,
}

/// All of them are connected when this comes back, and call until the deadline.
pub(super) async fn callers(target: &Target, connections: usize, deadline: Instant) -> Result<Callers> {
    let peer = target.peer;
    let mut senders = Vec::new();
    for _ in 0..connections {
        let sender = connect(target.address).await;
        senders.push(sender.with_context(|| format!("cannot call {}", peer.label()))?);
    }
    let mut tasks = JoinSet::new();
    for sender in senders {
        tasks.spawn(call_until(sender, target.clone(), deadline));
    }
    Ok(Callers { peer, tasks })
}

impl Callers {
    /// Latency of each call, in microseconds, once the deadline has passed.
    pub(super) async fn all(mut self) -> Result<Vec<f64>> {
        let mut latencies_us = Vec::new();
        while let Some(outcome) = self.tasks.join_next().await {
            latencies_us.extend(outcome?.with_context(|| format!("load on {}", self.peer.label()))?);
        }
        Ok(latencies_us)
    }
}

/// Any answer but the right one is an error.
async fn call_until(
    mut sender: SendRequest<Full<Bytes>>,
    target: Target,
    deadline: Instant,
) -> Result<Vec<f64>> {
    let host = target.address.to_string();
    let mut latencies_us = Vec::new();
    while Instant::now() < deadline {
        let request = Request::post(&target.path)
            .header(header::HOST, &host)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(REQUEST))?;
        let sent = Instant::now();
        let (status, body) = exchange(&mut sender, request).await?;
        latencies_us.push(sent.elapsed().as_secs_f64() * 1e6);
        if !status.is_success() || body.trim_ascii() != ANSWER {
            bail!("{status}: {}", String::from_utf8_lossy(&body));
        }
    }
    Ok(latencies_us)
}
