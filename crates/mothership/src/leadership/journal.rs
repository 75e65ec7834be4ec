//! Writes the event log beside the work, so that nothing waits for it. The log is history, not state: what had not been
//! written when the process died is missing from it, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use flash_model::{EventKind, Happening, HolderId, ResourceName, Scope};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::store::Store;

const QUEUED_MAX: usize = 4096;
/// Events in one transaction.
const BATCH_MAX: usize = 256;
const TRIES_MAX: u32 = 3;
const RETRY_PAUSE: Duration = Duration::from_millis(500);
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);

/// A cheap clone to note things with.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    holder: HolderId,
    queue: mpsc::Sender<Happening>,
}

impl Journal {
    /// `why` is for a person and holds no secret. Only its first line is kept: what follows in an error's text is what
    /// somebody's program printed.
    pub(crate) fn note(&self, what: EventKind, resource: Option<&ResourceName>, why: impl AsRef<str>) {
        let why = why.as_ref().lines().next().unwrap_or_default();
        let happening = Happening::new(self.holder.clone(), what, resource.cloned(), why);
        if let Err(error) = self.queue.try_send(happening) {
            tracing::warn!(%error, "event not logged");
        }
    }
}

#[derive(Debug)]
pub(super) struct JournalTask {
    journal: Journal,
    task: JoinHandle<()>,
}

impl JournalTask {
    pub(super) fn start(store: Arc<dyn Store>, scope: Scope, holder: HolderId) -> Self {
        let (queue, queued) = mpsc::channel(QUEUED_MAX);
        Self { journal: Journal { holder, queue }, task: tokio::spawn(write(store, scope, queued)) }
    }

    pub(super) fn journal(&self) -> Journal {
        self.journal.clone()
    }

    /// Waits for what was noted to be written, for a moment.
    pub(super) async fn finish(self) {
        drop(self.journal);
        let _ = timeout(FINISH_TIMEOUT, self.task).await;
    }
}

async fn write(store: Arc<dyn Store>, scope: Scope, mut queued: mpsc::Receiver<Happening>) {
    let mut batch = Vec::new();
    while queued.recv_many(&mut batch, BATCH_MAX).await > 0 {
        for tries in 1.. {
            match store.append(&scope, batch.clone()).await {
                Ok(()) => break,
                Err(error) if tries == TRIES_MAX => {
                    tracing::warn!(%error, lost = batch.len(), "events not logged");
                    break;
                }
                Err(_) => sleep(RETRY_PAUSE).await,
            }
        }
        batch.clear();
    }
}
