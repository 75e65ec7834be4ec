//! Tells everybody where everybody is: the manifest merged with what was provisioned, and its version.
//!
//! Writers only note what changed. One task makes the next version of it, soon but not more often than it can be read:
//! a thousand endpoints that become ready in a second are a few dozen versions.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flash_model::{Manifest, Provisioned, ResourceName, ResourceRecord, sha256_hex};
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
    recorded: BTreeMap<ResourceName, Arc<Provisioned>>,
    /// Of names and hashes of the desired resources.
    desired_digest: u128,
    /// Sum over what is recorded, so that one change costs one digest.
    recorded_digest: u128,
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
        let mut parts = Parts {
            desired: Arc::clone(&desired),
            generation: None,
            recorded: BTreeMap::new(),
            desired_digest: 0,
            recorded_digest: 0,
        };
        parts.want(desired, None);
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
        self.change(|parts| parts.want(desired, Some(generation)));
    }

    /// Serves exactly these records, and the stored manifest if there is one.
    pub(crate) fn replace(
        &self,
        stored: Option<StoredManifest>,
        records: &BTreeMap<ResourceName, ResourceRecord>,
    ) {
        self.change(|parts| {
            parts.recorded.clear();
            parts.recorded_digest = 0;
            for (name, record) in records {
                parts.record(name, Provisioned::of(Some(record)));
            }
            if let Some(stored) = stored {
                parts.want(stored.manifest, Some(stored.generation));
            }
        });
    }

    /// True if its status is news.
    pub(crate) fn set_record(&self, record: &ResourceRecord) -> bool {
        let next = Provisioned::of(Some(record));
        let told = |provisioned: &Provisioned| (provisioned.status, provisioned.status_reason.clone());
        let mut news = false;
        self.change(|parts| {
            let now = told(&next);
            let before = parts.record(&record.resource, next);
            news = before.as_deref().map(told) != Some(now);
        });
        news
    }

    pub(crate) fn remove_record(&self, resource: &ResourceName) {
        self.change(|parts| parts.forget(resource));
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
    fn want(&mut self, desired: Arc<Manifest>, generation: Option<u64>) {
        let mut text = format!("{}\n{generation:?}\n", desired.project_name);
        for (name, resource) in &desired.resources {
            let _ = writeln!(text, "{name} {}", resource.config_hash);
        }
        self.desired_digest = digest(text.as_bytes());
        self.desired = desired;
        self.generation = generation;
    }

    /// Gives back what was recorded before.
    fn record(&mut self, name: &ResourceName, provisioned: Provisioned) -> Option<Arc<Provisioned>> {
        self.recorded_digest = self.recorded_digest.wrapping_add(digest_of(name, &provisioned));
        let before = self.recorded.insert(name.clone(), Arc::new(provisioned));
        if let Some(before) = &before {
            self.recorded_digest = self.recorded_digest.wrapping_sub(digest_of(name, before));
        }
        before
    }

    fn forget(&mut self, name: &ResourceName) {
        if let Some(before) = self.recorded.remove(name) {
            self.recorded_digest = self.recorded_digest.wrapping_sub(digest_of(name, &before));
        }
    }

    fn serve(&self) -> Served {
        let digest = self.desired_digest.wrapping_add(self.recorded_digest);
        Served::new(Arc::clone(&self.desired), self.generation, self.recorded.clone(), digest)
    }
}

fn digest_of(name: &ResourceName, provisioned: &Provisioned) -> u128 {
    digest(format!("{name} {provisioned:?}").as_bytes())
}

/// The first half of a SHA-256.
fn digest(bytes: &[u8]) -> u128 {
    u128::from_str_radix(&sha256_hex(bytes)[..32], 16).unwrap_or_default()
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

#[cfg(test)]
mod tests {
    use flash_model::ResourceStatus;
    use flash_testkit::{manifest, name};

    use super::*;

    fn record(resource: &str, status: ResourceStatus) -> ResourceRecord {
        ResourceRecord { status, ..ResourceRecord::new(name(resource), "sim") }
    }

    #[test]
    fn the_version_is_that_of_what_is_served_however_it_came_about() {
        let parts = || Parts {
            desired: Arc::new(Manifest::empty("shop")),
            generation: None,
            recorded: BTreeMap::new(),
            desired_digest: 0,
            recorded_digest: 0,
        };
        let put = |parts: &mut Parts, record: &ResourceRecord| {
            parts.record(&record.resource, Provisioned::of(Some(record)));
        };
        let wanted = |workers| Arc::new(manifest(&[("a", workers), ("b", 1)]));
        let (ready, degraded) = (record("a", ResourceStatus::Ready), record("a", ResourceStatus::Degraded));
        let mut led = parts();
        led.want(wanted(1), Some(1));
        put(&mut led, &record("gone", ResourceStatus::Removing));
        for record in [&degraded, &ready, &record("b", ResourceStatus::Pending), &degraded, &ready] {
            put(&mut led, record);
        }
        led.forget(&name("gone"));
        let mut followed = parts();
        put(&mut followed, &record("b", ResourceStatus::Pending));
        put(&mut followed, &ready);
        followed.want(wanted(1), Some(1));
        let etag = led.serve().etag().to_owned();
        assert_eq!(etag, followed.serve().etag());
        put(&mut followed, &degraded);
        assert_ne!(etag, followed.serve().etag(), "a status moves it");
        led.want(wanted(2), Some(1));
        assert_ne!(etag, led.serve().etag(), "a hash moves it");
        led.want(wanted(1), Some(2));
        assert_ne!(etag, led.serve().etag(), "a generation moves it");
    }
}
