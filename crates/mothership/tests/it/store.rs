//! One suite, run against every store.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flash_model::*;
use flash_mothership::StateServer;
use flash_mothership::store::{Error, ManualClock, MemoryStore, RemoteStore, SqliteStore, Store};

use flash_testkit::{manifest, name, scope};

use crate::support::TOKEN;

/// A store, and the hands on its clock if it has none of its own.
pub(crate) struct Fixture {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Option<Arc<ManualClock>>,
}

impl Fixture {
    /// Lets time pass for the store.
    async fn pass(&self, ms: u64) {
        match &self.clock {
            Some(clock) => clock.advance(ms),
            None => {
                let until = self.store.pulse(&scope()).await.unwrap().now_ms + ms;
                while self.store.pulse(&scope()).await.unwrap().now_ms < until {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }
    }

    pub(crate) async fn acquire(&self, who: &str) -> Result<Lease, Error> {
        self.acquire_for(who, 60_000).await
    }

    pub(crate) async fn acquire_for(&self, who: &str, term_ms: u64) -> Result<Lease, Error> {
        let request =
            LeaseRequest::Acquire { holder: holder(who), purpose: "a test".into(), seat: None, term_ms };
        self.store.lease(&scope(), request).await.map(Option::unwrap)
    }

    async fn put(&self, fence: u64, record: ResourceRecord, expected: u64) -> Result<ResourceRecord, Error> {
        self.store.put(&scope(), fence, record, expected).await
    }

    async fn serial(&self) -> u64 {
        let serial = self.store.snapshot(&scope()).await.unwrap().serial;
        assert_eq!(self.store.pulse(&scope()).await.unwrap().serial, serial);
        serial
    }
}

fn holder(text: &str) -> HolderId {
    HolderId::new(text).unwrap()
}

fn record(resource: &str) -> ResourceRecord {
    ResourceRecord::new(name(resource), "sim")
}

fn happening(what: EventKind, why: &str) -> Happening {
    Happening::new(holder("me"), what, Some(name("a")), why)
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(1_000_000))
}

/// A State Manager on a free port, and a store that asks it.
fn served(behind: Arc<dyn Store>) -> (StateServer, Arc<dyn Store>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = StateServer::start(listener, Secret::new(TOKEN), behind).unwrap();
    let store = RemoteStore::new(server.url(), Secret::new(TOKEN));
    (server, Arc::new(store))
}

macro_rules! suite {
    ($($test:ident)*) => {
        mod memory {
            $(#[tokio::test] async fn $test() {
                let clock = super::clock();
                let store = super::MemoryStore::with_clock(clock.clone());
                super::$test(&super::Fixture { store: std::sync::Arc::new(store), clock: Some(clock) }).await;
            })*
        }
        mod sqlite {
            $(#[tokio::test] async fn $test() {
                let folder = tempfile::tempdir().unwrap();
                let clock = super::clock();
                let path = folder.path().join("state.sqlite");
                let store = super::SqliteStore::open_with_clock(&path, clock.clone()).unwrap();
                super::$test(&super::Fixture { store: std::sync::Arc::new(store), clock: Some(clock) }).await;
            })*
        }
        mod sqlite_inline {
            $(#[tokio::test] async fn $test() {
                let clock = super::clock();
                let store = super::SqliteStore::inline_in_memory(clock.clone()).unwrap();
                super::$test(&super::Fixture { store: std::sync::Arc::new(store), clock: Some(clock) }).await;
            })*
        }
        mod remote {
            $(#[tokio::test] async fn $test() {
                let clock = super::clock();
                let behind = std::sync::Arc::new(super::MemoryStore::with_clock(clock.clone()));
                let (_server, store) = super::served(behind);
                super::$test(&super::Fixture { store, clock: Some(clock) }).await;
            })*
        }
        #[cfg(feature = "postgres")]
        mod postgres {
            $(#[tokio::test] async fn $test() {
                super::$test(&crate::postgres::running().await.fixture).await;
            })*
        }
    };
}

suite! {
    writes_are_compare_and_swap
    removal_is_compare_and_swap_and_repeatable
    scopes_do_not_see_each_other
    one_of_many_racing_writers_wins
    one_of_many_racing_holders_wins
    generations_count_changes_only_and_stay_readable
    old_generations_go_and_the_applied_one_stays
    lineage_is_the_first_one
    the_serial_grows_with_every_write_and_with_nothing_else
    a_lease_changes_hands_after_its_term_and_the_fence_grows
    a_lease_is_renewed_and_given_back_by_its_holder_only
    only_an_expired_lease_can_be_dropped
    nothing_is_written_under_a_lease_that_has_ended
    a_clock_that_goes_back_delays_nobody_for_longer_than_a_term
    the_next_holder_of_a_seat_does_not_wait
    events_are_kept_in_order_and_the_oldest_go_first
    scopes_are_those_that_hold_anything
    a_scope_without_records_is_forgotten_but_not_its_last_fence
}

