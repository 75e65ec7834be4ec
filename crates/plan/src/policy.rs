//! What planning may touch.

use flash_model::{ResourceName, Scope};
use serde::{Deserialize, Serialize};

/// What to do about endpoints that somebody else changed or deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drift {
    /// Bring them back to what was applied.
    #[default]
    Repair,
    /// Only say so.
    Report,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Endpoints tagged for another app or environment are not ours and are never in a plan.
    pub scope: Scope,
    /// What the inventory can see, if that is not everything the provider has: an endpoint that is recorded for another
    /// place is neither absent nor ours to touch.
    pub place: Option<String>,
    /// The mothership's own resource, if it runs as one: it never provisions itself.
    pub own_resource: Option<ResourceName>,
    pub drift: Drift,
}
