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
    pub(crate) flash_mb: f64,
    pub(crate) fastapi_mb: f64,
}

/// `None` where the system does not say.
pub(super) async fn measure(args: &Args) -> Result<Option<Idle>> {
    let (mut flash_mb, mut fastapi_mb) = (Vec::new(), Vec::new());
    for number in 1..=args.rounds {
        eprintln!("memory of an idle endpoint, round {number} of {}", args.rounds);
        let flash = Running::start(args, PROJECT).await?;
        let queue = Queue { address: flash.endpoint(PROJECT)? };
        queue.run().await?;
        queue.until_no_worker().await?;
        // What is below the mothership is the one endpoint of this project.
        let endpoint = Process::below(flash.server.id());
        let of_flash = endpoint.iter().map(|process| pss_mb(process.id)).sum();
        flash.server.stop()?;
        let of_fastapi = pss_mb(up(peers::start_fastapi(args)?)?.id());
        let (Some(of_flash), Some(of_fastapi)) = (of_flash, of_fastapi) else { return Ok(None) };
        flash_mb.push(of_flash);
        fastapi_mb.push(of_fastapi);
    }
    Ok(Some(Idle { flash_mb: median(&flash_mb), fastapi_mb: median(&fastapi_mb) }))
}
