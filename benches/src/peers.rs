//! The servers under test, and where each takes the call.

use std::env;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::args::Args;
use crate::http;
use crate::server::{Server, free_port};

pub(crate) const RESOURCE: &str = "bench";
/// The first start may install the worker environment.
const READY_MAX: Duration = Duration::from_secs(300);
pub(crate) const PING_MAX: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    FlashChild,
    FlashFrontDoor,
    FastApi,
    Hyper,
}

impl Peer {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::FlashChild => "flash, the endpoint's own URL",
            Self::FlashFrontDoor => "flash, through the mothership",
            Self::FastApi => "FastAPI on uvicorn",
            Self::Hyper => "bare hyper, no Python",
        }
    }
}

/// One place to send the call to.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) peer: Peer,
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
}

/// All running; ended when dropped.
#[derive(Debug)]
pub(crate) struct Peers {
    pub(crate) targets: Vec<Target>,
    _servers: Vec<Server>,
}

impl Peers {
    pub(crate) async fn start(args: &Args) -> Result<Self> {
        let mut flash = start_flash(args)?;
        let child = wait_until_ready(&mut flash).await?;
        let mut fastapi = start_fastapi(args)?;
        http::time_to_ok(&mut fastapi, "/ping", PING_MAX)?;
        let mut hyper = start_hyper(args)?;
        http::time_to_ok(&mut hyper, "/ping", PING_MAX)?;
        let target = |peer, address, path: &str| Target { peer, address, path: path.to_owned() };
        Ok(Self {
            targets: vec![
                target(Peer::FlashChild, child, "/add"),
                target(Peer::FlashFrontDoor, flash.address, &format!("/lb/{RESOURCE}/add")),
                target(Peer::FastApi, fastapi.address, "/add"),
                target(Peer::Hyper, hyper.address, "/add"),
            ],
            _servers: vec![flash, fastapi, hyper],
        })
    }
}

/// Starts and stops it once, so that what is measured later finds everything installed.
pub(crate) async fn prepare_flash(args: &Args) -> Result<()> {
    let mut server = start_flash(args)?;
    wait_until_ready(&mut server).await?;
    server.stop()
}

pub(crate) fn start_flash(args: &Args) -> Result<Server> {
    let port = free_port()?;
    let mut command = Command::new(&args.flash);
    command.arg("run").arg(args.project()).args(["--host", "127.0.0.1", "--port", &port.to_string()]);
    Server::start("flash run", command, port, args.log("flash"))
}

pub(crate) fn start_fastapi(args: &Args) -> Result<Server> {
    let port = free_port()?;
    let mut command = Command::new(&args.python);
    command
        .args(["-m", "uvicorn", "app:app", "--host", "127.0.0.1", "--port", &port.to_string()])
        .args(["--no-access-log", "--log-level", "warning", "--app-dir"])
        .arg(args.benches.join("peer"));
    Server::start("uvicorn", command, port, args.log("uvicorn"))
}

pub(crate) fn start_hyper(args: &Args) -> Result<Server> {
    let port = free_port()?;
    let mut command = Command::new(env::current_exe()?);
    command.args(["baseline", &port.to_string()]);
    Server::start("hyper", command, port, args.log("hyper"))
}

/// Where the bench endpoint listens, once every resource of the manifest is ready.
pub(crate) async fn wait_until_ready(server: &mut Server) -> Result<SocketAddr> {
    loop {
        server.check_running()?;
        if let Ok((status, body)) = http::get(server.address, "/manifest").await
            && status.is_success()
            && let Some(url) = ready_url(&serde_json::from_slice(&body)?)?
        {
            server.note_descendants();
            return address_of(&url);
        }
        if server.started.elapsed() > READY_MAX {
            return Err(server.failure(&format!("was not ready within {READY_MAX:?}")));
        }
        tokio::time::sleep(POLL).await;
    }
}

fn ready_url(manifest: &Value) -> Result<Option<String>> {
    let resources = manifest["resources"].as_object().context("the manifest has no resources")?;
    for (name, resource) in resources {
        match resource["status"].as_str() {
            Some("ready") => {}
            Some("failed") => bail!("resource {name} failed: {}", resource["status_reason"]),
            _ => return Ok(None),
        }
    }
    Ok(resources.get(RESOURCE).and_then(|bench| bench["endpoint_url"].as_str()).map(str::to_owned))
}

fn address_of(url: &str) -> Result<SocketAddr> {
    url.strip_prefix("http://")
        .and_then(|rest| rest.trim_end_matches('/').parse().ok())
        .filter(|address: &SocketAddr| address.ip().is_loopback())
        .with_context(|| format!("endpoint URL {url} is not http://127.0.0.1:PORT"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_url_counts_only_when_all_resources_are_ready() {
        let manifest = |status: &str| json!({"resources": {"bench": {"status": status, "endpoint_url": "http://127.0.0.1:9"}}});
        assert_eq!(ready_url(&manifest("provisioning")).unwrap(), None);
        assert_eq!(ready_url(&manifest("ready")).unwrap().as_deref(), Some("http://127.0.0.1:9"));
        assert!(ready_url(&manifest("failed")).is_err());
    }

    #[test]
    fn only_loopback_is_called() {
        assert!(address_of("http://127.0.0.1:8901").is_ok());
        assert!(address_of("http://192.0.2.1:8901").is_err());
    }
}
