//! The project that is measured: its mothership, its endpoints, and all their processes.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use flash_model::wire::EndpointAnnouncement;

use crate::args::Args;
use crate::process::Process;
use crate::project::{self, Running};
use crate::server::Server;

pub(super) const MOTHERSHIP: &str = "mothership";

#[derive(Debug, Clone)]
pub(super) struct Place {
    flash: PathBuf,
    run_dir: PathBuf,
    folder: PathBuf,
    front: SocketAddr,
    server: Arc<Mutex<Option<Server>>>,
}

impl Place {
    pub(super) fn new(args: &Args, running: Running) -> Result<Self> {
        let folder = running.folder.canonicalize().context("no folder")?;
        let place = Self {
            flash: args.flash.clone(),
            run_dir: folder.join(".flash/run"),
            folder,
            front: running.server.address,
            server: Arc::new(Mutex::new(Some(running.server))),
        };
        place.note();
        Ok(place)
    }

    pub(super) fn front(&self) -> SocketAddr {
        self.front
    }

    /// By resource: the gateways' processes, as their endpoints announce them.
    pub(super) fn gateways(&self) -> BTreeMap<String, Process> {
        let mut gateways = BTreeMap::new();
        for entry in fs::read_dir(self.run_dir.join("endpoints")).into_iter().flatten().flatten() {
            let Some(announcement) = announcement(&entry.path().join("endpoint.json")) else { continue };
            if let Some(process) = Process::of(announcement.pid).filter(Process::is_alive) {
                gateways.insert(announcement.owner.resource.to_string(), process);
            }
        }
        gateways
    }

    pub(super) fn mothership(&self) -> Option<Process> {
        Process::of(self.server().as_ref()?.id())
    }

    /// So that whatever is there now is ended in any case.
    pub(super) fn note(&self) {
        if let Some(server) = self.server().as_mut() {
            server.note_descendants();
            for gateway in self.gateways().into_values() {
                server.note_with_descendants(gateway);
            }
        }
    }

    /// Kills the mothership and starts it again at once, as a supervisor does.
    pub(super) fn crash_mothership(&self) -> Result<()> {
        let mut command = Command::new(&self.flash);
        let port = self.front.port().to_string();
        command.arg("run").arg(&self.folder).args(["--host", "127.0.0.1", "--port", &port]);
        self.server().as_mut().context("it was stopped")?.crash(command)
    }

    pub(super) async fn until_mothership_is_ready(&self) -> Result<()> {
        let Some(mut server) = self.server().take() else { return Ok(()) };
        let ready = project::wait_until_ready(&mut server).await;
        *self.server() = Some(server);
        ready.map(drop)
    }

    pub(super) fn queue_bytes(&self) -> u64 {
        let queues = fs::read_dir(self.run_dir.join("queues")).into_iter().flatten().flatten();
        let files = queues.flat_map(|queue| fs::read_dir(queue.path()).into_iter().flatten().flatten());
        files.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
    }

    /// How many processes outlive it.
    pub(super) fn stop(self) -> Result<usize> {
        self.note();
        let server = self.server().take().context("it was stopped already")?;
        server.stop_and_count()
    }

    fn server(&self) -> MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn announcement(path: &Path) -> Option<EndpointAnnouncement> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
