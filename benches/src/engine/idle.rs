//! What an endpoint without a worker holds in memory.

use anyhow::Result;

use super::queue::Queue;
use crate::args::Args;
use crate::peers::{self, up};
use crate::process::{Process, pss_mb};
use crate::project::Running;
use crate::stats::median;

const PROJECT: &str = "idle";

/// PSS in MB (10^6 bytes), medians over the rounds.
#[derive(Debug)]
pub(crate) struct Idle {
    pub(crate) flash_mb: Option<f64>,
    pub(crate) fastapi_mb: Option<f64>,
}

pub(super) async fn measure(args: &Args) -> Result<Idle> {
    let (mut flash_mb, mut fastapi_mb) = (Vec::new(), Vec::new());
    for number in 1..=args.rounds {
        eprintln!("memory of an idle endpoint, round {number} of {}", args.rounds);
        let flash = Running::start(args, PROJECT).await?;
        let queue = Queue { address: flash.endpoint(PROJECT)? };
        queue.run().await?;
        queue.until_no_worker().await?;
        // What is below the mothership is the one endpoint of this project.
        flash_mb.push(sum(Process::below(flash.server.id()).into_iter().map(|process| process.id)));
        flash.server.stop()?;
        let fastapi = up(peers::start_fastapi(args)?)?;
        fastapi_mb.push(sum([fastapi.id()]));
    }
    Ok(Idle { flash_mb: middle(flash_mb), fastapi_mb: middle(fastapi_mb) })
}

/// `None` where the system does not say.
fn sum(processes: impl IntoIterator<Item = u32>) -> Option<f64> {
    processes.into_iter().map(pss_mb).sum()
}

fn middle(rounds: Vec<Option<f64>>) -> Option<f64> {
    let rounds: Option<Vec<f64>> = rounds.into_iter().collect();
    rounds.map(|rounds| median(&rounds))
}
