//! What a mothership must be told.

use std::fmt;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use flash_model::lease::LEASE_TERM_MS;
use flash_model::{HolderId, Manifest, ResourceName, Scope, Secret};
use flash_plan::Drift;
use flash_providers::Provider;

use crate::jitter::Jitter;
use crate::reconcile::Environment;
use crate::store::{Clock, Store, SystemClock};

/// Longest time between two looks at the world, unless told otherwise.
pub const PERIOD: Duration = Duration::from_secs(30);

/// What the front needs. Enough to answer `/ping`.
#[derive(Debug)]
pub struct FrontSettings {
    pub project_name: String,
    /// Already bound, so that a taken port is found before anything else is done.
    pub listener: TcpListener,
    /// Token of the app+environment. Needed by callers when the listener is not on loopback, and for pickles always.
    pub token: Secret,
    /// Whether callers need it on loopback too, for everything but `/ping`.
    pub needs_token: bool,
}

/// Values of the environment variables that a manifest's resources name, for a manifest that was not scanned here: what
/// this process has of them.
pub type EnvironmentSource = dyn Fn(&Manifest) -> Environment + Send + Sync;

/// What reconciliation needs.
#[derive(Clone)]
pub struct ReconcileSettings {
    pub scope: Scope,
    pub store: Arc<dyn Store>,
    pub provider: Arc<dyn Provider>,
    pub lease: LeaseSettings,
    /// Longest time between two looks at the world.
    pub period: Duration,
    /// What to do about endpoints that somebody else changed.
    pub drift: Drift,
    /// Does nothing until a wish of its own is applied: what is stored is somebody else's to bring about.
    pub only_when_told: bool,
    /// The resource that this mothership itself runs as, if it does.
    pub own_resource: Option<ResourceName>,
    /// Asked when a stored manifest becomes the desired state.
    pub environment: Arc<EnvironmentSource>,
    /// For times that are written down.
    pub clock: Arc<dyn Clock>,
    pub jitter: Jitter,
}

impl ReconcileSettings {
    pub fn new(
        scope: Scope,
        store: Arc<dyn Store>,
        provider: Arc<dyn Provider>,
        lease: LeaseSettings,
    ) -> Self {
        Self {
            scope,
            store,
            provider,
            lease,
            period: PERIOD,
            drift: Drift::Repair,
            only_when_told: false,
            own_resource: None,
            environment: Arc::new(|_| Environment::new()),
            clock: Arc::new(SystemClock),
            jitter: Jitter::random(),
        }
    }
}

impl fmt::Debug for ReconcileSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scope, lease, period, drift, .. } = self;
        f.debug_struct("ReconcileSettings")
            .field("scope", scope)
            .field("lease", lease)
            .field("period", period)
            .field("drift", drift)
            .finish_non_exhaustive()
    }
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
