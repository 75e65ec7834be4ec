//! The endpoints of one run directory, without what it takes to start one.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flash_model::{
    Completeness, EndpointId, Existence, Inventory, ObservedEndpoint, ObservedPhase, Owner, Scope,
};

use fs_err as fs;

use super::fence::Fences;
use super::folder::{Folder, Retirement};
use super::process;
use super::queues::Queues;
use crate::Error;
use crate::provider::Mandate;

/// Beyond what an endpoint may take to finish what it has in hand; its process keeps to that by itself.
const DRAIN_SLACK: Duration = Duration::from_secs(30);

/// Whoever only looks, or removes, needs no Python: all of [`LocalProvider`](super::LocalProvider) that works without.
#[derive(Debug, Clone)]
pub struct LocalEndpoints {
    dir: PathBuf,
    fences: Fences,
    pub(super) queues: Queues,
}

impl LocalEndpoints {
    /// `dir` holds one folder per endpoint. It need not exist, and is not made.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), fences: Fences::beside(dir), queues: Queues::beside(dir) }
    }

    /// The name of this run directory among all that there are: drawn with the first endpoint, kept with the folder wherever
    /// it is moved. None before.
    pub fn place(&self) -> Option<String> {
        let place = fs::read_to_string(self.place_path()).ok()?;
        Some(place.trim().to_owned()).filter(|place| !place.is_empty())
    }

    /// Draws the name if there is none yet.
    pub(super) fn settle(&self) -> Result<(), Error> {
        let path = self.place_path();
        if self.place().is_some() {
            return Ok(());
        }
        let failed = |source| Error::Files { path: path.clone(), source };
        let number = getrandom::u64().map_err(|error| failed(std::io::Error::other(error)))?;
        let temporary = path.with_extension(format!("{number:016x}"));
        fs::create_dir_all(self.dir.parent().unwrap_or(&self.dir)).map_err(failed)?;
        fs::write(&temporary, format!("{number:016x}\n")).map_err(failed)?;
        // Whoever comes first names it; a name is never changed.
        let linked = fs::hard_link(&temporary, &path);
        let _ = fs::remove_file(&temporary);
        match linked {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(failed(error)),
            _ => Ok(()),
        }
    }

    fn place_path(&self) -> PathBuf {
        self.dir.with_file_name("place")
    }

    /// Those that have a folder here, by id; what is in it was not looked at.
    pub fn ids(&self) -> Result<Vec<EndpointId>, Error> {
        let folders = Folder::all(&self.dir)?;
        let names = folders.iter().filter_map(|folder| folder.path().file_name()?.to_str());
        Ok(names.filter_map(|name| EndpointId::new(name).ok()).collect())
    }

    /// Whose it is. None for one that is still being made.
    pub fn owner(&self, endpoint_id: &EndpointId) -> Result<Option<Owner>, Error> {
        Ok(self.folder(endpoint_id).record()?.map(|record| record.owner))
    }

    pub fn path(&self, endpoint_id: &EndpointId) -> PathBuf {
        self.dir.join(endpoint_id.as_str())
    }

    /// Everything that carries the tag of `scope`.
    pub fn inventory(&self, scope: &Scope) -> Result<Inventory, Error> {
        self.observe_all(|endpoint| endpoint.owner.scope == *scope)
    }

    /// Everything that carries a tag of ours, of whatever app and environment.
    pub fn inventory_of_all(&self) -> Result<Inventory, Error> {
        self.observe_all(|_| true)
    }

    pub fn find(&self, endpoint_id: &EndpointId) -> Existence {
        let folder = self.folder(endpoint_id);
        match observe(&folder) {
            Ok(Some(endpoint)) => Existence::Present(Box::new(endpoint)),
            Ok(None) => Existence::Absent,
            Err(error) => {
                tracing::warn!(%error, "{} cannot be read", folder.path().display());
                Existence::Unknown
            }
        }
    }

    /// When it was last started, as far as the disk says.
    pub fn started_at(&self, endpoint_id: &EndpointId) -> Option<SystemTime> {
        self.folder(endpoint_id).written_at()
    }

    /// Stops its process and keeps its folder.
    pub async fn suspend(&self, endpoint_id: &EndpointId, mandate: &Mandate) -> Result<(), Error> {
        let folder = self.existing(endpoint_id)?;
        self.claim_owned(&folder, mandate)?;
        process::stop(&folder, endpoint_id).await
    }

    /// Has its process end when it has finished what it has in hand, and removes it; with the last endpoint of a resource goes
    /// the resource's queue. Removing what does not exist is success. What takes longer is removed by [`Self::sweep`].
    pub async fn delete(&self, endpoint_id: &EndpointId, mandate: &Mandate) -> Result<(), Error> {
        let folder = self.folder(endpoint_id);
        if !folder.exists() {
            return Ok(());
        }
        self.claim_owned(&folder, mandate)?;
        if folder.is_locked()? && folder.retirement()?.is_none() {
            let limit = self.drain_timeout(&folder)? + DRAIN_SLACK;
            folder.retire(Retirement { until_ms: now_ms().saturating_add(limit.as_millis() as u64) })?;
        }
        if process::drain(&folder).await? {
            self.queues.remove(&self.queues.lock()?, &folder)?;
        }
        Ok(())
    }

    /// Removes what was deleted and has ended since, and has what takes too long end. What cannot be removed is told of.
    pub async fn sweep(&self) {
        let folders = Folder::all(&self.dir).unwrap_or_default();
        for folder in folders {
            if let Err(error) = self.sweep_one(&folder).await {
                tracing::warn!(%error, "{} was deleted, and cannot be removed", folder.path().display());
            }
        }
    }

    async fn sweep_one(&self, folder: &Folder) -> Result<(), Error> {
        let Some(Retirement { until_ms }) = folder.retirement()? else { return Ok(()) };
        if folder.is_locked()? {
            if now_ms() < until_ms {
                // Told already, unless whoever deleted it was cut off.
                return process::tell_to_drain(folder);
            }
            if let Some(record) = folder.record()? {
                process::stop(folder, &record.endpoint_id).await?;
            }
        }
        self.queues.remove(&self.queues.lock()?, folder)
    }

    fn drain_timeout(&self, folder: &Folder) -> Result<Duration, Error> {
        let (record, manifest) = (folder.record()?, folder.manifest()?);
        let resource = record
            .zip(manifest)
            .and_then(|(record, mut manifest)| manifest.resources.remove(&record.owner.resource));
        Ok(resource.map_or(Duration::ZERO, |resource| resource.spec.drain_timeout()))
    }

    pub(super) fn folder(&self, endpoint_id: &EndpointId) -> Folder {
        Folder::new(self.path(endpoint_id))
    }

    pub(super) fn existing(&self, endpoint_id: &EndpointId) -> Result<Folder, Error> {
        let folder = self.folder(endpoint_id);
        if folder.exists() { Ok(folder) } else { Err(Error::NoEndpoint { endpoint_id: endpoint_id.clone() }) }
    }

    pub(super) fn claim(&self, scope: &Scope, mandate: &Mandate) -> Result<(), Error> {
        self.settle()?;
        self.fences.claim(scope, mandate)
    }

    /// A folder that says nothing of its owner refuses nobody.
    pub(super) fn claim_owned(&self, folder: &Folder, mandate: &Mandate) -> Result<(), Error> {
        match folder.record()? {
            Some(record) => self.claim(&record.owner.scope, mandate),
            None => Ok(()),
        }
    }

    fn observe_all(&self, wanted: impl Fn(&ObservedEndpoint) -> bool) -> Result<Inventory, Error> {
        let mut inventory = Inventory { completeness: Completeness::Complete, endpoints: Vec::new() };
        for folder in Folder::all(&self.dir)? {
            match observe(&folder) {
                Ok(endpoint) => inventory.endpoints.extend(endpoint.filter(&wanted)),
                // One folder that cannot be understood makes only itself unknown.
                Err(error) => {
                    let path = folder.path().display();
                    tracing::warn!(%error, "{path} cannot be read; remove the folder if it is of no use");
                    inventory.completeness = Completeness::Partial;
                }
            }
        }
        Ok(inventory)
    }
}

/// What a folder says, and what the kernel says about the process in it. `None` for folders that were never finished, and
/// for what is left of an endpoint that was deleted.
pub(super) fn observe(folder: &Folder) -> Result<Option<ObservedEndpoint>, Error> {
    let Some(record) = folder.record()? else { return Ok(None) };
    let running = folder.is_locked()?;
    let phase = match (running, folder.retirement()?) {
        (true, None) => ObservedPhase::Running,
        (true, Some(_)) => ObservedPhase::Draining,
        (false, None) => ObservedPhase::Stopped,
        (false, Some(_)) => return Ok(None),
    };
    let spec = folder.manifest()?.and_then(|mut manifest| manifest.resources.remove(&record.owner.resource));
    Ok(Some(ObservedEndpoint {
        endpoint_id: record.endpoint_id,
        owner: record.owner,
        idempotency_key: record.idempotency_key,
        config_hash: record.config_hash,
        phase,
        url: if running { folder.announcement()?.map(|announcement| announcement.url) } else { None },
        spec: spec.map(|resource| resource.spec),
        mothership_url: record.mothership_url,
    }))
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}