async fn writes_are_compare_and_swap(with: &Fixture) {
    let fence = with.acquire("a").await.unwrap().fence;
    let first = with.put(fence, record("a"), 0).await.unwrap();
    assert_eq!(first.version, 1);
    let second = with.put(fence, ResourceRecord { attempts: 3, ..first.clone() }, 1).await.unwrap();
    assert_eq!(second.version, 2);
    let stale = with.put(fence, first, 1).await;
    assert!(matches!(stale, Err(Error::Conflict { expected: 1, actual: 2, .. })), "{stale:?}");
    let snapshot = with.store.snapshot(&scope()).await.unwrap();
    assert_eq!(snapshot.serial, 2, "a refused write moves nothing");
    assert_eq!(snapshot.records[&name("a")], second);
}

async fn removal_is_compare_and_swap_and_repeatable(with: &Fixture) {
    let fence = with.acquire("a").await.unwrap().fence;
    let written = with.put(fence, record("a"), 0).await.unwrap();
    let stale = with.store.remove(&scope(), fence, &name("a"), written.version + 1).await;
    assert!(matches!(stale, Err(Error::Conflict { .. })), "{stale:?}");
    with.store.remove(&scope(), fence, &name("a"), written.version).await.unwrap();
    with.store.remove(&scope(), fence, &name("a"), written.version).await.unwrap();
    assert!(with.store.snapshot(&scope()).await.unwrap().records.is_empty());
}

async fn scopes_do_not_see_each_other(with: &Fixture) {
    let other = Scope { environment: EnvironmentName::new("prod").unwrap(), ..scope() };
    let fence = with.acquire("a").await.unwrap().fence;
    with.put(fence, record("a"), 0).await.unwrap();
    with.store.put_manifest(&scope(), fence, &Arc::new(manifest(&[("a", 1)])), None).await.unwrap();
    with.store.append(&scope(), vec![happening(EventKind::StepDone, "")]).await.unwrap();
    assert_eq!(with.store.snapshot(&other).await.unwrap(), StateSnapshot::default());
    assert_eq!(with.store.manifest(&other).await.unwrap(), None);
    assert_eq!(with.store.generations(&other).await.unwrap(), []);
    assert_eq!(with.store.events(&other, 0, 10).await.unwrap(), []);
    assert_eq!(with.store.pulse(&other).await.unwrap().lease, None);
    let refused = with.store.put(&other, fence, record("a"), 0).await;
    assert!(matches!(refused, Err(Error::Fenced { held_by: None, .. })), "{refused:?}");
}

async fn one_of_many_racing_writers_wins(with: &Fixture) {
    let fence = with.acquire("a").await.unwrap().fence;
    let mut racers = tokio::task::JoinSet::new();
    for attempts in 0..20 {
        let store = Arc::clone(&with.store);
        racers.spawn(async move {
            store.put(&scope(), fence, ResourceRecord { attempts, ..record("a") }, 0).await.is_ok()
        });
    }
    let winners = racers.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!(winners, 1);
}

async fn one_of_many_racing_holders_wins(with: &Fixture) {
    let mut racers = tokio::task::JoinSet::new();
    for index in 0..20 {
        let store = Arc::clone(&with.store);
        racers.spawn(async move {
            let request = LeaseRequest::Acquire {
                holder: holder(&format!("h{index}")),
                purpose: "a race".into(),
                seat: None,
                term_ms: 60_000,
            };
            store.lease(&scope(), request).await
        });
    }
    let (won, lost): (Vec<_>, Vec<_>) = racers.join_all().await.into_iter().partition(Result::is_ok);
    let winner = won.into_iter().next().unwrap().unwrap().unwrap();
    assert_eq!((winner.fence, lost.len()), (1, 19));
    for refusal in lost {
        let Err(Error::Lease(LeaseRefusal::Held { lease, .. })) = refusal else { panic!("{refusal:?}") };
        assert_eq!(lease.holder, winner.holder, "the losers are told who won");
    }
}

