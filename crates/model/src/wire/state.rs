//! The State Manager over HTTP (`docs/state.md`). Paths below [`STATE_PATH`], `{id}` being `app/environment` in one
//! percent-encoded segment, or a lineage.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::lease::{Lease, LeaseRefusal, LeaseRequest};
use crate::{
    Generation, Happening, HolderId, LoggedEvent, Manifest, MothershipId, ResourceName, ResourceRecord, Scope,
};

pub const STATE_PATH: &str = "/api/v1/flash/manifests";

/// Names the lease that a write is made under, by its number.
pub const FENCE_HEADER: &str = "flash-fence";
/// The generation that a manifest is to follow; 0 = the first one.
pub const GENERATION_HEADER: &str = "flash-generation";

/// `GET {STATE_PATH}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopesResponse {
    /// Sorted.
    pub scopes: Vec<Scope>,
}

/// `GET …/{id}`: a manifest as the reference's client reads it, and what we know beyond. The reference's fields are
/// those of the applied manifest, or of an empty one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StateDocument {
    pub version: String,
    pub generated_at: String,
    pub project_name: String,
    pub function_registry: serde_json::Value,
    pub routes: serde_json::Value,
    pub resources: BTreeMap<ResourceName, ResourceDocument>,
    pub scope: Scope,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage: Option<MothershipId>,
    pub serial: u64,
    /// Number of the applied manifest; 0 if there is none.
    pub generation: u64,
}

/// The first four as a client of the reference wrote or expects them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceDocument {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
    /// `deployed`, `failed`, or one of our own where the reference has none.
    pub status: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    pub record: ResourceRecord,
}

/// `PUT …/{id}` with a manifest as its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedResponse {
    pub generation: u64,
}

/// `PUT …/resources/{name}` as the reference's client writes it: merged into the record. What is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourcePatch {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<PatchStatus>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PatchStatus {
    Deployed,
    Updated,
    Failed,
}

/// `POST …/lease`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum LeaseAction {
    Acquire {
        holder: HolderId,
        purpose: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        seat: Option<String>,
        term_ms: u64,
    },
    Renew {
        holder: HolderId,
        fence: u64,
    },
    Release {
        holder: HolderId,
        fence: u64,
    },
    DropExpired,
}

impl From<LeaseRequest> for LeaseAction {
    fn from(request: LeaseRequest) -> Self {
        match request {
            LeaseRequest::Acquire { holder, purpose, seat, term_ms } => {
                Self::Acquire { holder, purpose, seat, term_ms }
            }
            LeaseRequest::Renew { holder, fence } => Self::Renew { holder, fence },
            LeaseRequest::Release { holder, fence } => Self::Release { holder, fence },
            LeaseRequest::DropExpired => Self::DropExpired,
        }
    }
}

impl From<LeaseAction> for LeaseRequest {
    fn from(action: LeaseAction) -> Self {
        match action {
            LeaseAction::Acquire { holder, purpose, seat, term_ms } => {
                Self::Acquire { holder, purpose, seat, term_ms }
            }
            LeaseAction::Renew { holder, fence } => Self::Renew { holder, fence },
            LeaseAction::Release { holder, fence } => Self::Release { holder, fence },
            LeaseAction::DropExpired => Self::DropExpired,
        }
    }
}

/// Answer to `POST …/lease`: the lease as it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseResponse {
    pub lease: Option<Lease>,
}

/// `GET …/pulse`, and `GET …/lease`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PulseResponse {
    pub serial: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage: Option<MothershipId>,
    pub lease: Option<Lease>,
    /// The store's clock, milliseconds since the Unix epoch.
    pub now_ms: u64,
}

/// `POST …/lineage`: the candidate becomes the lineage if there was none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineageRequest {
    pub candidate: MothershipId,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineageResponse {
    pub lineage: MothershipId,
}

/// `GET …/generations`, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationsResponse {
    pub generations: Vec<Generation>,
}

/// `GET …/generations/{number}`, or `…/generations/applied`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationResponse {
    pub generation: u64,
    pub manifest: Arc<Manifest>,
}

/// `GET …/events?after=&limit=`, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsResponse {
    pub events: Vec<LoggedEvent>,
}

/// `POST …/events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsRequest {
    pub happenings: Vec<Happening>,
}

/// Why the State Manager refused, for programs: member `refusal` of its problem documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum StateRefusal {
    /// The record has another version than the one that was named.
    Conflict { resource: ResourceName, expected: u64, actual: u64 },
    /// Another generation is the last one than the one that was named.
    Overtaken { expected: u64, actual: u64 },
    /// The fence is not that of the current lease.
    Fenced { fence: u64, held_by: Option<Box<Lease>> },
    /// Somebody holds the lease.
    Held { lease: Box<Lease>, remaining_ms: u64 },
    /// The lease was given back, has expired, or is another's.
    Lost { fence: u64 },
    /// Resources are left.
    NotEmpty { records: u64 },
}

impl From<LeaseRefusal> for StateRefusal {
    fn from(refusal: LeaseRefusal) -> Self {
        match refusal {
            LeaseRefusal::Held { lease, remaining_ms } => Self::Held { lease, remaining_ms },
            LeaseRefusal::Lost { fence } => Self::Lost { fence },
        }
    }
}
