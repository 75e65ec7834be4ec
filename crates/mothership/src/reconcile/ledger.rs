//! What is stored, as we know it from our own reading and writing: while we hold the lease nobody else writes, so most
//! rounds need not read it all again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flash_model::{ResourceName, ResourceRecord, StateSnapshot};

/// A cheap clone. Believed only as long as its serial is the store's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Option<Arc<StateSnapshot>>>>);

impl Ledger {
    pub(super) fn at(&self, serial: u64) -> Option<Arc<StateSnapshot>> {
        self.entry().clone().filter(|snapshot| snapshot.serial == serial)
    }

    pub(super) fn keep(&self, snapshot: StateSnapshot) -> Arc<StateSnapshot> {
        let snapshot = Arc::new(snapshot);
        *self.entry() = Some(Arc::clone(&snapshot));
        snapshot
    }

    pub(super) fn record(&self, resource: &ResourceName) -> Option<ResourceRecord> {
        self.entry().as_ref()?.records.get(resource).cloned()
    }

    /// A reading that was under way meanwhile may have seen the write already.
    pub(super) fn wrote(&self, record: &ResourceRecord) {
        if let Some(snapshot) = self.entry().as_mut() {
            let known = snapshot.records.get(&record.resource).map_or(0, |known| known.version);
            if known < record.version {
                let snapshot = Arc::make_mut(snapshot);
                snapshot.records.insert(record.resource.clone(), record.clone());
                snapshot.serial += 1;
            }
        }
    }

    pub(super) fn removed(&self, resource: &ResourceName) {
        if let Some(snapshot) = self.entry().as_mut().filter(|known| known.records.contains_key(resource)) {
            let snapshot = Arc::make_mut(snapshot);
            snapshot.records.remove(resource);
            snapshot.serial += 1;
        }
    }

    /// For when it is not known what a write came to.
    pub(super) fn forget(&self) {
        *self.entry() = None;
    }

    fn entry(&self) -> MutexGuard<'_, Option<Arc<StateSnapshot>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
