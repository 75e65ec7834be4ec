//! What a mothership must be told.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use flash_model::Secret;
use flash_providers::Provider;

use crate::store::Store;

/// What the front needs. Enough to answer `/ping`.
#[derive(Debug)]
pub struct FrontSettings {
    pub project_name: String,
    /// Already bound, so that a taken port is found before anything else is done.
    pub listener: TcpListener,
    /// Token of the app+environment. Needed by callers when the listener is not on loopback, and for pickles always.
    pub token: Secret,
}

/// What reconciliation needs.
#[derive(Debug)]
pub struct ReconcileSettings {
    pub scope: flash_model::Scope,
    pub store: Arc<dyn Store>,
    pub provider: Arc<dyn Provider>,
    /// Longest time between two rounds.
    pub period: Duration,
}
