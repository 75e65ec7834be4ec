//! Two motherships of one app+environment. The store's clock stands still unless a test moves it, so a lease that is not
//! renewed ends when the test says so.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use flash_model::lease::LEASE_TERM_MS;
use flash_model::*;
use flash_mothership::store::{ManualClock, MemoryStore, Store};
use flash_mothership::{LeaseSettings, Role};
use flash_providers::SimProvider;
use flash_testkit::{manifest, name, scope};

use crate::gated::{GatedProvider, GatedStore};
use crate::support::{Rig, eventually, status};

struct World {
    clock: Arc<ManualClock>,
    store: Arc<MemoryStore>,
    provider: Arc<SimProvider>,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::at(1_000_000));
        Self { store: Arc::new(MemoryStore::with_clock(clock.clone())), provider: Arc::default(), clock }
    }

    async fn mothership(&self) -> Rig {
        Rig::start(self.store.clone(), self.provider.clone()).await
    }

    /// One that leads and one that follows, both wanting the same.
    async fn pair(&self, want: &[(&str, u32)]) -> (Rig, Rig) {
        let first = self.mothership().await;
        first.want(want);
        first.until_leading().await;
        let second = self.mothership().await;
        second.want(want);
        second.until_following().await;
        (first, second)
    }

    fn creates(&self) -> usize {
        self.provider.writes().iter().filter(|write| write.verb == "create").count()
    }
}

#[tokio::test]
async fn one_leads_and_the_other_serves_what_the_leader_did() {
    let world = World::new();
    let (first, second) = world.pair(&[("a", 1), ("b", 1)]).await;
    let led = first.until_ready().await;
    let followed = second.until_ready().await;
    assert_eq!(followed.manifest(), led.manifest(), "down to generation, ids and URLs");
    assert_eq!(followed.etag(), led.etag());
    first.want(&[("b", 1)]);
    second.until("a gone", |served| served.provisioned("a").is_none()).await;
    assert_eq!(world.creates(), 2);
    let Role::Following { leader: Some(leader) } = second.handle.role().borrow().clone() else {
        panic!("it does not know whom it follows")
    };
    assert_eq!((leader.fence, leader.purpose.as_str()), (1, "a test"));
}

#[tokio::test]
async fn a_leader_that_dies_is_followed_within_its_lease_and_nothing_is_made_twice() {
    let world = World::new();
    let (first, second) = world.pair(&[("a", 1), ("b", 1)]).await;
    let before = first.until_ready().await;
    first.mothership.kill();
    let endpoints = world.provider.endpoints();
    world.clock.advance(LEASE_TERM_MS);
    assert_eq!(second.until_leading().await, 2);
    second.want(&[("a", 1), ("b", 1), ("c", 1)]);
    let after = second.until("c ready", |served| status(served, "c") == Some(ResourceStatus::Ready)).await;
    for kept in ["a", "b"] {
        let id = |served: &flash_mothership::Served| served.provisioned(kept).unwrap().endpoint_id.clone();
        assert_eq!(id(&before), id(&after));
    }
    assert_eq!(world.creates(), 3);
    assert!(endpoints.iter().all(|endpoint| world.provider.endpoints().contains(endpoint)));
}

#[tokio::test]
async fn a_leader_that_is_stopped_leaves_at_once() {
    let world = World::new();
    let (first, second) = world.pair(&[("a", 1)]).await;
    first.until_ready().await;
    first.mothership.stop_with_endpoints().await.unwrap();
    // The clock stands still: the lease was given back.
    assert_eq!(second.until_leading().await, 2);
    eventually("resumed", || world.provider.endpoints()[0].phase == ObservedPhase::Running).await;
    assert_eq!(world.creates(), 1);
}

#[tokio::test]
async fn a_follower_that_is_stopped_leaves_the_endpoints_alone() {
    let world = World::new();
    let (first, second) = world.pair(&[("a", 1)]).await;
    first.until_ready().await;
    second.mothership.stop_with_endpoints().await.unwrap();
    assert_eq!(world.provider.endpoints()[0].phase, ObservedPhase::Running);
    assert_eq!(*first.handle.role().borrow(), Role::Leading { fence: 1 });
}

#[tokio::test]
async fn whoever_has_the_dead_leaders_lock_leads_at_once() {
    let world = World::new();
    let seated = || LeaseSettings::new("flash run").unwrap().seat("mothership.lock");
    let first = Rig::start_as(world.store.clone(), world.provider.clone(), seated()).await;
    first.want(&[("a", 1)]);
    first.until_ready().await;
    first.mothership.kill();
    let second = Rig::start_as(world.store.clone(), world.provider.clone(), seated()).await;
    second.want(&[("a", 1)]);
    assert_eq!(second.until_leading().await, 2, "the clock stands still");
    second.until_ready().await;
    assert_eq!(world.creates(), 1);
}