async fn generations_count_changes_only_and_stay_readable(with: &Fixture) {
    let fence = with.acquire("me").await.unwrap().fence;
    let mut numbers = Vec::new();
    for workers in [1, 1, 2, 1] {
        let stored = with
            .store
            .put_manifest(&scope(), fence, &Arc::new(manifest(&[("a", workers)])), None)
            .await
            .unwrap();
        numbers.push(stored.generation);
    }
    assert_eq!(numbers, [1, 1, 2, 3]);
    let stored = with.store.manifest(&scope()).await.unwrap().unwrap();
    assert_eq!((stored.generation, stored.manifest), (3, Arc::new(manifest(&[("a", 1)]))));
    let second = with.store.generation(&scope(), 2).await.unwrap().unwrap();
    assert_eq!((second.generation, second.manifest), (2, Arc::new(manifest(&[("a", 2)]))));
    assert_eq!(with.store.generation(&scope(), 9).await.unwrap(), None);
    let history = with.store.generations(&scope()).await.unwrap();
    assert_eq!(history.iter().map(|generation| generation.number).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!(history[0].manifest_hash, history[2].manifest_hash, "the same manifest again");
    assert_ne!(history[0].manifest_hash, history[1].manifest_hash);
    assert!(history.iter().all(|one| one.author == Some(holder("me")) && one.applied_at_ms > 0));
    // What was held up on its way and follows another generation than the last brings nothing back.
    let put = async |workers, expected| {
        with.store.put_manifest(&scope(), fence, &Arc::new(manifest(&[("a", workers)])), Some(expected)).await
    };
    let late = put(2, 1).await;
    assert!(matches!(late, Err(Error::Overtaken { expected: 1, actual: 3 })), "{late:?}");
    assert_eq!(put(2, 3).await.unwrap().generation, 4);
    assert_eq!(put(2, 3).await.unwrap().generation, 4, "repeated it is what it was");
}

async fn old_generations_go_and_the_applied_one_stays(with: &Fixture) {
    let fence = with.acquire("me").await.unwrap().fence;
    let last = u32::try_from(GENERATIONS_MAX).unwrap() + 3;
    for workers in 1..=last {
        with.store.put_manifest(&scope(), fence, &Arc::new(manifest(&[("a", workers)])), None).await.unwrap();
    }
    let history = with.store.generations(&scope()).await.unwrap();
    assert_eq!((history.len() as u64, history[0].number), (GENERATIONS_MAX, u64::from(last)));
    assert_eq!(with.store.generation(&scope(), 3).await.unwrap(), None);
    assert!(with.store.generation(&scope(), 4).await.unwrap().is_some());
    assert_eq!(
        with.store.manifest(&scope()).await.unwrap().unwrap().manifest,
        Arc::new(manifest(&[("a", last)]))
    );
}

async fn lineage_is_the_first_one(with: &Fixture) {
    let id = |text| MothershipId::new(text).unwrap();
    assert_eq!(with.store.snapshot(&scope()).await.unwrap().lineage, None);
    assert_eq!(with.store.lineage(&scope(), id("ms-1")).await.unwrap(), id("ms-1"));
    assert_eq!(with.store.lineage(&scope(), id("ms-2")).await.unwrap(), id("ms-1"));
    assert_eq!(with.store.snapshot(&scope()).await.unwrap().lineage, Some(id("ms-1")));
    assert_eq!(with.store.pulse(&scope()).await.unwrap().lineage, Some(id("ms-1")));
}

async fn the_serial_grows_with_every_write_and_with_nothing_else(with: &Fixture) {
    assert_eq!(with.serial().await, 0);
    let lease = with.acquire("a").await.unwrap();
    with.store.append(&scope(), vec![happening(EventKind::LeaseAcquired, "")]).await.unwrap();
    let renewal = LeaseRequest::Renew { holder: lease.holder, fence: lease.fence };
    with.store.lease(&scope(), renewal).await.unwrap();
    assert_eq!(with.serial().await, 0, "leases and events are not what the serial counts");
    let written = with.put(lease.fence, record("a"), 0).await.unwrap();
    assert_eq!(with.serial().await, 1);
    with.store.put_manifest(&scope(), lease.fence, &Arc::new(manifest(&[("a", 1)])), None).await.unwrap();
    assert_eq!(with.serial().await, 2);
    with.store.put_manifest(&scope(), lease.fence, &Arc::new(manifest(&[("a", 1)])), None).await.unwrap();
    assert_eq!(with.serial().await, 2, "nothing was written");
    with.store.remove(&scope(), lease.fence, &name("a"), written.version).await.unwrap();
    assert_eq!(with.serial().await, 3);
}

async fn a_lease_changes_hands_after_its_term_and_the_fence_grows(with: &Fixture) {
    let first = with.acquire_for("a", 200).await.unwrap();
    assert_eq!((first.fence, first.expires_at_ms - first.acquired_at_ms), (1, 200));
    let Err(Error::Lease(LeaseRefusal::Held { lease, remaining_ms })) = with.acquire("b").await else {
        panic!("two holders")
    };
    assert_eq!(*lease, first);
    assert!(remaining_ms <= 200);
    let pulse = with.store.pulse(&scope()).await.unwrap();
    assert_eq!((pulse.is_vacant(), pulse.lease), (false, Some(first.clone())));
    with.pass(200).await;
    assert!(with.store.pulse(&scope()).await.unwrap().is_vacant());
    let second = with.acquire("b").await.unwrap();
    assert_eq!(second.fence, 2);
    let refused = with.acquire("a").await;
    assert!(matches!(refused, Err(Error::Lease(LeaseRefusal::Held { .. }))), "{refused:?}");
}

async fn a_lease_is_renewed_and_given_back_by_its_holder_only(with: &Fixture) {
    let lease = with.acquire_for("a", 200).await.unwrap();
    let renew = |who: &str, fence| LeaseRequest::Renew { holder: holder(who), fence };
    let release = |who: &str, fence| LeaseRequest::Release { holder: holder(who), fence };
    let ask = async |request| with.store.lease(&scope(), request).await;
    let renewed = ask(renew("a", lease.fence)).await.unwrap().unwrap();
    assert!(renewed.expires_at_ms >= lease.expires_at_ms);
    for request in [renew("b", 1), renew("a", 2), release("b", 1), release("a", 2)] {
        assert!(ask(request.clone()).await.is_err(), "{request:?}");
    }
    with.pass(200).await;
    let late = ask(renew("a", lease.fence)).await;
    assert!(matches!(late, Err(Error::Lease(LeaseRefusal::Lost { fence: 1 }))), "{late:?}");
    let again = with.acquire("a").await.unwrap();
    assert_eq!(again.fence, 2, "after expiry even the same holder gets a new fence");
    assert_eq!(ask(release("a", again.fence)).await.unwrap(), None);
    assert_eq!(with.acquire("b").await.unwrap().fence, 3, "nothing to wait for, and the count goes on");
}

async fn only_an_expired_lease_can_be_dropped(with: &Fixture) {
    with.acquire_for("a", 200).await.unwrap();
    let refused = with.store.lease(&scope(), LeaseRequest::DropExpired).await;
    assert!(matches!(refused, Err(Error::Lease(LeaseRefusal::Held { .. }))), "{refused:?}");
    with.pass(200).await;
    assert_eq!(with.store.lease(&scope(), LeaseRequest::DropExpired).await.unwrap(), None);
    assert_eq!(with.store.pulse(&scope()).await.unwrap().lease, None);
}

async fn nothing_is_written_under_a_lease_that_has_ended(with: &Fixture) {
    let refused = with.put(0, record("a"), 0).await;
    assert!(matches!(refused, Err(Error::Fenced { fence: 0, held_by: None })), "{refused:?}");
    let old = with.acquire_for("a", 200).await.unwrap().fence;
    let written = with.put(old, record("a"), 0).await.unwrap();
    with.pass(200).await;
    let expired = with.put(old, written.clone(), 1).await;
    assert!(matches!(expired, Err(Error::Fenced { fence: 1, held_by: None })), "{expired:?}");
    with.acquire("b").await.unwrap();
    let before = with.store.snapshot(&scope()).await.unwrap();
    let put = with.put(old, written, 1).await.map(drop);
    let removed = with.store.remove(&scope(), old, &name("a"), 1).await;
    let applied =
        with.store.put_manifest(&scope(), old, &Arc::new(manifest(&[("a", 1)])), None).await.map(drop);
    for refused in [put, removed, applied] {
        let Err(error @ Error::Fenced { fence: 1, .. }) = refused else { panic!("{refused:?}") };
        assert!(error.is_fenced() && error.to_string().contains("b holds fence 2"), "{error}");
        assert_eq!(error.retry(), Retry::Never);
    }
    assert_eq!(with.store.snapshot(&scope()).await.unwrap(), before);
    assert_eq!(with.store.manifest(&scope()).await.unwrap(), None);
}

async fn a_clock_that_goes_back_delays_nobody_for_longer_than_a_term(with: &Fixture) {
    // A database's clock is not ours to set.
    let Some(clock) = &with.clock else { return };
    with.acquire_for("a", 200).await.unwrap();
    clock.set(10);
    let Err(Error::Lease(LeaseRefusal::Held { remaining_ms: 200, .. })) = with.acquire("b").await else {
        panic!("not a term from now")
    };
    clock.advance(200);
    assert_eq!(with.acquire("b").await.unwrap().fence, 2);
}

async fn the_next_holder_of_a_seat_does_not_wait(with: &Fixture) {
    let acquire = |who: &str, seat: &str| LeaseRequest::Acquire {
        holder: holder(who),
        purpose: "a test".into(),
        seat: Some(seat.into()),
        term_ms: 60_000,
    };
    let first = with.store.lease(&scope(), acquire("a", "lock")).await.unwrap().unwrap();
    assert!(with.store.lease(&scope(), acquire("b", "another lock")).await.is_err());
    let second = with.store.lease(&scope(), acquire("b", "lock")).await.unwrap().unwrap();
    assert_eq!(second.fence, first.fence + 1);
    assert!(with.put(first.fence, record("a"), 0).await.is_err());
    with.put(second.fence, record("a"), 0).await.unwrap();
}

async fn events_are_kept_in_order_and_the_oldest_go_first(with: &Fixture) {
    let batch = |from: u64, to: u64| {
        (from..=to).map(|index| happening(EventKind::StepDone, &index.to_string())).collect::<Vec<_>>()
    };
    with.store.append(&scope(), batch(1, 3)).await.unwrap();
    with.store.append(&scope(), vec![]).await.unwrap();
    let events = with.store.events(&scope(), 1, 10).await.unwrap();
    assert_eq!(events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(events[0].happening, happening(EventKind::StepDone, "2"));
    assert!(events[0].at_ms > 0);
    assert_eq!(with.store.events(&scope(), 0, 1).await.unwrap().len(), 1);
    with.store.append(&scope(), batch(4, EVENTS_MAX + 2)).await.unwrap();
    let oldest = with.store.events(&scope(), 0, 1).await.unwrap();
    assert_eq!((oldest[0].sequence, oldest[0].happening.why.as_str()), (3, "3"));
    let newest = with.store.events(&scope(), EVENTS_MAX + 1, 10).await.unwrap();
    assert_eq!(newest.iter().map(|event| event.sequence).collect::<Vec<_>>(), [EVENTS_MAX + 2]);
}

async fn scopes_are_those_that_hold_anything(with: &Fixture) {
    let scope_of = |text: &str| {
        let (app, environment) = text.split_once('/').unwrap();
        Scope { app: AppName::new(app).unwrap(), environment: EnvironmentName::new(environment).unwrap() }
    };
    let known = async || {
        let scopes = with.store.scopes().await.unwrap();
        scopes.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    for text in ["read/only", "refused/write", "refused/lease", "empty/batch"] {
        let scope = scope_of(text);
        with.store.snapshot(&scope).await.unwrap();
        with.store.put(&scope, 0, record("a"), 0).await.unwrap_err();
        let renew = LeaseRequest::Renew { holder: holder("a"), fence: 1 };
        with.store.lease(&scope, renew).await.unwrap_err();
        with.store.append(&scope, vec![]).await.unwrap();
    }
    assert_eq!(known().await, [""; 0], "nothing was written");
    with.store.append(&scope_of("b/logged"), vec![happening(EventKind::StepDone, "")]).await.unwrap();
    with.store.lineage(&scope_of("b/born"), MothershipId::new("ms-1").unwrap()).await.unwrap();
    let fence = with.acquire("a").await.unwrap().fence;
    with.store.lease(&scope(), LeaseRequest::Release { holder: holder("a"), fence }).await.unwrap();
    with.store.lineage(&scope_of("B/upper"), MothershipId::new("ms-1").unwrap()).await.unwrap();
    assert_eq!(known().await, ["B/upper", "b/born", "b/logged", "shop/dev"]);
}

async fn a_scope_without_records_is_forgotten_but_not_its_last_fence(with: &Fixture) {
    let store = &with.store;
    let fence = with.acquire("a").await.unwrap().fence;
    let written = with.put(fence, record("a"), 0).await.unwrap();
    store.lineage(&scope(), MothershipId::new("ms-1").unwrap()).await.unwrap();
    store.put_manifest(&scope(), fence, &Arc::new(manifest(&[("a", 1)])), None).await.unwrap();
    store.append(&scope(), vec![happening(EventKind::StepDone, "")]).await.unwrap();
    let refused = store.remove_scope(&scope(), fence).await;
    assert!(matches!(refused, Err(Error::NotEmpty { records: 1, .. })), "{refused:?}");
    store.remove(&scope(), fence, &name("a"), written.version).await.unwrap();
    let refused = store.remove_scope(&scope(), fence + 1).await;
    assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
    assert!(store.manifest(&scope()).await.unwrap().is_some(), "nothing of it is gone");

    store.remove_scope(&scope(), fence).await.unwrap();
    assert_eq!(store.scopes().await.unwrap(), []);
    assert_eq!(store.snapshot(&scope()).await.unwrap(), StateSnapshot::default());
    assert_eq!(store.generations(&scope()).await.unwrap(), []);
    assert_eq!(store.events(&scope(), 0, 10).await.unwrap(), []);
    assert_eq!(store.pulse(&scope()).await.unwrap().lease, None);

    let again = with.acquire("b").await.unwrap();
    assert_eq!(again.fence, fence + 1, "whoever held the scope's lease in its first life stays refused");
    assert!(matches!(with.put(fence, record("a"), 0).await, Err(Error::Fenced { .. })));
    let born = MothershipId::new("ms-2").unwrap();
    assert_eq!(store.lineage(&scope(), born.clone()).await.unwrap(), born);
}

#[tokio::test]
async fn sqlite_survives_being_reopened_and_refuses_a_newer_schema() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.sqlite");
    let with = Fixture { store: Arc::new(SqliteStore::open(&path).unwrap()), clock: None };
    let lease = with.acquire("a").await.unwrap();
    let written = with.put(lease.fence, record("a"), 0).await.unwrap();
    for file in ["state.sqlite", "state.sqlite-wal"] {
        let mode = std::fs::metadata(folder.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file} is its owner's only");
    }
    drop(with);
    let again = SqliteStore::open(&path).unwrap();
    assert_eq!(again.snapshot(&scope()).await.unwrap().records[&name("a")], written);
    assert_eq!(again.pulse(&scope()).await.unwrap().lease, Some(lease));
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(SqliteStore::open(&path), Err(Error::Schema { found: 99, known: 4 })));
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect()
}

#[test]
fn looking_writes_nothing_to_what_is_no_state() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("empty"), "").unwrap();
    std::fs::write(at("notes"), "not a database, but long enough to be one ".repeat(20)).unwrap();
    for (name, sql) in [
        ("nothing", "PRAGMA user_version = 0; VACUUM"),
        ("other", "CREATE TABLE t (x)"),
        ("log", "PRAGMA journal_mode = WAL; CREATE TABLE t (x)"),
        ("versioned", "CREATE TABLE t (x); PRAGMA user_version = 99"),
        ("tableless", "PRAGMA user_version = 2"),
        ("half", "CREATE TABLE scopes (x); PRAGMA user_version = 1"),
    ] {
        rusqlite::Connection::open(at(name)).unwrap().execute_batch(sql).unwrap();
    }
    let before = files(folder.path());
    for name in ["missing", "empty", "nothing"] {
        assert!(SqliteStore::open_if_any(&at(name)).unwrap().is_none(), "{name}");
    }
    let no_state = ["other", "log", "versioned", "tableless", "half"];
    for name in no_state {
        for opened in [SqliteStore::open_if_any(&at(name)), SqliteStore::open(&at(name)).map(Some)] {
            assert!(matches!(opened, Err(Error::Foreign)), "{name}: {opened:?}");
        }
    }
    for opened in [SqliteStore::open_if_any(&at("notes")), SqliteStore::open(&at("notes")).map(Some)] {
        assert!(matches!(opened, Err(Error::Sqlite(_))), "{opened:?}");
    }
    let backup = tempfile::tempdir().unwrap();
    let copy = backup.path().join("state.sqlite");
    drop(SqliteStore::open(&copy).unwrap());
    for name in no_state {
        let refused = SqliteStore::restore(&copy, &at(name), &holder("me"));
        assert!(matches!(refused, Err(Error::Foreign)), "{name}: {refused:?}");
    }
    assert_eq!(files(folder.path()), before);

    for name in ["missing", "empty", "nothing"] {
        drop(SqliteStore::open(&at(name)).unwrap());
        assert!(SqliteStore::open_if_any(&at(name)).unwrap().is_some(), "{name} is a state now");
    }
}

