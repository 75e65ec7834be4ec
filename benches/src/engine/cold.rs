//! The first call of a queue without a worker, from the request to the result.

use std::process::Command;
use std::time::Instant;

use anyhow::Result;

use super::queue::Queue;
use crate::args::Args;
use crate::peers;
use crate::project::Running;
use crate::startup::{milliseconds, ping_ms, wall_ms};
use crate::stats::median;

const PROJECT: &str = "cold";

#[derive(Debug)]
pub(crate) struct Cold {
    /// `flashboot=True`.
    pub(crate) forked: FirstCall,
    /// `flashboot=False`.
    pub(crate) spawned: FirstCall,
    /// Start to end of an interpreter that does nothing.
    pub(crate) python_ms: f64,
    /// Process start to first answer.
    pub(crate) fastapi_ms: f64,
}

#[derive(Debug)]
pub(crate) struct FirstCall {
    pub(crate) ms: f64,
    pub(crate) by_fork: bool,
}

pub(super) async fn measure(args: &Args) -> Result<Cold> {
    let flash = Running::start(args, PROJECT).await?;
    let forked = Queue { address: flash.endpoint("forked")? };
    let spawned = Queue { address: flash.endpoint("spawned")? };
    let (mut fork, mut spawn) = (Starts::default(), Starts::default());
    let (mut python_ms, mut fastapi_ms) = (Vec::new(), Vec::new());
    for number in 1..=args.starts {
        eprintln!("first calls, {number} of {}", args.starts);
        forked.until_no_worker().await?;
        spawned.until_no_worker().await?;
        fork.first_call(forked).await?;
        spawn.first_call(spawned).await?;
        let mut python = Command::new(&args.python);
        python.args(["-c", "pass"]);
        python_ms.push(wall_ms(python)?);
        fastapi_ms.push(ping_ms(peers::start_fastapi(args)?)?);
    }
    flash.server.stop()?;
    Ok(Cold {
        forked: fork.middle(),
        spawned: spawn.middle(),
        python_ms: median(&python_ms),
        fastapi_ms: median(&fastapi_ms),
    })
}

#[derive(Debug, Default)]
struct Starts {
    ms: Vec<f64>,
    forks: usize,
}

impl Starts {
    async fn first_call(&mut self, queue: Queue) -> Result<()> {
        let begun = Instant::now();
        queue.run().await?;
        self.ms.push(milliseconds(begun.elapsed()));
        // An endpoint that says nothing of it spawns.
        self.forks += usize::from(queue.health().await?["worker_start"]["by"] == "fork");
        Ok(())
    }

    fn middle(&self) -> FirstCall {
        FirstCall { ms: median(&self.ms), by_fork: self.forks == self.ms.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_calls_are_by_fork_only_if_all_of_them_are() {
        let starts = |forks| Starts { ms: vec![10.0, 30.0, 20.0], forks };
        assert!(starts(3).middle().by_fork);
        assert!(!starts(2).middle().by_fork);
        assert_eq!(starts(0).middle().ms, 20.0);
    }
}
