//! The in-memory twin of the databases, for tests and throw-away runs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flash_model::{
    EVENTS_MAX, GENERATIONS_MAX, Generation, Happening, Lease, LeaseRequest, LeaseState, LoggedEvent,
    Manifest, MothershipId, ResourceName, ResourceRecord, Scope, StateSnapshot, lease,
};

use super::{
    Clock, EVENTS_READ_MAX, Error, Pending, Pulse, Store, StoredManifest, SystemClock, admit,
    check_generation, check_version, manifest_hash,
};

#[derive(Debug, Default)]
struct Entry {
    /// What its fences count from.
    first_fence: u64,
    snapshot: StateSnapshot,
    /// Oldest first; the last one is the applied one.
    generations: VecDeque<(Generation, Arc<Manifest>)>,
    lease: LeaseState,
    events: VecDeque<LoggedEvent>,
}

impl Entry {
    fn manifest(&self, number: Option<u64>) -> Option<StoredManifest> {
        let (generation, manifest) = match number {
            None => self.generations.back()?,
            Some(number) => self.generations.iter().find(|(generation, _)| generation.number == number)?,
        };
        Some(StoredManifest { generation: generation.number, manifest: Arc::clone(manifest) })
    }

    fn version(&self, resource: &ResourceName) -> u64 {
        self.snapshot.records.get(resource).map_or(0, |record| record.version)
    }
}

#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug, Default)]
struct State {
    scopes: BTreeMap<Scope, Entry>,
    /// The highest fence of any scope that was removed.
    removed_fence: u64,
}

impl State {
    /// The scope's, as new if there is none.
    fn entry(&mut self, scope: &Scope) -> &mut Entry {
        let first_fence = self.removed_fence;
        let lease = LeaseState { fence: first_fence, lease: None };
        self.scopes.entry(scope.clone()).or_insert_with(|| Entry { first_fence, lease, ..Entry::default() })
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }
}

impl MemoryStore {
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { state: Mutex::default(), clock }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<'a, T: Send + 'a>(
        &'a self,
        scope: &'a Scope,
        work: impl FnOnce(&mut Entry, u64) -> Result<T, Error> + Send + 'a,
    ) -> Pending<'a, T> {
        Box::pin(async move {
            let now_ms = self.clock.now_ms();
            work(self.state().entry(scope), now_ms)
        })
    }
}

