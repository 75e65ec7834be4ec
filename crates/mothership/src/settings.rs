//! What a mothership must be told.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use flash_model::lease::LEASE_TERM_MS;
use flash_model::{HolderId, Secret};
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
    pub lease: LeaseSettings,
}

/// As whom this mothership asks to lead.
#[derive(Debug, Clone)]
pub struct LeaseSettings {
    /// Never used before, not even by the same process.
    pub holder: HolderId,
    /// For a person who asks what the scope is held for.
    pub purpose: String,
    /// A lock that this process holds until it ends, by a name that is unique in the store; see
    /// [`flash_model::LeaseRequest::Acquire`]. Whoever holds it next need not wait for our lease to expire.
    pub seat: Option<String>,
    /// How long a lease lasts that is not renewed.
    pub term: Duration,
}

impl LeaseSettings {
    /// A fresh holder of the usual term, without a seat.
    pub fn new(purpose: impl Into<String>) -> Result<Self, getrandom::Error> {
        let id = format!("pid-{}-{:016x}", std::process::id(), getrandom::u64()?);
        Ok(Self {
            holder: HolderId::new(id)
                .unwrap_or_else(|_| unreachable!("letters, digits and dashes are an id")),
            purpose: purpose.into(),
            seat: None,
            term: Duration::from_millis(LEASE_TERM_MS),
        })
    }

    #[must_use]
    pub fn seat(mut self, seat: impl Into<String>) -> Self {
        self.seat = Some(seat.into());
        self
    }
}
