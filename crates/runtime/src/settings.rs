//! What one endpoint is told about itself.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use flash_client::TrustedRoots;
use flash_model::Secret;
use flash_model::{EndpointId, MothershipId, Owner};

use crate::gateway::CorsOrigins;
use crate::log::Log;
use crate::trace::TraceExport;

/// When a worker is followed by a new one although nothing is wrong with it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recycling {
    /// Calls that it was given.
    pub calls_max: Option<u64>,
    /// Its memory (resident set), looked at every few seconds.
    pub bytes_max: Option<u64>,
}

/// What the workers of a GPU resource are given their GPUs from.
#[derive(Debug, Clone, Default)]
pub struct GpuSettings {
    /// How many the machine has; none = as many as there are device files.
    pub count: Option<u32>,
    /// `CUDA_VISIBLE_DEVICES` as the endpoint has it: no others are handed out.
    pub visible: Option<String>,
    /// Locks of those that are taken, of all endpoints of this user.
    pub locks_dir: PathBuf,
}

impl GpuSettings {
    /// The same for everything that this user runs here, whatever its environment says.
    pub fn locks_dir_of_user() -> PathBuf {
        let user = rustix::process::getuid().as_raw();
        let own = PathBuf::from(format!("/run/user/{user}"));
        let dir = if own.is_dir() { own.join("flash") } else { PathBuf::from(format!("/tmp/flash-{user}")) };
        dir.join("gpus")
    }
}

#[derive(Debug, Clone)]
pub struct Settings {
    pub endpoint_id: EndpointId,
    /// App, environment and resource; the resource is in the manifest at `manifest_path`.
    pub owner: Owner,
    pub mothership_id: MothershipId,
    /// Where to learn the other endpoints' addresses. May come later, with `PUT /_flash/mothership`.
    pub mothership_url: Option<String>,
    /// Of this app+environment: for pickles, for identity, and for calls between endpoints.
    pub token: Secret,
    pub manifest_path: PathBuf,
    /// Folder that the functions' modules are imported from; working directory of the workers.
    pub import_root: PathBuf,
    pub python: PathBuf,
    /// Folder that holds the package `tetra_rp`.
    pub sdk_path: PathBuf,
    /// Lock, announcement and route table of this endpoint.
    pub endpoint_dir: PathBuf,
    /// The resource's queue, shared by its endpoints; none = in the endpoint's own folder.
    pub queue_dir: Option<PathBuf>,
    /// Pages of other origins that may use the routes of a load-balanced endpoint; none = none.
    pub cors_origins: Option<CorsOrigins>,
    pub recycling: Recycling,
    /// Plain functions that a worker runs at the same time, on threads; never more than its calls.
    pub sync_threads: NonZeroU32,
    /// Goes to the endpoint's folder once that is this process's.
    pub log: Log,
    pub gpus: GpuSettings,
    /// Workers get no more of the machine than the instance has that their resource names.
    pub limits_workers: bool,
    /// For what goes out by `https`: webhooks, spans.
    pub trusted_roots: TrustedRoots,
    /// None = spans are not exported.
    pub trace_export: Option<TraceExport>,
    pub host: IpAddr,
    /// 0 = any free one.
    pub port: u16,
}