impl Store for MemoryStore {
    fn scopes(&self) -> Pending<'_, Vec<Scope>> {
        Box::pin(async move {
            let state = self.state();
            let holds_anything = |entry: &Entry| {
                entry.snapshot != StateSnapshot::default()
                    || entry.lease.fence > entry.first_fence
                    || !entry.events.is_empty()
            };
            let known = state.scopes.iter().filter(|(_, entry)| holds_anything(entry));
            Ok(known.map(|(scope, _)| scope.clone()).collect())
        })
    }

    fn remove_scope<'a>(&'a self, scope: &'a Scope, fence: u64) -> Pending<'a, ()> {
        Box::pin(async move {
            let now_ms = self.clock.now_ms();
            let mut state = self.state();
            let entry = state.entry(scope);
            admit(&entry.lease, fence, now_ms)?;
            let (records, last) = (entry.snapshot.records.len() as u64, entry.lease.fence);
            if records > 0 {
                return Err(Error::NotEmpty { scope: scope.clone(), records });
            }
            state.scopes.remove(scope);
            state.removed_fence = state.removed_fence.max(last);
            Ok(())
        })
    }

    fn snapshot<'a>(&'a self, scope: &'a Scope) -> Pending<'a, StateSnapshot> {
        self.with(scope, |entry, _| Ok(entry.snapshot.clone()))
    }

    fn put<'a>(
        &'a self,
        scope: &'a Scope,
        fence: u64,
        mut record: ResourceRecord,
        expected: u64,
    ) -> Pending<'a, ResourceRecord> {
        self.with(scope, move |entry, now_ms| {
            admit(&entry.lease, fence, now_ms)?;
            check_version(&record.resource, expected, entry.version(&record.resource))?;
            entry.snapshot.serial += 1;
            record.version = entry.snapshot.serial;
            entry.snapshot.records.insert(record.resource.clone(), record.clone());
            Ok(record)
        })
    }

    fn remove<'a>(
        &'a self,
        scope: &'a Scope,
        fence: u64,
        resource: &'a ResourceName,
        expected: u64,
    ) -> Pending<'a, ()> {
        self.with(scope, move |entry, now_ms| {
            admit(&entry.lease, fence, now_ms)?;
            if entry.snapshot.records.contains_key(resource) {
                check_version(resource, expected, entry.version(resource))?;
                entry.snapshot.records.remove(resource);
                entry.snapshot.serial += 1;
            }
            Ok(())
        })
    }

    fn lineage<'a>(&'a self, scope: &'a Scope, candidate: MothershipId) -> Pending<'a, MothershipId> {
        self.with(scope, |entry, _| Ok(entry.snapshot.lineage.get_or_insert(candidate).clone()))
    }

    fn put_manifest<'a>(
        &'a self,
        scope: &'a Scope,
        fence: u64,
        manifest: &'a Arc<Manifest>,
        expected: Option<u64>,
    ) -> Pending<'a, StoredManifest> {
        self.with(scope, move |entry, now_ms| {
            let author = Some(admit(&entry.lease, fence, now_ms)?.holder.clone());
            let last = entry.manifest(None);
            let number = last.as_ref().map_or(0, |last| last.generation) + 1;
            if let Some(last) = last.filter(|last| last.manifest == *manifest) {
                return Ok(last);
            }
            check_generation(expected, number - 1)?;
            let manifest_hash = manifest_hash(manifest)?;
            let generation = Generation { number, applied_at_ms: now_ms, manifest_hash, author };
            entry.generations.push_back((generation, Arc::clone(manifest)));
            while entry.generations.len() as u64 > GENERATIONS_MAX {
                entry.generations.pop_front();
            }
            entry.snapshot.serial += 1;
            Ok(StoredManifest { generation: number, manifest: Arc::clone(manifest) })
        })
    }

    fn manifest<'a>(&'a self, scope: &'a Scope) -> Pending<'a, Option<StoredManifest>> {
        self.with(scope, |entry, _| Ok(entry.manifest(None)))
    }

    fn generations<'a>(&'a self, scope: &'a Scope) -> Pending<'a, Vec<Generation>> {
        self.with(scope, |entry, _| {
            Ok(entry.generations.iter().rev().map(|(generation, _)| generation.clone()).collect())
        })
    }

    fn generation<'a>(&'a self, scope: &'a Scope, number: u64) -> Pending<'a, Option<StoredManifest>> {
        self.with(scope, move |entry, _| Ok(entry.manifest(Some(number))))
    }

    fn lease<'a>(&'a self, scope: &'a Scope, request: LeaseRequest) -> Pending<'a, Option<Lease>> {
        self.with(scope, move |entry, now_ms| {
            let decision = lease::decide(&entry.lease, &request, now_ms);
            entry.lease = decision.state;
            Ok(decision.answer?)
        })
    }

    fn pulse<'a>(&'a self, scope: &'a Scope) -> Pending<'a, Pulse> {
        self.with(scope, |entry, now_ms| {
            let StateSnapshot { serial, lineage, .. } = &entry.snapshot;
            Ok(Pulse { serial: *serial, lineage: lineage.clone(), lease: entry.lease.lease.clone(), now_ms })
        })
    }

    fn append<'a>(&'a self, scope: &'a Scope, happenings: Vec<Happening>) -> Pending<'a, ()> {
        self.with(scope, |entry, at_ms| {
            for happening in happenings {
                let sequence = entry.events.back().map_or(0, |last| last.sequence) + 1;
                entry.events.push_back(LoggedEvent { sequence, at_ms, happening });
            }
            while entry.events.len() as u64 > EVENTS_MAX {
                entry.events.pop_front();
            }
            Ok(())
        })
    }

    fn events<'a>(&'a self, scope: &'a Scope, after: u64, limit: u32) -> Pending<'a, Vec<LoggedEvent>> {
        self.with(scope, move |entry, _| {
            let limit = usize::try_from(limit.min(EVENTS_READ_MAX)).unwrap_or(usize::MAX);
            Ok(entry.events.iter().filter(|event| event.sequence > after).take(limit).cloned().collect())
        })
    }
}
