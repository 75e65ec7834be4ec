//! Connections between callers and the application that have become WebSockets.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hyper::upgrade::OnUpgrade;
use tokio::task::JoinSet;

use crate::worker::pool::Lease;

/// No more than there are slots. Dropping it closes them.
#[derive(Debug, Default)]
pub(super) struct Tunnels(Mutex<JoinSet<()>>);

impl Tunnels {
    pub(super) fn open(&self, caller: OnUpgrade, worker: OnUpgrade, slot: Lease) {
        let mut open = self.lock();
        while open.try_join_next().is_some() {}
        open.spawn(async move {
            if let Err(error) = flash_client::join(caller, worker, slot).await {
                tracing::debug!(%error, "a WebSocket broke off");
            }
        });
    }

    /// When all that are open have ended.
    pub(super) async fn ended(&self) {
        while std::future::poll_fn(|context| self.lock().poll_join_next(context)).await.is_some() {}
    }

    fn lock(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
