//! The words of a plan.

use std::fmt;

use flash_model::{EndpointId, IdempotencyKey, Resource, ResourceName};
use serde::{Deserialize, Serialize};

use crate::FieldChange;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    NoOp,
    /// Exists as wanted but is not recorded: record it.
    Adopt,
    Create,
    /// Bring the same endpoint to the desired state in place.
    Update,
    /// Create, wait for health, switch the route table, delete the old one.
    Replace,
    Delete,
    /// Recorded, but not wanted, and it never came to an endpoint: drop the record.
    Forget,
}

impl Action {
    /// The symbol shown beside the resource.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::NoOp => " ",
            Self::Adopt => ">",
            Self::Create => "+",
            Self::Update => "~",
            Self::Replace => "±",
            Self::Delete => "-",
            Self::Forget => "x",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NoOp => "no-op",
            Self::Adopt => "adopt",
            Self::Create => "create",
            Self::Update => "update",
            Self::Replace => "replace",
            Self::Delete => "delete",
            Self::Forget => "forget",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Reason {
    Unchanged,
    New,
    NotInManifest,
    /// The record names an endpoint that the provider says does not exist.
    Gone,
    Stopped,
    /// Its endpoint runs but has not answered for a while.
    Unresponsive,
    /// Exists with our tag, was never recorded.
    Unrecorded,
    /// A second endpoint for a resource that has one.
    Surplus,
    CodeChanged,
    FieldChanged(FieldChange),
    /// The hash differs and nothing recorded says in which field.
    HashChanged,
    /// Somebody else changed this field of its endpoint: `old` was applied, `new` is what it is now.
    Drifted(FieldChange),
    /// Somebody else changed its endpoint, in what the provider does not show.
    ChangedOutside,
    /// An earlier attempt was interrupted after its intent was recorded.
    Interrupted,
}

/// One thing to do to one resource. Carries everything needed to do it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub resource: ResourceName,
    pub action: Action,
    pub reasons: Vec<Reason>,
    /// The endpoint acted on: adopted, updated, replaced or deleted; for a create the one that must be gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_id: Option<EndpointId>,
    /// The manifest entry to bring the endpoint to. Absent where nothing is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<Box<Resource>>,
    /// For create and replace: repeating the step with it makes no second endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<IdempotencyKey>,
    /// Version of the record that the step was planned from; 0 = no record.
    pub record_version: u64,
}

/// A resource about which too little is known to act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deferred {
    pub resource: ResourceName,
    pub why: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Serial of the state it was made from. Refused if the state has moved.
    pub state_serial: u64,
    /// In the order to apply: deletions after everything else.
    pub steps: Vec<Step>,
    pub deferred: Vec<Deferred>,
}

impl Plan {
    /// Steps that do something.
    pub fn changes(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.action != Action::NoOp)
    }

    pub fn is_no_op(&self) -> bool {
        self.changes().next().is_none()
    }

    /// What somebody else changed and is left as it is.
    pub fn drifted(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.action == Action::NoOp && step.reasons != [Reason::Unchanged])
    }
}
