//! The history of applied manifests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::HolderId;

/// Manifests kept per scope, the applied one among them.
pub const GENERATIONS_MAX: u64 = 100;

/// One applied manifest, without the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Generation {
    /// Counts applied manifests from 1. A rollback is a new one.
    pub number: u64,
    /// Milliseconds since the Unix epoch, on the store's clock; 0 if it was applied before times were kept.
    pub applied_at_ms: u64,
    /// SHA-256 of the manifest's canonical JSON.
    pub manifest_hash: String,
    /// Who applied it, where that was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<HolderId>,
}
