//! Endpoints as processes of this machine: `flash serve`, one per endpoint, each a folder under the run directory.
//!
//! An endpoint *is* its folder; the process inside it comes and goes. The process holds `endpoint.lock` for its whole
//! life, so "does it run" is asked of the kernel and stale pid files or reused pids cannot mislead. A process outlives
//! the mothership that started it; the next one finds it here. What must outlive an endpoint, the queue of its resource,
//! lies beside (`queues.rs`).

mod endpoints;
mod fence;
mod folder;
mod process;
pub mod python;
mod queues;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flash_artifact::requirements::{ProjectRequirements, RequirementSet};
use flash_client::{Endpoint, Transport};
use flash_model::{
    EndpointId, EndpointKind, Existence, Health, IdempotencyKey, Inventory, ObservedEndpoint, ObservedPhase,
    Owner, Resource, ResourceName, Scope, VolumeSpec,
};
use tokio::sync::watch;

pub use self::endpoints::LocalEndpoints;
use self::endpoints::observe;
use self::folder::FolderRecord;
use self::python::Environments;
use crate::Error;
use crate::provider::{EndpointRequest, Limits, Mandate, Pending, Provider};

/// Starting a process costs more than asking one.
const PARALLEL_CALLS_MAX: usize = 8;
/// Creating may install packages.
const CALL_TIMEOUT: Duration = Duration::from_secs(20 * 60);
/// A process of ours that ends is noticed at once; this is for one that hangs.
const HEALTH_PERIOD: Duration = Duration::from_secs(2);

/// Where things are on this machine.
#[derive(Debug, Clone)]
pub struct LocalSettings {
    /// The `flash` binary itself.
    pub flash: PathBuf,
    /// One folder per endpoint below this.
    pub endpoints_dir: PathBuf,
    /// Folder that user modules are imported from.
    pub import_root: PathBuf,
    /// Folder that holds `tetra_rp`.
    pub sdk_path: PathBuf,
    pub environments: Environments,
    pub requirements: ProjectRequirements,
}

#[derive(Debug)]
pub struct LocalProvider {
    settings: Arc<LocalSettings>,
    endpoints: LocalEndpoints,
    transport: Transport,
    changes: watch::Sender<u64>,
}

impl LocalProvider {
    pub fn new(settings: LocalSettings) -> Self {
        Self {
            endpoints: LocalEndpoints::new(&settings.endpoints_dir),
            settings: Arc::new(settings),
            transport: Transport::new(),
            changes: watch::Sender::new(0),
        }
    }

    /// What must be installed for a resource's workers.
    pub fn requirement_set(&self, resource: &Resource) -> RequirementSet {
        flash_artifact::requirements::plan(resource, &self.settings.requirements)
    }

    pub fn environments(&self) -> &Environments {
        &self.settings.environments
    }

    /// Whether this machine has a GPU that CUDA could use.
    pub fn has_gpu() -> bool {
        ["/dev/nvidia0", "/proc/driver/nvidia/version"].iter().any(|path| std::path::Path::new(path).exists())
    }

    /// What may take long or fail is done before anything that runs is stopped.
    async fn python_for(&self, request: &EndpointRequest) -> Result<PathBuf, Error> {
        let requirements = self.requirement_set(request.resource()?);
        let environments = self.settings.environments.clone();
        Ok(tokio::task::spawn_blocking(move || environments.ensure(&requirements, &|_| {})).await??)
    }

    async fn start(
        &self,
        endpoint_id: &EndpointId,
        request: &EndpointRequest,
        python: &Path,
    ) -> Result<ObservedEndpoint, Error> {
        let folder = self.endpoints.folder(endpoint_id);
        let resource = request.resource()?;
        let queue_dir =
            (resource.spec.kind == EndpointKind::Queue).then(|| self.endpoints.queues.folder(&request.owner));
        if queue_dir.is_some() {
            self.take_over_jobs(&request.owner).await?;
        }
        let guard = self.endpoints.queues.lock()?;
        folder.write(
            &FolderRecord {
                endpoint_id: endpoint_id.clone(),
                owner: request.owner.clone(),
                idempotency_key: request.idempotency_key.clone(),
                config_hash: resource.config_hash.clone(),
                mothership_url: Some(request.mothership_url.clone()),
            },
            &request.manifest,
        )?;
        drop(guard);
        let changes = self.changes.clone();
        let url = process::start(
            &folder,
            endpoint_id,
            request,
            &self.settings,
            python,
            queue_dir.as_deref(),
            move || {
                changes.send_modify(|count| *count += 1);
            },
        )
        .await?;
        observe(&folder)?
            .map(|endpoint| ObservedEndpoint { url: Some(url), phase: ObservedPhase::Running, ..endpoint })
            .ok_or_else(|| Error::NoEndpoint { endpoint_id: endpoint_id.clone() })
    }

    /// Endpoints that an earlier version of Flash started keep their jobs to themselves: for these, once, the old one
    /// has to end before the new one starts.
    async fn take_over_jobs(&self, owner: &Owner) -> Result<(), Error> {
        for (folder, id) in self.endpoints.queues.earlier(owner)? {
            process::stop(&folder, &id).await?;
            self.endpoints.queues.take_over(&self.endpoints.queues.lock()?, owner, &folder, &id)?;
        }
        Ok(())
    }
}

