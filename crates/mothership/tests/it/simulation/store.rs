//! The state store as one mothership sees it: a real store, behind the network. What is written is looked at on its way.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use flash_model::*;
use flash_mothership::store::{Error, Pending, Pulse, Store, StoredManifest};

use super::faults::{Service, Trouble};
use super::network::{Arrival, Line};
use super::realm::{Mutation, Realm};

#[derive(Debug)]
pub(super) struct SimulatedStore {
    line: Line,
}

impl SimulatedStore {
    pub(super) fn new(line: Line) -> Self {
        Self { line }
    }

    fn call<'a, T: Send + 'static>(
        &'a self,
        what: impl FnOnce() -> String + Send + 'a,
        mut effect: impl FnMut(&mut Realm, Arrival) -> Result<T, Error> + Send + 'static,
    ) -> Pending<'a, T> {
        let effect = move |realm: &mut Realm, arrival| {
            if realm.store_is_away() {
                realm.note(|| "  the store is away".to_owned());
                return Err(error(Trouble::Refused));
            }
            effect(realm, arrival)
        };
        Box::pin(async move { self.line.call(Service::Store, what(), effect, error).await })
    }
}

fn error(_: Trouble) -> Error {
    const SQLITE_BUSY: i32 = 5;
    Error::Sqlite(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(SQLITE_BUSY), None))
}

/// Stores that need no thread answer at once.
pub(super) fn now<T>(answer: impl Future<Output = T>) -> T {
    match pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("the store does not answer at once"),
    }
}

impl Store for SimulatedStore {
    fn scopes(&self) -> Pending<'_, Vec<Scope>> {
        self.call(|| "scopes".into(), |realm, _| now(realm.store.scopes()))
    }

    fn remove_scope<'a>(&'a self, scope: &'a Scope, fence: u64) -> Pending<'a, ()> {
        let scope = scope.clone();
        self.call(
            || "remove the scope".into(),
            move |realm, _| now(realm.store.remove_scope(&scope, realm.presented(fence))),
        )
    }

    fn snapshot<'a>(&'a self, scope: &'a Scope) -> Pending<'a, StateSnapshot> {
        let scope = scope.clone();
        self.call(|| "snapshot".into(), move |realm, _| now(realm.store.snapshot(&scope)))
    }

    fn put<'a>(
        &'a self,
        scope: &'a Scope,
        fence: u64,
        record: ResourceRecord,
        expected: u64,
    ) -> Pending<'a, ResourceRecord> {
        let (scope, shown) = (scope.clone(), record.clone());
        let what = move || {
            let id = shown.endpoint_id.as_ref().map_or("none", |id| id.as_str());
            let intent = shown.intent.as_ref().map_or_else(String::new, |intent| {
                format!(", intent {:?} {}", intent.action, intent.idempotency_key)
            });
            format!("put {} {} endpoint {id}{intent} over {expected}", shown.resource, shown.status)
        };
        self.call(what, move |realm, _| realm.put(&scope, fence, record.clone(), expected))
    }

    fn remove<'a>(
        &'a self,
        scope: &'a Scope,
        fence: u64,
        resource: &'a ResourceName,
        expected: u64,
    ) -> Pending<'a, ()> {
        let (scope, name) = (scope.clone(), resource.clone());
        self.call(
            move || format!("remove {resource} at {expected}"),
            move |realm, _| realm.remove(&scope, fence, &name, expected),
        )
    }

    fn lineage<'a>(&'a self, scope: &'a Scope, _: MothershipId) -> Pending<'a, MothershipId> {
        // The candidate is random. Ours follows from who asks.
        let candidate = MothershipId::new(format!("ms-{}-{}", self.line.life.process, self.line.life.number));
        let (scope, candidate) = (scope.clone(), candidate.unwrap());
        self.call(|| "lineage".into(), move |realm, _| now(realm.store.lineage(&scope, candidate.clone())))
    }

    fn put_manifest<'a>(
        &'a self,
        scope: &'a Scope,
        fence: u64,
        manifest: &'a Arc<Manifest>,
        expected: Option<u64>,
    ) -> Pending<'a, StoredManifest> {
        let (scope, manifest) = (scope.clone(), manifest.clone());
        self.call(
            move || format!("put manifest over {expected:?}"),
            move |realm, arrival| realm.put_manifest(&scope, fence, &manifest, expected, arrival),
        )
    }

    fn manifest<'a>(&'a self, scope: &'a Scope) -> Pending<'a, Option<StoredManifest>> {
        let scope = scope.clone();
        self.call(|| "manifest".into(), move |realm, _| now(realm.store.manifest(&scope)))
    }

    fn generations<'a>(&'a self, scope: &'a Scope) -> Pending<'a, Vec<Generation>> {
        let scope = scope.clone();
        self.call(|| "generations".into(), move |realm, _| now(realm.store.generations(&scope)))
    }

    fn generation<'a>(&'a self, scope: &'a Scope, number: u64) -> Pending<'a, Option<StoredManifest>> {
        let scope = scope.clone();
        self.call(
            move || format!("generation {number}"),
            move |realm, _| now(realm.store.generation(&scope, number)),
        )
    }

    fn lease<'a>(&'a self, scope: &'a Scope, request: LeaseRequest) -> Pending<'a, Option<Lease>> {
        let (scope, shown) = (scope.clone(), request.clone());
        let what = move || match shown {
            LeaseRequest::Acquire { .. } => "acquire the lease".to_owned(),
            LeaseRequest::Renew { fence, .. } => format!("renew lease {fence}"),
            LeaseRequest::Release { fence, .. } => format!("release lease {fence}"),
            LeaseRequest::DropExpired => "drop the lease".to_owned(),
        };
        self.call(what, move |realm, _| {
            let answer = now(realm.store.lease(&scope, request.clone()));
            realm.note(|| match &answer {
                Ok(lease) => format!("  fence {:?}", lease.as_ref().map(|lease| lease.fence)),
                Err(error) => format!("  {error}"),
            });
            answer
        })
    }

    fn pulse<'a>(&'a self, scope: &'a Scope) -> Pending<'a, Pulse> {
        let scope = scope.clone();
        self.call(|| "pulse".into(), move |realm, _| now(realm.store.pulse(&scope)))
    }

    fn append<'a>(&'a self, scope: &'a Scope, happenings: Vec<Happening>) -> Pending<'a, ()> {
        let scope = scope.clone();
        self.call(
            || "append events".into(),
            move |realm, _| {
                for happening in &happenings {
                    realm.check_secrecy("the event log", &serde_json::to_string(happening).unwrap());
                }
                now(realm.store.append(&scope, happenings.clone()))
            },
        )
    }

    fn events<'a>(&'a self, scope: &'a Scope, after: u64, limit: u32) -> Pending<'a, Vec<LoggedEvent>> {
        let scope = scope.clone();
        self.call(|| "events".into(), move |realm, _| now(realm.store.events(&scope, after, limit)))
    }
}

