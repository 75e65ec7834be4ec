//! What became of a manifest that was applied.

use std::collections::BTreeMap;

use crate::{
    Code, EndpointId, Manifest, Resource, ResourceName, ResourceRecord, ResourceStatus, StateSnapshot,
};
use serde::{Deserialize, Serialize};

/// A resource that failed may be tried again at once; one that has read so for this long is left for now.
pub const OUTCOME_FAILED_FOR_MS: u64 = 3_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Exists as wanted and is ready; or is gone, as wanted.
    Done,
    /// Is not as wanted, and why.
    Failed,
    UnderWay,
}

/// Of one resource: of the manifest, or one that is on its way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceOutcome {
    pub end: End,
    pub status: ResourceStatus,
    /// When it came to have this status. Milliseconds since the Unix epoch; 0 if it never was recorded.
    pub since_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_id: Option<EndpointId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
    /// Whether calls are sent to its endpoint; of a new version that failed it is the earlier one.
    pub serves: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    pub generation: u64,
    pub resources: BTreeMap<ResourceName, ResourceOutcome>,
}

impl Outcome {
    /// What the state says of `manifest`, which was applied as `generation`. `now_ms` is the clock that wrote it.
    pub fn of(generation: u64, manifest: &Manifest, state: &StateSnapshot, now_ms: u64) -> Self {
        let names = manifest.resources.keys().chain(state.records.keys());
        let of = |name: &ResourceName| judge(manifest.resources.get(name), state.records.get(name), now_ms);
        Self { generation, resources: names.map(|name| (name.clone(), of(name))).collect() }
    }

    /// Nothing is under way any more.
    pub fn is_settled(&self) -> bool {
        self.resources.values().all(|resource| resource.end != End::UnderWay)
    }

    pub fn is_done(&self) -> bool {
        self.resources.values().all(|resource| resource.end == End::Done)
    }
}

fn judge(desired: Option<&Resource>, record: Option<&ResourceRecord>, now_ms: u64) -> ResourceOutcome {
    let Some(record) = record else {
        return ResourceOutcome {
            end: End::UnderWay,
            status: ResourceStatus::Pending,
            since_ms: 0,
            reason: None,
            code: None,
            endpoint_id: None,
            endpoint_url: None,
            serves: false,
        };
    };
    let is_as_wanted = record.intent.is_none()
        && record
            .applied
            .as_ref()
            .zip(desired)
            .is_some_and(|(applied, desired)| applied.config_hash == desired.config_hash);
    let is_over = now_ms.saturating_sub(record.status_since_ms) >= OUTCOME_FAILED_FOR_MS;
    let end = match record.status {
        ResourceStatus::Ready if is_as_wanted => End::Done,
        ResourceStatus::Failed | ResourceStatus::Degraded if is_over => End::Failed,
        _ => End::UnderWay,
    };
    ResourceOutcome {
        end,
        status: record.status,
        since_ms: record.status_since_ms,
        reason: record.status_reason.clone(),
        code: record.status_code,
        endpoint_id: record.endpoint_id.clone(),
        endpoint_url: record.endpoint_url.clone(),
        serves: record.serves(),
    }
}