#[tokio::test]
async fn a_leader_that_was_held_up_writes_nothing_after_it_was_followed_and_follows_itself() {
    let world = World::new();
    let store = GatedStore::new(world.store.clone());
    let provider = GatedProvider::new(world.provider.clone());
    let first = Rig::start(store.clone(), provider.clone()).await;
    first.want(&[("a", 1)]);
    first.until_ready().await;
    let second = world.mothership().await;
    second.want(&[("a", 1), ("b", 1)]);
    second.until_following().await;

    // A create is on its way to the provider, and then everything of the first one stands still.
    provider.writes.close();
    first.want(&[("a", 1), ("b", 1)]);
    eventually("a create on its way", || provider.writes.arrived() == 1).await;
    store.writes.close();
    store.leases.close();
    world.clock.advance(LEASE_TERM_MS);
    assert_eq!(second.until_leading().await, 2);
    second.until("b ready", |served| status(served, "b") == Some(ResourceStatus::Ready)).await;
    second.want(&[("a", 2)]);
    second.until("only a", |served| served.all_provisioned().len() == 1).await;
    second.until_ready().await;
    eventually("b deleted", || world.provider.endpoints().len() == 1).await;
    let kept = world.provider.endpoints();

    // It wakes up, and what it had sent arrives.
    provider.writes.open();
    eventually("the create refused", || world.provider.refused() == 1).await;
    store.leases.open();
    first.until_following().await;
    store.writes.open();
    first.until("what the other applied", |served| served.generation() == Some(3)).await;
    assert_eq!(world.provider.endpoints(), kept);
    assert_eq!(
        world.store.manifest(&scope()).await.unwrap().unwrap().manifest,
        Arc::new(manifest(&[("a", 2)]))
    );
    assert_eq!(world.creates(), 3, "a, b, and the new version of a");

    // And back again.
    second.mothership.kill();
    world.clock.advance(LEASE_TERM_MS);
    assert_eq!(first.until_leading().await, 3);
}

#[tokio::test]
async fn a_write_that_arrives_after_the_lease_is_refused_by_the_store() {
    let world = World::new();
    let store = GatedStore::new(world.store.clone());
    let first = Rig::start(store.clone(), world.provider.clone()).await;
    first.want(&[("a", 1)]);
    first.until_ready().await;
    let second = world.mothership().await;
    second.want(&[("a", 1), ("b", 1)]);
    store.writes.close();
    store.leases.close();
    first.want(&[("a", 1), ("c", 1)]);
    eventually("a write on its way", || store.writes.arrived() == 1).await;
    world.clock.advance(LEASE_TERM_MS);
    second.until_leading().await;
    second.until("b ready", |served| status(served, "b") == Some(ResourceStatus::Ready)).await;
    let before = world.store.snapshot(&scope()).await.unwrap();
    store.writes.open();
    eventually("refused", || store.fenced.load(Ordering::SeqCst) == 1).await;
    // The refusal alone tells it: its lease calls are still held up.
    first.until_following().await;
    store.leases.open();
    first.until("b served", |served| status(served, "b") == Some(ResourceStatus::Ready)).await;
    assert_eq!(world.store.snapshot(&scope()).await.unwrap(), before);
    assert_eq!(world.provider.refused(), 0, "it did not even ask");
    assert!(!before.records.contains_key(&name("c")));
}

#[tokio::test]
async fn a_standby_without_a_wish_takes_up_what_is_stored() {
    let world = World::new();
    let first = world.mothership().await;
    first.want(&[("a", 1)]);
    first.until_ready().await;
    let standby = Rig::start_with(world.store.clone(), world.provider.clone(), |settings| {
        settings.environment = Arc::new(|manifest| {
            let values = |_| BTreeMap::from([("KEY".to_owned(), Secret::new("value"))]);
            manifest.resources.keys().map(|name| (name.clone(), values(name))).collect()
        });
    })
    .await;
    standby.until_following().await;
    first.want(&[("a", 1), ("b", 1)]);
    standby.until("b served", |served| status(served, "b") == Some(ResourceStatus::Ready)).await;
    first.mothership.kill();
    world.provider.lose(&world.provider.endpoints()[0].endpoint_id);
    world.clock.advance(LEASE_TERM_MS);
    standby.until_leading().await;
    eventually("made again", || world.provider.endpoints().len() == 2).await;
    standby.until_ready().await;
    assert_eq!(standby.handle.served().generation(), Some(2), "nothing new was applied");
    assert_eq!(world.creates(), 3);
}

#[tokio::test]
async fn a_wish_that_was_overtaken_while_somebody_else_led_is_not_applied() {
    let world = World::new();
    let (first, second) = world.pair(&[("a", 1)]).await;
    first.until_ready().await;
    second.until_ready().await;
    first.want(&[("a", 1), ("b", 1)]);
    second.until("b served", |served| status(served, "b") == Some(ResourceStatus::Ready)).await;
    first.mothership.kill();
    world.clock.advance(LEASE_TERM_MS);
    second.until_leading().await;
    second.until_ready().await;
    assert_eq!(second.handle.served().generation(), Some(2));
    assert_eq!(world.provider.endpoints().len(), 2, "b is not removed by a wish that is older than it");
    // A new wish of this one counts again.
    second.want(&[("a", 1)]);
    eventually("b removed", || world.provider.endpoints().len() == 1).await;
}
