//! What the State Manager wrote down about each resource.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Code, EndpointId, IdempotencyKey, MothershipId, Resource, ResourceName, ResourceSpec};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResourceStatus {
    /// In the manifest, nothing done yet.
    Pending,
    /// The provider was asked; the endpoint is not healthy yet.
    Provisioning,
    Ready,
    Failed,
    /// Was ready, does not answer now.
    Degraded,
    Removing,
}

impl ResourceStatus {
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Provisioning, Self::Ready, Self::Failed, Self::Degraded, Self::Removing];
}

impl fmt::Display for ResourceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pending => "pending",
            Self::Provisioning => "provisioning",
            Self::Ready => "ready",
            Self::Failed => "failed",
            Self::Degraded => "degraded",
            Self::Removing => "removing",
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum IntentAction {
    Create,
    Update,
    Replace,
    Delete,
}

/// Written before a provider is asked, so that a crash leaves no orphan: the next round finds the endpoint by its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Intent {
    pub action: IntentAction,
    pub idempotency_key: IdempotencyKey,
    pub config_hash: String,
}

/// The desired state that an endpoint was last brought to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Applied {
    pub config_hash: String,
    pub code_digest: String,
    pub spec: Arc<ResourceSpec>,
}

impl Applied {
    pub fn of(resource: &Resource) -> Self {
        Self {
            config_hash: resource.config_hash.clone(),
            code_digest: resource.code_digest.clone(),
            spec: Arc::clone(&resource.spec),
        }
    }
}

/// A failure changes only `status`, its reason, `attempts`, `rejected` and times; id, URL and hash stay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceRecord {
    pub resource: ResourceName,
    pub provider: String,
    /// Where the provider keeps the endpoint, if it cannot be seen from everywhere: an endpoint of one machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_id: Option<EndpointId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
    /// What the endpoint was made from; never the provider's echo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<Applied>,
    pub status: ResourceStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_reason: Option<String>,
    /// What kind of reason it is, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub status_code: Option<Code>,
    /// When it came to have this status. Milliseconds since the Unix epoch.
    #[serde(default)]
    pub status_since_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// Hash of the desired version whose endpoint did not become healthy, so that the earlier one goes on serving.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<String>,
    /// Whether its endpoint has been ready since it was made or last changed.
    #[serde(default)]
    pub proven: bool,
    /// Attempts since the last success.
    pub attempts: u32,
    /// Milliseconds since the Unix epoch.
    pub updated_at_ms: u64,
    /// Grows with every write; compare-and-swap is on this. 0 = never written.
    pub version: u64,
}

impl ResourceRecord {
    /// A record that was never written.
    pub fn new(resource: ResourceName, provider: impl Into<String>) -> Self {
        Self {
            resource,
            provider: provider.into(),
            place: None,
            endpoint_id: None,
            endpoint_url: None,
            applied: None,
            status: ResourceStatus::Pending,
            status_reason: None,
            status_code: None,
            status_since_ms: 0,
            intent: None,
            rejected: None,
            proven: false,
            attempts: 0,
            updated_at_ms: 0,
            version: 0,
        }
    }

    /// Whether calls are sent to its endpoint.
    pub fn serves(&self) -> bool {
        let is_good = match self.status {
            ResourceStatus::Ready | ResourceStatus::Degraded => true,
            ResourceStatus::Failed => self.rejected.is_some() && self.proven,
            ResourceStatus::Pending | ResourceStatus::Provisioning | ResourceStatus::Removing => false,
        };
        is_good && self.endpoint_id.is_some()
    }
}

/// All records of one app+environment, read at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StateSnapshot {
    /// Grows with every write to the scope's records and manifest; 0 = nothing was ever written.
    pub serial: u64,
    /// Whose state it is: the id of the scope's first mothership, kept for good. Two states with different ones have
    /// nothing to do with each other, whatever their serials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage: Option<MothershipId>,
    pub records: BTreeMap<ResourceName, ResourceRecord>,
}
