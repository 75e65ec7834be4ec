//! How long until a program answers: `--version`, and the first 200 of a server.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::args::Args;
use crate::http;
use crate::memory;
use crate::peers::{self, PING_MAX};
use crate::project;
use crate::server::Server;
use crate::stats::median;

const VERSION_RUNS: usize = 31;

#[derive(Debug)]
pub(crate) struct Startup {
    pub(crate) flash_version: Version,
    pub(crate) uvicorn_version: Version,
    /// Process start to the first 200 on `/ping`.
    pub(crate) flash_ping_ms: f64,
    pub(crate) fastapi_ping_ms: f64,
    pub(crate) hyper_ping_ms: f64,
    /// Process start to every resource `ready`.
    pub(crate) flash_ready_ms: f64,
}

#[derive(Debug)]
pub(crate) struct Version {
    pub(crate) wall_ms: f64,
    pub(crate) peak_rss_mb: Option<f64>,
}

pub(crate) async fn measure(args: &Args) -> Result<Startup> {
    eprintln!("measuring --version, {VERSION_RUNS} runs each");
    let flash = || {
        let mut command = Command::new(&args.flash);
        command.arg("--version");
        command
    };
    let uvicorn = || {
        let mut command = Command::new(&args.python);
        command.args(["-m", "uvicorn", "--version"]);
        command
    };
    let (mut flash_ms, mut uvicorn_ms) = (Vec::new(), Vec::new());
    for _ in 0..VERSION_RUNS {
        flash_ms.push(wall_ms(flash())?);
        uvicorn_ms.push(wall_ms(uvicorn())?);
    }
    let flash_version = Version { wall_ms: median(&flash_ms), peak_rss_mb: memory::peak_rss_mb(flash())? };
    let uvicorn_version =
        Version { wall_ms: median(&uvicorn_ms), peak_rss_mb: memory::peak_rss_mb(uvicorn())? };

    eprintln!("measuring starts, {} each", args.starts);
    let (mut flash_ping, mut flash_ready) = (Vec::new(), Vec::new());
    let (mut fastapi_ping, mut hyper_ping) = (Vec::new(), Vec::new());
    for _ in 0..args.starts {
        let mut server = project::start(args, project::ADD)?;
        flash_ping.push(milliseconds(http::time_to_ok(&mut server, "/ping", PING_MAX)?));
        project::wait_until_ready(&mut server).await?;
        flash_ready.push(milliseconds(server.started.elapsed()));
        server.stop()?;
        fastapi_ping.push(ping_ms(peers::start_fastapi(args)?)?);
        hyper_ping.push(ping_ms(peers::start_hyper(args)?)?);
    }
    Ok(Startup {
        flash_version,
        uvicorn_version,
        flash_ping_ms: median(&flash_ping),
        fastapi_ping_ms: median(&fastapi_ping),
        hyper_ping_ms: median(&hyper_ping),
        flash_ready_ms: median(&flash_ready),
    })
}

/// Process start to the first 200 on `/ping`.
pub(crate) fn ping_ms(mut server: Server) -> Result<f64> {
    Ok(milliseconds(http::time_to_ok(&mut server, "/ping", PING_MAX)?))
}

/// From start to end of a program whose output nobody reads.
pub(crate) fn wall_ms(mut command: Command) -> Result<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    let elapsed = started.elapsed();
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(milliseconds(elapsed))
}

pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
