//! Tells everybody where everybody is: the manifest merged with what was provisioned, and its version.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use flash_model::{Manifest, Provisioned, ResourceName, ResourceRecord, RouteTable, sha256_hex};
use tokio::sync::watch;

use crate::store::StoredManifest;

/// What `/manifest` answers at one moment.
#[derive(Debug, Clone)]
pub struct Served {
    pub manifest: Manifest,
    pub routes: RouteTable,
    /// Quoted, as HTTP wants it.
    pub etag: String,
    pub json: Bytes,
}

impl Served {
    fn new(manifest: Manifest) -> Self {
        let json = serde_json::to_vec(&manifest).unwrap_or_default();
        Self {
            routes: RouteTable::from_manifest(&manifest),
            etag: format!("\"{}\"", &sha256_hex(&json)[..16]),
            json: json.into(),
            manifest,
        }
    }
}

#[derive(Debug)]
struct Parts {
    desired: Manifest,
    records: BTreeMap<ResourceName, ResourceRecord>,
}

#[derive(Debug, Clone)]
pub(crate) struct Discovery {
    parts: Arc<Mutex<Parts>>,
    served: watch::Sender<Arc<Served>>,
}

impl Discovery {
    /// Serves an empty manifest until there is one.
    pub(crate) fn new(project_name: &str) -> Self {
        let desired = Manifest::empty(project_name);
        let served = watch::Sender::new(Arc::new(Served::new(desired.clone())));
        Self { parts: Arc::new(Mutex::new(Parts { desired, records: BTreeMap::new() })), served }
    }

    pub(crate) fn current(&self) -> Arc<Served> {
        self.served.borrow().clone()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<Served>> {
        self.served.subscribe()
    }

    pub(crate) fn set_manifest(&self, stored: &StoredManifest) {
        let mut desired = stored.manifest.clone();
        desired.generation = Some(stored.generation);
        self.publish(|parts| parts.desired = desired);
    }

    /// Serves exactly this: what somebody else stored.
    pub(crate) fn replace(
        &self,
        stored: Option<&StoredManifest>,
        records: BTreeMap<ResourceName, ResourceRecord>,
    ) {
        let desired = stored.map(|stored| {
            let mut desired = stored.manifest.clone();
            desired.generation = Some(stored.generation);
            desired
        });
        self.publish(|parts| {
            parts.records = records;
            if let Some(desired) = desired {
                parts.desired = desired;
            }
        });
    }

    pub(crate) fn set_record(&self, record: &ResourceRecord) {
        // Every round says of every endpoint how it is; only news is worth a document.
        if self.parts().records.get(&record.resource) != Some(record) {
            self.publish(|parts| drop(parts.records.insert(record.resource.clone(), record.clone())));
        }
    }

    pub(crate) fn remove_record(&self, resource: &ResourceName) {
        self.publish(|parts| drop(parts.records.remove(resource)));
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, change: impl FnOnce(&mut Parts)) {
        let mut parts = self.parts();
        change(&mut parts);
        let served = Arc::new(Served::new(merge(&parts)));
        self.served.send_if_modified(|last| {
            let moved = last.etag != served.etag;
            *last = served;
            moved
        });
    }
}

fn merge(parts: &Parts) -> Manifest {
    let mut manifest = parts.desired.clone();
    for (name, resource) in &mut manifest.resources {
        resource.provisioned = Provisioned::of(parts.records.get(name));
    }
    manifest
}