#[tokio::test]
async fn a_state_file_of_the_first_release_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.sqlite");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch(
        "CREATE TABLE scopes (
             app TEXT NOT NULL, environment TEXT NOT NULL, version INTEGER NOT NULL DEFAULT 0,
             lineage TEXT, generation INTEGER NOT NULL DEFAULT 0, manifest TEXT,
             PRIMARY KEY (app, environment)) STRICT;
         CREATE TABLE records (
             app TEXT NOT NULL, environment TEXT NOT NULL, resource TEXT NOT NULL,
             version INTEGER NOT NULL, body TEXT NOT NULL,
             PRIMARY KEY (app, environment, resource)) STRICT;
         PRAGMA user_version = 1;",
    )
    .unwrap();
    let applied = manifest(&[("a", 1)]);
    let kept = ResourceRecord { version: 4, attempts: 2, ..record("a") };
    old.execute(
        "INSERT INTO scopes VALUES ('shop', 'dev', 17, 'ms-1', 5, ?1)",
        [serde_json::to_string(&applied).unwrap()],
    )
    .unwrap();
    old.execute("INSERT INTO scopes (app, environment) VALUES ('shop', 'empty')", []).unwrap();
    old.execute(
        "INSERT INTO records VALUES ('shop', 'dev', 'a', 4, ?1)",
        [serde_json::to_string(&kept).unwrap()],
    )
    .unwrap();
    drop(old);

    let with = Fixture { store: Arc::new(SqliteStore::open(&path).unwrap()), clock: None };
    let snapshot = with.store.snapshot(&scope()).await.unwrap();
    assert_eq!((snapshot.serial, snapshot.lineage), (17, Some(MothershipId::new("ms-1").unwrap())));
    assert_eq!(snapshot.records[&name("a")], kept);
    let stored = with.store.manifest(&scope()).await.unwrap().unwrap();
    assert_eq!((stored.generation, &stored.manifest), (5, &Arc::new(applied.clone())));
    let history = with.store.generations(&scope()).await.unwrap();
    assert_eq!((history.len(), history[0].applied_at_ms, &history[0].author), (1, 0, &None));
    let fence = with.acquire("a").await.unwrap().fence;
    assert_eq!(with.store.put_manifest(&scope(), fence, &stored.manifest, None).await.unwrap().generation, 5);
    assert_eq!(with.put(fence, kept, 4).await.unwrap().version, 18, "the new serial");
}

