//! What is stored, as we know it from our own reading and writing: while we hold the lease nobody else writes, so most
//! rounds need not read it all again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flash_model::{ResourceName, ResourceRecord, StateSnapshot};

/// A cheap clone. Believed only as long as its serial is the store's.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Pages>>);

#[derive(Debug, Default)]
struct Pages {
    snapshot: Arc<StateSnapshot>,
    /// False from a write of which it is not known what it came to, until all is read again.
    is_sound: bool,
}

impl Ledger {
    pub(super) fn at(&self, serial: u64) -> Option<Arc<StateSnapshot>> {
        let pages = self.pages();
        (pages.is_sound && pages.snapshot.serial == serial).then(|| Arc::clone(&pages.snapshot))
    }

    /// What was read. Where we wrote something newer meanwhile that stays, and all is read again next time.
    pub(super) fn keep(&self, mut read: StateSnapshot) -> Arc<StateSnapshot> {
        let mut pages = self.pages();
        pages.is_sound = true;
        for (name, record) in &mut read.records {
            if let Some(known) =
                pages.snapshot.records.get(name).filter(|known| known.version > record.version)
            {
                record.clone_from(known);
                pages.is_sound = false;
            }
        }
        pages.snapshot = Arc::new(read);
        Arc::clone(&pages.snapshot)
    }

    pub(super) fn record(&self, resource: &ResourceName) -> Option<ResourceRecord> {
        self.pages().snapshot.records.get(resource).cloned()
    }

    pub(super) fn records(&self) -> BTreeMap<ResourceName, ResourceRecord> {
        self.pages().snapshot.records.clone()
    }

    /// A reading that was under way meanwhile may have seen the write already.
    pub(super) fn wrote(&self, record: &ResourceRecord) {
        let mut pages = self.pages();
        let known = pages.snapshot.records.get(&record.resource).map_or(0, |known| known.version);
        if known < record.version {
            let snapshot = Arc::make_mut(&mut pages.snapshot);
            snapshot.records.insert(record.resource.clone(), record.clone());
            snapshot.serial += 1;
        }
    }

    pub(super) fn removed(&self, resource: &ResourceName) {
        let mut pages = self.pages();
        if pages.snapshot.records.contains_key(resource) {
            let snapshot = Arc::make_mut(&mut pages.snapshot);
            snapshot.records.remove(resource);
            snapshot.serial += 1;
        }
    }

    /// For when it is not known what a write came to.
    pub(super) fn doubt(&self) {
        self.pages().is_sound = false;
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use flash_testkit::name;

    use super::*;

    fn record(version: u64) -> ResourceRecord {
        ResourceRecord { version, ..ResourceRecord::new(name("a"), "sim") }
    }

    fn snapshot(serial: u64, version: u64) -> StateSnapshot {
        let records = BTreeMap::from([(name("a"), record(version))]);
        StateSnapshot { serial, records, ..StateSnapshot::default() }
    }

    #[test]
    fn it_follows_our_own_writes_and_is_read_again_after_doubt() {
        let ledger = Ledger::default();
        assert!(ledger.at(0).is_none(), "nothing was read yet");
        ledger.keep(snapshot(4, 2));
        assert!(ledger.at(4).is_some() && ledger.at(5).is_none());
        ledger.wrote(&record(3));
        ledger.wrote(&record(3));
        assert_eq!(ledger.at(5).unwrap().records["a"].version, 3, "counted once");
        ledger.doubt();
        assert!(ledger.at(5).is_none());
        ledger.keep(snapshot(6, 4));
        ledger.removed(&name("a"));
        ledger.removed(&name("a"));
        assert!(ledger.at(7).unwrap().records.is_empty());
    }

    #[test]
    fn a_reading_that_is_older_than_our_write_does_not_hide_it() {
        let ledger = Ledger::default();
        ledger.wrote(&record(3));
        assert_eq!(ledger.keep(snapshot(4, 2)).records["a"].version, 3);
        assert!(ledger.at(4).is_none(), "and is not believed");
    }
}
