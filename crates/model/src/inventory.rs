//! What a provider says exists now.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{EndpointId, IdempotencyKey, ResourceName, ResourceSpec, Scope};

/// The tag every endpoint carries. Nothing without our tag is ever touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub scope: Scope,
    pub resource: ResourceName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObservedPhase {
    /// Exists and runs; whether it is healthy is for `/ping` to say.
    Running,
    /// Exists but runs nothing: it was suspended or its process died.
    Stopped,
    /// Runs, but has not answered for a while. Never said by a provider: whoever asks endpoints for their health
    /// finds it out.
    Unresponsive,
    /// Was deleted: takes nothing new, finishes what it has in hand and is gone by itself. It never comes back.
    Draining,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedEndpoint {
    pub endpoint_id: EndpointId,
    pub owner: Owner,
    pub idempotency_key: IdempotencyKey,
    /// Hash of the specification it was made from.
    pub config_hash: String,
    pub phase: ObservedPhase,
    pub url: Option<String>,
    /// What it is now, as far as the provider can tell; a difference to what was applied was made by somebody else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Arc<ResourceSpec>>,
    /// Where it was told that its mothership is, if it must be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mothership_url: Option<String>,
}

/// Whether one endpoint exists, asked for by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Existence {
    Present(Box<ObservedEndpoint>),
    Absent,
    /// The provider could not say. Never a reason to create or delete.
    Unknown,
}

/// What an endpoint answers when it is asked whether it can serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    Ready,
    Starting,
    /// It answered that it cannot serve, and why.
    Unhealthy {
        reason: String,
    },
    /// It did not answer.
    Unreachable {
        reason: String,
    },
}

/// An endpoint missing from a `Partial` inventory is *unknown*, not absent: it is neither created nor deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Completeness {
    Complete,
    Partial,
}

/// Endpoints of one app+environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    pub completeness: Completeness,
    pub endpoints: Vec<ObservedEndpoint>,
}

impl Inventory {
    pub fn unknown() -> Self {
        Self { completeness: Completeness::Partial, endpoints: Vec::new() }
    }
}
