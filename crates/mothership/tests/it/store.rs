//! One suite, run against every store.

use std::sync::Arc;

use flash_model::*;
use flash_mothership::store::{Error, MemoryStore, SqliteStore, Store};

use flash_testkit::{manifest, name, scope};

fn record(resource: &str) -> ResourceRecord {
    ResourceRecord::new(name(resource), "sim")
}

macro_rules! suite {
    ($($test:ident)*) => {
        mod memory {
            $(#[tokio::test] async fn $test() { super::$test(std::sync::Arc::new(super::MemoryStore::default())).await; })*
        }
        mod sqlite {
            $(#[tokio::test] async fn $test() {
                let folder = tempfile::tempdir().unwrap();
                let store = super::SqliteStore::open(&folder.path().join("state.sqlite")).unwrap();
                super::$test(std::sync::Arc::new(store)).await;
            })*
        }
    };
}

suite! {
    writes_are_compare_and_swap
    removal_is_compare_and_swap_and_repeatable
    scopes_do_not_see_each_other
    one_of_many_racing_writers_wins
    generations_count_changes_only
    lineage_is_the_first_one
}

async fn writes_are_compare_and_swap(store: Arc<dyn Store>) {
    let first = store.put(&scope(), record("a"), 0).await.unwrap();
    assert_eq!(first.version, 1);
    let second = store.put(&scope(), ResourceRecord { attempts: 3, ..first.clone() }, 1).await.unwrap();
    assert_eq!(second.version, 2);
    let stale = store.put(&scope(), first, 1).await;
    assert!(matches!(stale, Err(Error::Conflict { expected: 1, actual: 2, .. })), "{stale:?}");
    let snapshot = store.snapshot(&scope()).await.unwrap();
    assert_eq!(snapshot.version, 2, "a refused write moves nothing");
    assert_eq!(snapshot.records[&name("a")], second);
}

async fn removal_is_compare_and_swap_and_repeatable(store: Arc<dyn Store>) {
    let written = store.put(&scope(), record("a"), 0).await.unwrap();
    let stale = store.remove(&scope(), &name("a"), written.version + 1).await;
    assert!(matches!(stale, Err(Error::Conflict { .. })), "{stale:?}");
    store.remove(&scope(), &name("a"), written.version).await.unwrap();
    store.remove(&scope(), &name("a"), written.version).await.unwrap();
    assert!(store.snapshot(&scope()).await.unwrap().records.is_empty());
}

async fn scopes_do_not_see_each_other(store: Arc<dyn Store>) {
    let other = Scope { environment: EnvironmentName::new("prod").unwrap(), ..scope() };
    store.put(&scope(), record("a"), 0).await.unwrap();
    store.put_manifest(&scope(), &manifest(&[("a", 1)])).await.unwrap();
    assert_eq!(store.snapshot(&other).await.unwrap(), StateSnapshot::default());
    assert_eq!(store.manifest(&other).await.unwrap(), None);
}

async fn one_of_many_racing_writers_wins(store: Arc<dyn Store>) {
    let mut racers = tokio::task::JoinSet::new();
    for attempts in 0..20 {
        let store = Arc::clone(&store);
        racers.spawn(async move {
            store.put(&scope(), ResourceRecord { attempts, ..record("a") }, 0).await.is_ok()
        });
    }
    let winners = racers.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!(winners, 1);
}

async fn generations_count_changes_only(store: Arc<dyn Store>) {
    let mut generations = Vec::new();
    for workers in [1, 1, 2, 1] {
        generations
            .push(store.put_manifest(&scope(), &manifest(&[("a", workers)])).await.unwrap().generation);
    }
    assert_eq!(generations, [1, 1, 2, 3]);
    let stored = store.manifest(&scope()).await.unwrap().unwrap();
    assert_eq!((stored.generation, stored.manifest), (3, manifest(&[("a", 1)])));
}

async fn lineage_is_the_first_one(store: Arc<dyn Store>) {
    let id = |text| MothershipId::new(text).unwrap();
    assert_eq!(store.lineage(&scope(), id("ms-1")).await.unwrap(), id("ms-1"));
    assert_eq!(store.lineage(&scope(), id("ms-2")).await.unwrap(), id("ms-1"));
}

#[tokio::test]
async fn sqlite_survives_being_reopened_and_refuses_a_newer_schema() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.sqlite");
    let written = SqliteStore::open(&path).unwrap().put(&scope(), record("a"), 0).await.unwrap();
    let again = SqliteStore::open(&path).unwrap();
    assert_eq!(again.snapshot(&scope()).await.unwrap().records[&name("a")], written);
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(SqliteStore::open(&path), Err(Error::Schema { found: 99, known: 1 })));
}