#[tokio::test]
async fn a_backup_is_the_state_of_one_moment_and_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("state.sqlite")).unwrap();
    let with = Fixture { store: Arc::new(store.clone()), clock: None };
    let fence = with.acquire("a").await.unwrap().fence;
    let writing = async {
        for index in 0..200 {
            with.put(fence, record(&format!("r{index}")), 0).await.unwrap();
        }
    };
    let copies = async {
        for index in 0..5 {
            store.backup(&folder.path().join(format!("copy-{index}"))).await.unwrap();
        }
    };
    tokio::join!(writing, copies);
    for index in 0..5 {
        let copy = SqliteStore::open(&folder.path().join(format!("copy-{index}"))).unwrap();
        let snapshot = copy.snapshot(&scope()).await.unwrap();
        assert_eq!(snapshot.serial, snapshot.records.len() as u64, "records and serial of one moment");
    }
    let existing = store.backup(&folder.path().join("copy-0")).await;
    assert!(matches!(existing, Err(Error::Copy(_))), "{existing:?}");
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("partial")), "{names:?}");
}

/// Many at once, some of them refused: what was answered is what is there after opening the file again, and what was
/// asked for by somebody who is gone does not tear it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_what_it_answered_however_many_write_at_once() {
    const WRITES: usize = 3_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.sqlite");
    let with = Fixture { store: Arc::new(SqliteStore::open(&path).unwrap()), clock: None };
    let fence = with.acquire("a").await.unwrap().fence;
    let mut writes = tokio::task::JoinSet::new();
    for index in 0..WRITES {
        let store = Arc::clone(&with.store);
        writes.spawn(async move {
            // Every tenth is somebody's second word on the same record, every eleventh comes from a stale leader.
            let resource = format!("r{}", if index % 10 == 0 { 1 } else { index });
            let fence = if index % 11 == 0 { fence + 1 } else { fence };
            let written = store.put(&scope(), fence, record(&resource), 0).await;
            (index, resource, written)
        });
    }
    let mut answered = std::collections::BTreeSet::new();
    while let Some(done) = writes.join_next().await {
        let (index, resource, written) = done.unwrap();
        match written {
            Ok(record) => {
                assert_eq!(record.resource.as_str(), resource);
                assert!(answered.insert(resource), "{index}: two first writes of one record");
            }
            Err(Error::Fenced { .. }) => assert_eq!(index % 11, 0),
            Err(Error::Conflict { .. }) => assert!(index % 10 == 0 || index == 1, "{index}"),
            Err(error) => panic!("{index}: {error:?}"),
        }
    }
    // Asked for, and gone before the answer: there or not, but never half.
    for index in 0..50 {
        let name = format!("gone{index}");
        let _ = tokio::time::timeout(Duration::ZERO, with.put(fence, record(&name), 0)).await;
    }
    drop(with);
    let again = SqliteStore::open(&path).unwrap();
    let snapshot = again.snapshot(&scope()).await.unwrap();
    let kept: std::collections::BTreeSet<String> =
        snapshot.records.keys().map(ToString::to_string).filter(|name| !name.starts_with("gone")).collect();
    assert_eq!(kept, answered);
}

