//! `flash run` on a project of `benches/project`.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::args::Args;
use crate::http;
use crate::server::{Server, free_port};

/// One route, `POST /add`; its resource has the project's name.
pub(crate) const ADD: &str = "bench";
const REQUIREMENTS: &str = "requirements.txt";
/// The first start may install the worker environment.
const READY_MAX: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(5);

/// All its endpoints are ready.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) server: Server,
    pub(crate) folder: PathBuf,
    endpoints: BTreeMap<String, SocketAddr>,
}

impl Running {
    pub(crate) async fn start(args: &Args, name: &str) -> Result<Self> {
        let folder = copy(args, name)?;
        let mut server = start(args, name)?;
        let endpoints = wait_until_ready(&mut server).await?;
        Ok(Self { server, folder, endpoints })
    }

    /// Where an endpoint listens itself.
    pub(crate) fn endpoint(&self, resource: &str) -> Result<SocketAddr> {
        self.endpoints
            .get(resource)
            .copied()
            .with_context(|| format!("the project has no resource {resource}"))
    }
}

/// Starts and stops one, so that what is measured later finds everything installed.
pub(crate) async fn prepare(args: &Args) -> Result<()> {
    eprintln!("preparing: first start of flash, which makes the worker environment");
    Running::start(args, ADD).await?.server.stop()
}

/// On the copy that is there.
pub(crate) fn start(args: &Args, name: &str) -> Result<Server> {
    let port = free_port()?;
    let mut command = Command::new(&args.flash);
    command.arg("run").arg(folder(args, name)).args(["--host", "127.0.0.1", "--port", &port.to_string()]);
    Server::start("flash run", command, port, args.log(&format!("flash-{name}")))
}

/// Where its endpoints listen, once all of them are ready.
pub(crate) async fn wait_until_ready(server: &mut Server) -> Result<BTreeMap<String, SocketAddr>> {
    loop {
        server.check_running()?;
        if let Ok((status, body)) = http::get(server.address, "/manifest").await
            && status.is_success()
            && let Some(endpoints) = ready(&serde_json::from_slice(&body)?)?
        {
            server.note_descendants();
            return Ok(endpoints);
        }
        if server.started.elapsed() > READY_MAX {
            return Err(server.failure(&format!("was not ready within {READY_MAX:?}")));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// A fresh copy, so that neither state of an earlier run nor the checkout is touched.
fn copy(args: &Args, name: &str) -> Result<PathBuf> {
    let (source, target) = (args.benches.join("project"), folder(args, name));
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    fs::create_dir_all(&target)?;
    copy_file(&source.join(REQUIREMENTS), &target)?;
    for entry in fs::read_dir(source.join(name))? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "py") {
            copy_file(&file, &target)?;
        }
    }
    Ok(target)
}

fn folder(args: &Args, name: &str) -> PathBuf {
    args.work.join("project").join(name)
}

fn copy_file(from: &Path, folder: &Path) -> Result<()> {
    let name = from.file_name().context("no file name")?;
    fs::copy(from, folder.join(name)).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}

fn ready(manifest: &Value) -> Result<Option<BTreeMap<String, SocketAddr>>> {
    let resources = manifest["resources"].as_object().context("the manifest has no resources")?;
    let mut endpoints = BTreeMap::new();
    for (name, resource) in resources {
        match (resource["status"].as_str(), resource["endpoint_url"].as_str()) {
            (Some("ready"), Some(url)) => endpoints.insert(name.clone(), address_of(url)?),
            (Some("failed"), _) => bail!("resource {name} failed: {}", resource["status_reason"]),
            _ => return Ok(None),
        };
    }
    Ok(Some(endpoints).filter(|endpoints| !endpoints.is_empty()))
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
    fn endpoints_count_only_when_all_are_ready() {
        let manifest = |status: &str| {
            let resource = |status: &str| json!({"status": status, "endpoint_url": "http://127.0.0.1:9"});
            json!({"resources": {"a": resource("ready"), "b": resource(status)}})
        };
        assert_eq!(ready(&manifest("provisioning")).unwrap(), None);
        assert_eq!(ready(&manifest("ready")).unwrap().unwrap().len(), 2);
        assert!(ready(&manifest("failed")).is_err());
        assert_eq!(ready(&json!({"resources": {}})).unwrap(), None);
    }

    #[test]
    fn only_loopback_is_called() {
        assert!(address_of("http://127.0.0.1:8901").is_ok());
        assert!(address_of("http://192.0.2.1:8901").is_err());
    }
}
