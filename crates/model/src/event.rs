//! The event log of one app+environment: who did what, when and why. It only grows, and the oldest go first.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{HolderId, ResourceName};

/// Events kept per scope.
pub const EVENTS_MAX: u64 = 10_000;

/// Longer reasons are cut; an endpoint's last words may be long.
pub const EVENT_WHY_BYTES_MAX: usize = 2_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    LeaseAcquired,
    LeaseLost,
    LeaseReleased,
    LeaseDropped,
    /// A backup was put in the place of the state.
    StateRestored,
    /// A manifest became the desired state.
    GenerationApplied,
    /// A step of a plan was begun.
    StepBegun,
    StepDone,
    StepFailed,
    /// An endpoint changed its status without a step.
    StatusChanged,
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::LeaseAcquired => "lease acquired",
            Self::LeaseLost => "lease lost",
            Self::LeaseReleased => "lease released",
            Self::LeaseDropped => "lease dropped",
            Self::StateRestored => "state restored",
            Self::GenerationApplied => "generation applied",
            Self::StepBegun => "step begun",
            Self::StepDone => "step done",
            Self::StepFailed => "step failed",
            Self::StatusChanged => "status changed",
        })
    }
}

/// Something that happened. Its writer knows no more; sequence and time are the store's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Happening {
    pub who: HolderId,
    pub what: EventKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<ResourceName>,
    /// For a person. Holds no secret.
    pub why: String,
}

impl Happening {
    pub fn new(
        who: HolderId,
        what: EventKind,
        resource: Option<ResourceName>,
        why: impl Into<String>,
    ) -> Self {
        let mut why = why.into();
        if why.len() > EVENT_WHY_BYTES_MAX {
            why.truncate(why.floor_char_boundary(EVENT_WHY_BYTES_MAX));
            why.push('…');
        }
        Self { who, what, resource, why }
    }
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LoggedEvent {
    /// Counts the scope's events from 1, without gaps.
    pub sequence: u64,
    /// Milliseconds since the Unix epoch, on the store's clock.
    pub at_ms: u64,
    #[serde(flatten)]
    pub happening: Happening,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let who = HolderId::new("a").unwrap();
        let event = Happening::new(who, EventKind::StepFailed, None, "é".repeat(EVENT_WHY_BYTES_MAX));
        assert_eq!(event.why.chars().count(), EVENT_WHY_BYTES_MAX / 2 + 1);
        assert!(event.why.ends_with("é…"));
    }
}