#[test]
fn a_manifests_hash_is_that_of_its_canonical_json() {
    let mut one = manifest(&[("a", 1), ("b", 2)]);
    one.generation = Some(3);
    one.routes.insert(name("b"), [("GET /x".to_owned(), FunctionName::new("b").unwrap())].into());
    for manifest in [Manifest::empty("shop"), manifest(&[("a", 1)]), one] {
        assert_eq!(manifest.digest().unwrap(), sha256_hex(canonical_json(&manifest).unwrap().as_bytes()));
    }
}

#[tokio::test]
async fn a_restored_state_keeps_its_lineage_and_refuses_whoever_led_before() {
    let folder = tempfile::tempdir().unwrap();
    let (path, backup) = (folder.path().join("state.sqlite"), folder.path().join("backup"));
    let me = holder("me");
    let store = SqliteStore::open(&path).unwrap();
    let with = Fixture { store: Arc::new(store.clone()), clock: None };
    let born = MothershipId::new("ms-1").unwrap();
    with.store.lineage(&scope(), born.clone()).await.unwrap();
    let old = with.acquire("a").await.unwrap().fence;
    let kept = with.put(old, record("kept"), 0).await.unwrap();
    store.backup(&backup).await.unwrap();
    with.put(old, record("later"), 0).await.unwrap();

    let refused = SqliteStore::restore(&backup, &path, &me);
    assert!(matches!(&refused, Err(Error::InUse { lease, .. }) if lease.fence == old), "{refused:?}");
    with.store.lease(&scope(), LeaseRequest::Release { holder: holder("a"), fence: old }).await.unwrap();
    let later = with.acquire("b").await.unwrap().fence;
    with.store.lease(&scope(), LeaseRequest::Release { holder: holder("b"), fence: later }).await.unwrap();

    let restored = SqliteStore::restore(&backup, &path, &me).unwrap();
    assert_eq!(restored.scopes, [scope()]);
    // The same open file, read through a handle that was there before.
    let snapshot = with.store.snapshot(&scope()).await.unwrap();
    assert_eq!(snapshot.lineage, Some(born));
    assert_eq!(snapshot.records, [(name("kept"), kept.clone())].into());
    for fence in [old, later] {
        let refused = with.put(fence, kept.clone(), 1).await;
        assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
    }
    let new = with.acquire("a").await.unwrap().fence;
    assert!(new > later && new > 1_000_000_000_000, "{new}");
    let events = with.store.events(&scope(), 0, 10).await.unwrap();
    assert_eq!(events.last().unwrap().happening.what, EventKind::StateRestored);
    let before = SqliteStore::open(&restored.replaced.unwrap()).unwrap();
    assert_eq!(before.snapshot(&scope()).await.unwrap().records.len(), 2, "what was there is kept");

    // A second time, from the first backup again, and to where nothing was.
    with.store.lease(&scope(), LeaseRequest::Release { holder: holder("a"), fence: new }).await.unwrap();
    SqliteStore::restore(&backup, &path, &me).unwrap();
    assert!(with.acquire("c").await.unwrap().fence > new);
    let elsewhere = folder.path().join("elsewhere");
    assert_eq!(SqliteStore::restore(&backup, &elsewhere, &me).unwrap().replaced, None);
    let elsewhere = SqliteStore::open(&elsewhere).unwrap();
    assert_eq!(elsewhere.snapshot(&scope()).await.unwrap().records[&name("kept")], kept);
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_string_lossy().contains("restoring")), "{names:?}");
}