impl Provider for LocalProvider {
    fn name(&self) -> &'static str {
        "local"
    }

    fn place(&self) -> Option<String> {
        self.endpoints.place()
    }

    fn limits(&self) -> Limits {
        Limits {
            parallel_calls_max: PARALLEL_CALLS_MAX,
            calls_per_second_max: None,
            call_timeout: CALL_TIMEOUT,
            health_period: HEALTH_PERIOD,
        }
    }

    fn inventory<'a>(&'a self, scope: &'a Scope) -> Pending<'a, Inventory> {
        Box::pin(async move {
            self.endpoints.sweep().await;
            self.endpoints.inventory(scope)
        })
    }

    fn inventory_of_all(&self) -> Pending<'_, Inventory> {
        Box::pin(async move { self.endpoints.inventory_of_all() })
    }

    fn find<'a>(&'a self, endpoint_id: &'a EndpointId) -> Pending<'a, Existence> {
        Box::pin(async move { Ok(self.endpoints.find(endpoint_id)) })
    }

    /// Endpoints of this machine see its folders as they are; there is nothing to make.
    fn ensure_volume<'a>(&'a self, _: &'a Scope, _: &'a VolumeSpec) -> Pending<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn create<'a>(&'a self, request: &'a EndpointRequest) -> Pending<'a, ObservedEndpoint> {
        Box::pin(async move {
            let endpoint_id = endpoint_id(&request.owner.resource, &request.idempotency_key);
            self.endpoints.claim(&request.owner.scope, &request.mandate)?;
            match observe(&self.endpoints.folder(&endpoint_id))? {
                Some(endpoint) if endpoint.phase == ObservedPhase::Draining => {
                    return Err(Error::Draining { endpoint_id });
                }
                Some(endpoint) if endpoint.phase == ObservedPhase::Running && endpoint.url.is_some() => {
                    return Ok(endpoint);
                }
                _ => {}
            }
            let python = self.python_for(request).await?;
            self.endpoints.claim(&request.owner.scope, &request.mandate)?;
            self.start(&endpoint_id, request, &python).await
        })
    }

    fn update<'a>(
        &'a self,
        endpoint_id: &'a EndpointId,
        request: &'a EndpointRequest,
    ) -> Pending<'a, ObservedEndpoint> {
        Box::pin(async move {
            let folder = self.endpoints.existing(endpoint_id)?;
            self.endpoints.claim(&request.owner.scope, &request.mandate)?;
            if folder.retirement()?.is_some() {
                return Err(Error::Draining { endpoint_id: endpoint_id.clone() });
            }
            let python = self.python_for(request).await?;
            self.endpoints.claim(&request.owner.scope, &request.mandate)?;
            process::stop(&folder, endpoint_id).await?;
            self.start(endpoint_id, request, &python).await
        })
    }

    fn adopt<'a>(
        &'a self,
        endpoint_id: &'a EndpointId,
        request: &'a EndpointRequest,
    ) -> Pending<'a, ObservedEndpoint> {
        Box::pin(async move {
            let no_endpoint = || Error::NoEndpoint { endpoint_id: endpoint_id.clone() };
            let folder = self.endpoints.existing(endpoint_id)?;
            self.endpoints.claim(&request.owner.scope, &request.mandate)?;
            let endpoint = observe(&folder)?.ok_or_else(no_endpoint)?;
            let url = endpoint.url.clone().ok_or_else(no_endpoint)?;
            let child = Endpoint::with_transport(self.transport.clone(), &url, Some(request.token.clone()));
            match child.announce_mothership(&request.mothership_url).await {
                Ok(()) => folder.note_mothership(&request.mothership_url)?,
                Err(error) => {
                    tracing::warn!(%endpoint_id, %error, "adopted endpoint did not take the mothership's address");
                }
            }
            Ok(endpoint)
        })
    }

    fn suspend<'a>(&'a self, endpoint_id: &'a EndpointId, mandate: &'a Mandate) -> Pending<'a, ()> {
        Box::pin(self.endpoints.suspend(endpoint_id, mandate))
    }

    fn delete<'a>(&'a self, endpoint_id: &'a EndpointId, mandate: &'a Mandate) -> Pending<'a, ()> {
        Box::pin(self.endpoints.delete(endpoint_id, mandate))
    }

    fn health<'a>(&'a self, endpoint: &'a ObservedEndpoint) -> Pending<'a, Health> {
        Box::pin(async move {
            let Some(url) = &endpoint.url else { return Ok(Health::Starting) };
            Ok(process::health(&Endpoint::with_transport(self.transport.clone(), url, None)).await)
        })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// Follows from resource and key, so that a repeated create finds the first one's folder.
fn endpoint_id(resource: &ResourceName, key: &IdempotencyKey) -> EndpointId {
    const LABEL_LENGTH_MAX: usize = 40;
    let label: String = resource
        .as_str()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .take(LABEL_LENGTH_MAX)
        .collect();
    let digest = flash_model::sha256_hex(key.as_str().as_bytes());
    EndpointId::new(format!("{}-{}", label.trim_matches('-'), &digest[..10]))
        .unwrap_or_else(|_| unreachable!("lower-case letters, digits and dashes are an endpoint id"))
}
