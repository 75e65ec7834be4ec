//! The complete, normalised specification of a resource: everything a provider needs to make its endpoint.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long an endpoint that is replaced or removed may finish what it has in hand, where calls have no limit of their own.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// How an endpoint is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EndpointKind {
    /// Jobs through a queue (`/run`, `/runsync`, `/status/{id}`).
    Queue,
    /// Plain HTTP routes to functions.
    LoadBalanced,
    /// The user's own ASGI application, served whole.
    Asgi,
}

impl EndpointKind {
    pub fn label(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::LoadBalanced => "load-balanced",
            Self::Asgi => "asgi",
        }
    }
}

/// Which machine the functions asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", tag = "type", rename_all_fields = "camelCase")]
pub enum Hardware {
    /// GPU pools (`ADA_24`) and models (`NVIDIA L40S`), in order of preference, and how many GPUs a worker gets.
    Gpu { gpus: Vec<String>, gpu_count: u32, cuda_versions: Vec<String> },
    /// CPU instance names (`cpu3c-2-4`).
    Cpu { instance_ids: Vec<String> },
}

impl Hardware {
    pub fn is_gpu(&self) -> bool {
        matches!(self, Self::Gpu { .. })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ScalerType {
    QueueDelay,
    RequestCount,
}

/// When to add a worker: seconds a job may wait (`QUEUE_DELAY`) or requests per worker (`REQUEST_COUNT`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Scaler {
    #[serde(rename = "type")]
    pub scaler_type: ScalerType,
    pub value: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeSpec {
    /// Of one that exists; absent for one that is found, or made, by name and data centre.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Gigabytes, for one that is to be made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_gb: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datacenter: Option<String>,
}

/// What the user wants of one resource. Holds names of environment variables, never their values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceSpec {
    pub kind: EndpointKind,
    pub hardware: Hardware,
    /// Container image; absent for live resources, which use the provider's own worker image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    pub workers_min: u32,
    pub workers_max: u32,
    /// Seconds without a request after which a worker above `workers_min` is stopped.
    pub idle_timeout: u32,
    pub scaler: Scaler,
    /// Milliseconds one call may run; 0 = no limit.
    pub execution_timeout_ms: u64,
    /// Calls that one worker runs at the same time.
    pub max_concurrency: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumeSpec>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locations: Vec<String>,
    /// Names of the environment variables that the user's code is given. Sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_version: Option<String>,
    /// Requirement strings of the resource's functions (PEP 508), sorted, without duplicates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub system_dependencies: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_disk_gb: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_id: Option<String>,
    pub flashboot: bool,
    /// For [`EndpointKind::Asgi`]: `module:variable` of the application, e.g. `main:app`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asgi: Option<String>,
}

impl ResourceSpec {
    /// `None` = no limit.
    pub fn execution_timeout(&self) -> Option<Duration> {
        (self.execution_timeout_ms > 0).then(|| Duration::from_millis(self.execution_timeout_ms))
    }

    /// How long an endpoint that is replaced or removed may finish what it has in hand.
    pub fn drain_timeout(&self) -> Duration {
        self.execution_timeout().unwrap_or(DRAIN_TIMEOUT)
    }
}