/// What each write does to the state, when it arrives.
impl Realm {
    fn put(
        &mut self,
        scope: &Scope,
        fence: u64,
        mut record: ResourceRecord,
        expected: u64,
    ) -> Result<ResourceRecord, Error> {
        let intent = record.intent.clone();
        if self.mutation == Some(Mutation::NoWriteAhead) {
            record.intent = None;
        }
        self.check_secrecy("a record", &serde_json::to_string(&record).unwrap());
        let written = now(self.store.put(scope, self.presented(fence), record, expected));
        self.verdict(fence, &written);
        let mut written = written?;
        self.check_put(&written);
        self.look();
        written.intent = intent;
        Ok(written)
    }

    fn remove(
        &mut self,
        scope: &Scope,
        fence: u64,
        resource: &ResourceName,
        expected: u64,
    ) -> Result<(), Error> {
        let before = self.state.records.get(resource).cloned();
        let removed = now(self.store.remove(scope, self.presented(fence), resource, expected));
        self.verdict(fence, &removed);
        removed?;
        if let Some(before) = before {
            self.check_remove(&before);
        }
        self.look();
        Ok(())
    }

    fn put_manifest(
        &mut self,
        scope: &Scope,
        fence: u64,
        manifest: &Arc<Manifest>,
        expected: Option<u64>,
        arrival: Arrival,
    ) -> Result<StoredManifest, Error> {
        self.check_secrecy("a manifest", &serde_json::to_string(manifest).unwrap());
        let stored = now(self.store.put_manifest(scope, self.presented(fence), manifest, expected));
        self.verdict(fence, &stored);
        let stored = stored?;
        let is_new = self.wanted.as_ref() != Some(&stored.manifest);
        self.wants_telling |= is_new && (arrival.is_late || arrival.is_repeat);
        self.check_stored(stored.generation, &stored.manifest, arrival);
        self.wanted = Some(stored.manifest.clone());
        self.look();
        Ok(stored)
    }

    /// The fence that the store is shown: with fencing off, whatever it wants to see.
    fn presented(&self, fence: u64) -> u64 {
        match self.mutation {
            Some(Mutation::NoFencing) => self.current_fence().unwrap_or(fence),
            _ => fence,
        }
    }

    fn current_fence(&self) -> Option<u64> {
        now(self.store.pulse(&self.scope)).ok()?.lease.map(|lease| lease.fence)
    }

    fn verdict<T>(&mut self, fence: u64, written: &Result<T, Error>) {
        match written {
            Ok(_) => self.check_fence("the store", fence, self.current_fence().unwrap_or(u64::MAX)),
            Err(error) => self.note(|| format!("  refused: {error}")),
        }
    }
}
