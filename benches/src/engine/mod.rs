//! What an endpoint does with calls, jobs and memory, beside what others need for the same.

mod bytes;
mod caller;
mod cold;
mod idle;
mod jobs;
mod load;
mod ping;
mod queue;
pub(crate) mod table;

use anyhow::{Context, Result};

use crate::args::Args;

#[derive(Debug)]
pub(crate) struct Engine {
    load: Vec<load::Load>,
    ping: ping::Ping,
    cold: cold::Cold,
    jobs: jobs::Jobs,
    bytes: Option<bytes::Bytes>,
    idle: Option<idle::Idle>,
}

pub(crate) async fn measure(args: &Args) -> Result<Engine> {
    Ok(Engine {
        load: load::measure(args).await.context("load")?,
        ping: ping::measure(args).await.context("`/ping` under load")?,
        cold: cold::measure(args).await.context("first calls")?,
        jobs: jobs::measure(args).await.context("jobs")?,
        bytes: bytes::measure(args).await.context("large values")?,
        idle: idle::measure(args).await.context("an idle endpoint")?,
    })
}
