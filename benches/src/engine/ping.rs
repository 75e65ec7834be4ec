//! Whether `/ping` is answered while every worker computes and callers wait.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::Result;

use super::load::{Target, callers};
use crate::args::Args;
use crate::peers::{self, Peer, up};
use crate::pings::Pings;
use crate::project::Running;
use crate::stats::{median, percentile};

pub(crate) const CALLERS: usize = 64;
const PROJECT: &str = "slow";

/// 99th percentiles, medians over the rounds.
#[derive(Debug)]
pub(crate) struct Ping {
    pub(crate) flash_ms: f64,
    pub(crate) fastapi_ms: f64,
}

pub(super) async fn measure(args: &Args) -> Result<Ping> {
    let flash = Running::start(args, PROJECT).await?;
    let fastapi = up(peers::start_fastapi(args)?)?;
    let endpoint = flash.endpoint(PROJECT)?;
    let (mut flash_ms, mut fastapi_ms) = (Vec::new(), Vec::new());
    for number in 1..=args.rounds {
        eprintln!("`/ping` under load, round {number} of {}", args.rounds);
        flash_ms.push(round(Peer::FlashChild, endpoint, args).await?);
        fastapi_ms.push(round(Peer::FastApi, fastapi.address, args).await?);
    }
    flash.server.stop()?;
    Ok(Ping { flash_ms: median(&flash_ms), fastapi_ms: median(&fastapi_ms) })
}

async fn round(peer: Peer, address: SocketAddr, args: &Args) -> Result<f64> {
    let target = Target { peer, address, path: "/slow".to_owned() };
    let deadline = Instant::now() + args.round_time;
    let callers = callers(&target, CALLERS, deadline).await?;
    let pings = Pings::start(address);
    tokio::time::sleep_until(deadline.into()).await;
    let mut took_ms = pings.stop().await?;
    callers.all().await?;
    took_ms.sort_by(f64::total_cmp);
    Ok(percentile(&took_ms, 99))
}
