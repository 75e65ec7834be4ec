//! Closed-loop load: each connection sends its next request when it has the answer to the last.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::args::Args;
use crate::peers::{Peer, Target};
use crate::stats::{median, percentile};

pub(crate) const CONNECTIONS: [usize; 2] = [1, 16];
const WARM_UP: Duration = Duration::from_secs(1);
const CALL_MAX: Duration = Duration::from_secs(10);
const REQUEST: &[u8] = br#"{"x":1,"y":2}"#;
const ANSWER: &[u8] = b"3";

/// Medians over the rounds.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) peer: Peer,
    pub(crate) connections: usize,
    pub(crate) requests_per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

struct Round {
    requests_per_second: f64,
    p50_us: f64,
    p99_us: f64,
}

/// Peers take turns within each round, so that a slow moment of the machine meets all of them.
pub(crate) async fn measure_all(targets: &[Target], args: &Args) -> Result<Vec<Load>> {
    let mut loads = Vec::new();
    for connections in CONNECTIONS {
        let mut rounds: Vec<Vec<Round>> = targets.iter().map(|_| Vec::new()).collect();
        for target in targets {
            measure(target, connections, WARM_UP).await?;
        }
        for round in 1..=args.rounds {
            eprintln!("load, {connections} connections, round {round} of {}", args.rounds);
            for (target, rounds) in targets.iter().zip(&mut rounds) {
                rounds.push(measure(target, connections, args.round_time).await?);
            }
        }
        for (target, rounds) in targets.iter().zip(&rounds) {
            let middle = |figure: fn(&Round) -> f64| median(&rounds.iter().map(figure).collect::<Vec<_>>());
            loads.push(Load {
                peer: target.peer,
                connections,
                requests_per_second: middle(|round| round.requests_per_second),
                p50_us: middle(|round| round.p50_us),
                p99_us: middle(|round| round.p99_us),
            });
        }
    }
    Ok(loads)
}

async fn measure(target: &Target, connections: usize, time: Duration) -> Result<Round> {
    let mut senders = Vec::new();
    for _ in 0..connections {
        senders.push(connect(target).await.with_context(|| format!("cannot call {}", target.peer.label()))?);
    }
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for sender in senders {
        tasks.spawn(call_until(sender, target.clone(), started + time));
    }
    let mut latencies_us = Vec::new();
    while let Some(outcome) = tasks.join_next().await {
        latencies_us.extend(outcome?.with_context(|| format!("load on {}", target.peer.label()))?);
    }
    let elapsed = started.elapsed();
    latencies_us.sort_by(f64::total_cmp);
    Ok(Round {
        requests_per_second: latencies_us.len() as f64 / elapsed.as_secs_f64(),
        p50_us: percentile(&latencies_us, 50),
        p99_us: percentile(&latencies_us, 99),
    })
}

async fn connect(target: &Target) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(target.address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends when the sender is dropped; an error of it is one of the call that it interrupts.
    tokio::spawn(connection);
    Ok(sender)
}

/// Latency of each call, in microseconds. Any answer but the right one is an error.
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
        let call = async {
            sender.ready().await?;
            let response = sender.send_request(request).await?;
            let status = response.status();
            Ok::<_, hyper::Error>((status, response.into_body().collect().await?.to_bytes()))
        };
        let (status, body) = tokio::time::timeout(CALL_MAX, call)
            .await
            .with_context(|| format!("no answer in {CALL_MAX:?}"))??;
        latencies_us.push(sent.elapsed().as_secs_f64() * 1e6);
        if !status.is_success() || body.trim_ascii() != ANSWER {
            bail!("{status}: {}", String::from_utf8_lossy(&body));
        }
    }
    Ok(latencies_us)
}
