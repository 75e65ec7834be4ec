//! What a mothership does that does not lead: it serves what the leader writes, and watches the lease.

use std::sync::Arc;
use std::time::Duration;

use flash_model::Scope;
use tokio::time::{Instant, sleep};

use crate::discovery::Discovery;
use crate::store::{self, Store};

/// How soon a follower serves what the leader wrote, and notices that there is none.
const FOLLOW_PERIOD: Duration = Duration::from_millis(200);
/// While the store does not answer.
const TROUBLE_PERIOD: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Follower {
    store: Arc<dyn Store>,
    scope: Scope,
    discovery: Discovery,
    /// Serial of the state that is served.
    served: Option<u64>,
}

impl Follower {
    pub(super) fn new(store: Arc<dyn Store>, scope: Scope, discovery: Discovery) -> Self {
        Self { store, scope, discovery, served: None }
    }

    /// What is served now was not read by us.
    pub(super) fn forget(&mut self) {
        self.served = None;
    }

    /// Serves what is stored until the lease is there to be had, and for `at_most`: asking for the lease also mends one
    /// that a jump of the store's clock made too long.
    pub(super) async fn run(&mut self, at_most: Duration) {
        let until = Instant::now() + at_most;
        loop {
            let pause = match self.look().await {
                Ok(true) => return,
                Ok(false) => FOLLOW_PERIOD,
                // What was served last is served on.
                Err(error) => {
                    tracing::debug!(%error, "shared state not read");
                    TROUBLE_PERIOD
                }
            };
            sleep(pause.min(until.saturating_duration_since(Instant::now()))).await;
            if Instant::now() >= until {
                return;
            }
        }
    }

    /// True if nobody holds the lease.
    async fn look(&mut self) -> Result<bool, store::Error> {
        let pulse = self.store.pulse(&self.scope).await?;
        if self.served != Some(pulse.serial) {
            let manifest = self.store.manifest(&self.scope).await?;
            let snapshot = self.store.snapshot(&self.scope).await?;
            self.discovery.replace(manifest, &snapshot.records);
            // As of before both were read: what was written meanwhile is read again.
            self.served = Some(pulse.serial);
        }
        Ok(pulse.is_vacant())
    }
}
