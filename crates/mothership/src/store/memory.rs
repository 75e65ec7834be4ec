//! The in-memory twin of the SQLite store, for tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flash_model::{Manifest, MothershipId, ResourceName, ResourceRecord, Scope, StateSnapshot};

use super::{Error, Pending, Store, StoredManifest};

#[derive(Debug, Default)]
struct Entry {
    snapshot: StateSnapshot,
    lineage: Option<MothershipId>,
    manifest: Option<StoredManifest>,
}

#[derive(Debug, Default)]
pub struct MemoryStore {
    scopes: Mutex<BTreeMap<Scope, Entry>>,
}

impl MemoryStore {
    fn scopes(&self) -> MutexGuard<'_, BTreeMap<Scope, Entry>> {
        self.scopes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, scope: &Scope, change: impl FnOnce(&mut Entry) -> T) -> T {
        change(self.scopes().entry(scope.clone()).or_default())
    }
}

impl Store for MemoryStore {
    fn snapshot<'a>(&'a self, scope: &'a Scope) -> Pending<'a, StateSnapshot> {
        Box::pin(async move { Ok(self.with(scope, |entry| entry.snapshot.clone())) })
    }

    fn put<'a>(
        &'a self,
        scope: &'a Scope,
        mut record: ResourceRecord,
        expected: u64,
    ) -> Pending<'a, ResourceRecord> {
        Box::pin(async move {
            self.with(scope, |Entry { snapshot, .. }| {
                check(&snapshot.records, &record.resource, expected)?;
                record.version = expected + 1;
                snapshot.version += 1;
                snapshot.records.insert(record.resource.clone(), record.clone());
                Ok(record)
            })
        })
    }

    fn remove<'a>(&'a self, scope: &'a Scope, resource: &'a ResourceName, expected: u64) -> Pending<'a, ()> {
        Box::pin(async move {
            self.with(scope, |Entry { snapshot, .. }| {
                if snapshot.records.contains_key(resource) {
                    check(&snapshot.records, resource, expected)?;
                    snapshot.records.remove(resource);
                    snapshot.version += 1;
                }
                Ok(())
            })
        })
    }

    fn lineage<'a>(&'a self, scope: &'a Scope, candidate: MothershipId) -> Pending<'a, MothershipId> {
        Box::pin(async move { Ok(self.with(scope, |entry| entry.lineage.get_or_insert(candidate).clone())) })
    }

    fn put_manifest<'a>(&'a self, scope: &'a Scope, manifest: &'a Manifest) -> Pending<'a, StoredManifest> {
        Box::pin(async move {
            Ok(self.with(scope, |entry| {
                let last = entry.manifest.take();
                let generation = last.as_ref().map_or(0, |last| last.generation);
                let same = last.is_some_and(|last| last.manifest == *manifest);
                let stored = StoredManifest {
                    generation: if same { generation } else { generation + 1 },
                    manifest: manifest.clone(),
                };
                entry.manifest = Some(stored.clone());
                stored
            }))
        })
    }

    fn manifest<'a>(&'a self, scope: &'a Scope) -> Pending<'a, Option<StoredManifest>> {
        Box::pin(async move { Ok(self.with(scope, |entry| entry.manifest.clone())) })
    }
}

fn check(
    records: &BTreeMap<ResourceName, ResourceRecord>,
    resource: &ResourceName,
    expected: u64,
) -> Result<(), Error> {
    let actual = records.get(resource).map_or(0, |record| record.version);
    if actual == expected {
        Ok(())
    } else {
        Err(Error::Conflict { resource: resource.clone(), expected, actual })
    }
}
