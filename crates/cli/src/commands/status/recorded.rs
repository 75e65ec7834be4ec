//! Where no mothership runs: what the last one recorded, and whether its endpoints run without it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flash_model::{
    Existence, Lease, Manifest, ObservedPhase, Provisioned, Resource, ResourceName, ResourceRecord,
};
use flash_mothership::store::Error;
use flash_providers::local::LocalEndpoints;

use crate::args::StatusArgs;
use crate::error::Failure;
use crate::project::Project;
use crate::run_dir::RunDir;
use crate::state_store::{StatePlace, refused};

#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) project: Project,
    /// How a person names its folder from where they are.
    pub(crate) typed: PathBuf,
    pub(crate) generation: Option<u64>,
    /// Of whoever leads all the same, and the clock that it is measured by.
    pub(crate) lease: Option<Lease>,
    pub(crate) now_ms: u64,
    /// Somebody holds the project's lock, and announces nothing.
    pub(crate) is_starting: bool,
    pub(crate) resources: BTreeMap<ResourceName, RecordedResource>,
}

#[derive(Debug)]
pub(crate) struct RecordedResource {
    /// As it was applied. None for one that is on its way out.
    pub(crate) desired: Option<Resource>,
    pub(crate) provisioned: Provisioned,
    pub(crate) process: Process,
}

/// What there is of a recorded endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Process {
    /// Nothing is recorded.
    None,
    Running,
    Stopped,
    Gone,
    /// At another run directory, which cannot be seen from here.
    Elsewhere,
    Unknown,
}

impl Process {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Gone => "gone",
            Self::Elsewhere => "elsewhere",
            Self::Unknown => "unknown",
        }
    }
}

impl Recorded {
    /// Of the project at `start` or nearest above. None if nothing is recorded.
    pub(super) async fn of(start: &Path, args: &StatusArgs) -> Result<Option<Self>, Failure> {
        let root = nearest(start);
        let typed = if root == start { args.path.clone().unwrap_or_else(|| ".".into()) } else { root.into() };
        let project = Project::locate(root)?;
        let (run_dir, scope) = (RunDir::of(&project.root), project.scope());
        let Some(store) = StatePlace::of(&args.state, &run_dir)?.open_if_any().await? else {
            return Ok(None);
        };
        let unreadable = |error: Error| refused("the recorded state cannot be read", &error);
        let stored = store.manifest(&scope).await.map_err(unreadable)?;
        let snapshot = store.snapshot(&scope).await.map_err(unreadable)?;
        let pulse = store.pulse(&scope).await.map_err(unreadable)?;
        if stored.is_none() && snapshot.records.is_empty() {
            return Ok(None);
        }
        let generation = stored.as_ref().map(|stored| stored.generation);
        let empty = Manifest::empty(&*project.name);
        let manifest = stored.as_ref().map_or(&empty, |stored| &*stored.manifest);
        let endpoints = LocalEndpoints::new(&run_dir.endpoints_dir());
        let names = manifest.resources.keys().chain(snapshot.records.keys());
        let resource = |name: &ResourceName| {
            let record = snapshot.records.get(name);
            RecordedResource {
                desired: manifest.resources.get(name).cloned(),
                provisioned: Provisioned::of(record),
                process: record.map_or(Process::None, |record| process(record, &endpoints)),
            }
        };
        let resources = names.map(|name| (name.clone(), resource(name))).collect();
        let (is_starting, now_ms) = (run_dir.is_locked(), pulse.now_ms);
        let lease = if pulse.is_vacant() { None } else { pulse.lease };
        Ok(Some(Self { project, typed, generation, lease, now_ms, is_starting, resources }))
    }
}

/// The folder that a mothership ran in.
fn nearest(start: &Path) -> &Path {
    start.ancestors().find(|folder| RunDir::of(folder).path().is_dir()).unwrap_or(start)
}

fn process(record: &ResourceRecord, endpoints: &LocalEndpoints) -> Process {
    let Some(id) = &record.endpoint_id else { return Process::None };
    if record.place.is_some() && record.place != endpoints.place() {
        return Process::Elsewhere;
    }
    match endpoints.find(id) {
        Existence::Present(endpoint) if endpoint.phase == ObservedPhase::Running => Process::Running,
        Existence::Present(_) => Process::Stopped,
        Existence::Absent => Process::Gone,
        Existence::Unknown => Process::Unknown,
    }
}
