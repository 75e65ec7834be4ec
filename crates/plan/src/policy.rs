//! What planning may touch.

use flash_model::{EndpointKind, ResourceName, Scope};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Endpoints tagged for another app or environment are not ours and are never in a plan.
    pub scope: Scope,
    /// The mothership's own resource, if it runs as one: it never provisions itself.
    pub own_resource: Option<ResourceName>,
    /// Kinds whose endpoints hold what must outlive a change (a queue's jobs): updated in place, not replaced.
    pub in_place: Vec<EndpointKind>,
}
