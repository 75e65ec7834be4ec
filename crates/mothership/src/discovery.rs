//! Tells everybody where everybody is: the manifest merged with what was provisioned, and its version.
//!
//! Writers only note what changed. One task makes the next version of it, soon but not more often than it can be read:
//! a thousand endpoints that become ready in a second are a few dozen versions.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flash_model::{Manifest, Provisioned, ResourceName, ResourceRecord};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use crate::served::Served;
use crate::store::StoredManifest;

/// Between two versions.
const PUBLISH_PAUSE: Duration = Duration::from_millis(20);
/// Making versions takes this part of one processor's time at most.
const PUBLISH_SHARE: u32 = 4;

#[derive(Debug)]
struct Parts {
    desired: Arc<Manifest>,
    generation: Option<u64>,
    recorded: BTreeMap<ResourceName, Provisioned>,
}

#[derive(Debug)]
struct Shared {
    parts: Mutex<Parts>,
    changed: Notify,
}

#[derive(Debug, Clone)]
pub(crate) struct Discovery {
    shared: Arc<Shared>,
    served: watch::Receiver<Arc<Served>>,
    _publisher: Arc<Publisher>,
}

/// Ends with the last [`Discovery`].
#[derive(Debug)]
struct Publisher(AbortHandle);

impl Drop for Publisher {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Discovery {
    /// Serves an empty manifest until there is one. Must be called inside a tokio runtime.
    pub(crate) fn new(project_name: &str) -> Self {
        let desired = Arc::new(Manifest::empty(project_name));
        let parts = Parts { desired, generation: None, recorded: BTreeMap::new() };
        let (sender, served) = watch::channel(Arc::new(parts.serve()));
        let shared = Arc::new(Shared { parts: Mutex::new(parts), changed: Notify::new() });
        let publishing = tokio::spawn(publish(Arc::clone(&shared), sender));
        Self { shared, served, _publisher: Arc::new(Publisher(publishing.abort_handle())) }
    }

    pub(crate) fn current(&self) -> Arc<Served> {
        self.served.borrow().clone()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Served>> {
        let mut served = self.served.clone();
        served.mark_unchanged();
        served
    }

    pub(crate) fn set_manifest(&self, desired: Arc<Manifest>, generation: u64) {
        self.change(|parts| {
            parts.desired = desired;
            parts.generation = Some(generation);
        });
    }

    /// Serves exactly these records, and the stored manifest if there is one.
    pub(crate) fn replace(
        &self,
        stored: Option<StoredManifest>,
        records: &BTreeMap<ResourceName, ResourceRecord>,
    ) {
        let recorded =
            records.iter().map(|(name, record)| (name.clone(), Provisioned::of(Some(record)))).collect();
        self.change(|parts| {
            parts.recorded = recorded;
            if let Some(stored) = stored {
                parts.generation = Some(stored.generation);
                parts.desired = Arc::new(stored.manifest);
            }
        });
    }

    /// True if its status is news.
    pub(crate) fn set_record(&self, record: &ResourceRecord) -> bool {
        let next = Provisioned::of(Some(record));
        let told = |provisioned: &Provisioned| (provisioned.status, provisioned.status_reason.clone());
        let mut news = false;
        self.change(|parts| {
            let before = parts.recorded.insert(record.resource.clone(), next.clone());
            news = before.as_ref().map(told) != Some(told(&next));
        });
        news
    }

    pub(crate) fn remove_record(&self, resource: &ResourceName) {
        self.change(|parts| drop(parts.recorded.remove(resource)));
    }

    fn change(&self, change: impl FnOnce(&mut Parts)) {
        change(&mut self.shared.parts());
        self.shared.changed.notify_one();
    }
}

impl Shared {
    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Parts {
    fn serve(&self) -> Served {
        Served::new(Arc::clone(&self.desired), self.generation, &self.recorded)
    }
}

async fn publish(shared: Arc<Shared>, served: watch::Sender<Arc<Served>>) {
    loop {
        shared.changed.notified().await;
        let begun = Instant::now();
        let next = Arc::new(shared.parts().serve());
        served.send_if_modified(|last| {
            let moved = last.etag != next.etag;
            if moved {
                *last = next;
            }
            moved
        });
        sleep(PUBLISH_PAUSE.max(begun.elapsed() * PUBLISH_SHARE)).await;
    }
}
