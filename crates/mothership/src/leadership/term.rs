//! One lease as its holder sees it: renewed in the background until it is lost.

use std::sync::Arc;
use std::time::Duration;

use flash_model::lease::LEASE_RENEWALS_PER_TERM;
use flash_model::{Lease, LeaseRequest, Scope};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout_at};

use crate::store::Store;

/// A store that does not answer is asked again after this part of the term.
const RETRIES_PER_TERM: u32 = 15;

/// A cheap clone. Renewal ends with the last one.
#[derive(Debug, Clone)]
pub(crate) struct Term {
    fence: u64,
    lost: watch::Sender<bool>,
    _renewal: Arc<Renewal>,
}

#[derive(Debug)]
struct Renewal(AbortHandle);

impl Drop for Renewal {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Term {
    /// `asked_at` is when the lease was asked for: by our own clock it has ended a term after that at the latest.
    pub(super) fn begin(store: &Arc<dyn Store>, scope: &Scope, lease: &Lease, asked_at: Instant) -> Self {
        let lost = watch::Sender::new(false);
        let renewal = tokio::spawn(renew(
            Arc::clone(store),
            scope.clone(),
            LeaseRequest::Renew { holder: lease.holder.clone(), fence: lease.fence },
            Duration::from_millis(lease.term_ms),
            asked_at,
            lost.clone(),
        ));
        Self { fence: lease.fence, lost, _renewal: Arc::new(Renewal(renewal.abort_handle())) }
    }

    pub(crate) fn fence(&self) -> u64 {
        self.fence
    }

    /// Somebody refused us: another one leads, whatever our clock says.
    pub(crate) fn lose(&self) {
        self.lost.send_replace(true);
    }

    pub(super) async fn lost(&self) {
        let _ = self.lost.subscribe().wait_for(|lost| *lost).await;
    }
}

async fn renew(
    store: Arc<dyn Store>,
    scope: Scope,
    request: LeaseRequest,
    term: Duration,
    asked_at: Instant,
    lost: watch::Sender<bool>,
) {
    let pause = term / u32::try_from(LEASE_RENEWALS_PER_TERM).unwrap_or(1);
    let mut ends_at = asked_at + term;
    let mut next = pause;
    loop {
        sleep(next.min(ends_at.saturating_duration_since(Instant::now()))).await;
        let asked_at = Instant::now();
        match timeout_at(ends_at, store.lease(&scope, request.clone())).await {
            Ok(Ok(_)) => {
                ends_at = asked_at + term;
                next = pause;
            }
            Ok(Err(error)) if !error.is_fenced() && Instant::now() < ends_at => {
                tracing::warn!(%error, "lease not renewed yet");
                next = term / RETRIES_PER_TERM;
            }
            _ => break,
        }
    }
    lost.send_replace(true);
}