#[tokio::test]
async fn what_is_no_backup_is_not_restored() {
    let folder = tempfile::tempdir().unwrap();
    let (path, backup) = (folder.path().join("state.sqlite"), folder.path().join("backup"));
    let store = SqliteStore::open(&path).unwrap();
    let with = Fixture { store: Arc::new(store.clone()), clock: None };
    let fence = with.acquire("a").await.unwrap().fence;
    for index in 0..100 {
        with.put(fence, record(&format!("r{index}")), 0).await.unwrap();
    }
    store.backup(&backup).await.unwrap();
    with.store.lease(&scope(), LeaseRequest::Release { holder: holder("a"), fence }).await.unwrap();
    let before = with.store.snapshot(&scope()).await.unwrap();
    let whole = std::fs::read(&backup).unwrap();
    let mut damaged = whole.clone();
    damaged[5_000..9_000].fill(0xff);
    let other = folder.path().join("other");
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    for (what, bytes) in [
        ("text", b"not a database".repeat(100)),
        ("half", whole[..whole.len() / 2].to_vec()),
        ("damaged", damaged),
        ("another program's", std::fs::read(&other).unwrap()),
        ("empty", vec![]),
    ] {
        std::fs::write(&backup, bytes).unwrap();
        let refused = SqliteStore::restore(&backup, &path, &holder("me"));
        assert!(matches!(refused, Err(Error::Unrestorable { .. })), "{what}: {refused:?}");
    }
    let refused = SqliteStore::restore(&folder.path().join("missing"), &path, &holder("me"));
    assert!(matches!(refused, Err(Error::Unrestorable { .. })), "{refused:?}");
    std::fs::write(&backup, &whole).unwrap();
    rusqlite::Connection::open(&backup).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let refused = SqliteStore::restore(&backup, &path, &holder("me"));
    assert!(matches!(refused, Err(Error::Schema { found: 99, .. })), "{refused:?}");
    assert_eq!(with.store.snapshot(&scope()).await.unwrap(), before);
}
