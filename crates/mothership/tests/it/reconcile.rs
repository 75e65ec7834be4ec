//! Reconciliation, against a provider in memory that fails on demand.

use std::collections::BTreeMap;
use std::sync::Arc;

use flash_model::*;
use flash_mothership::store::{MemoryStore, Store};
use flash_mothership::{ApplyRefusal, Desired, Drift, Environment, Event};
use flash_providers::SimProvider;
use flash_testkit::{manifest, name, scope};

use crate::gated::GatedProvider;
use crate::support::{Rig, eventually, status};

fn verbs(provider: &flash_providers::SimProvider) -> Vec<&'static str> {
    provider.writes().into_iter().map(|write| write.verb).collect()
}

#[tokio::test]
async fn everything_in_the_manifest_becomes_ready_once() {
    let (rig, store, provider) = Rig::simulated().await;
    rig.want(&[("a", 1), ("b", 1), ("c", 1)]);
    let served = rig.until_ready().await;
    assert_eq!(served.generation(), Some(1));
    assert_eq!(served.routes().functions.len(), 3);
    let version = store.snapshot(&scope()).await.unwrap().serial;
    let seen = provider.inventories();
    eventually("some quiet rounds", || provider.inventories() > seen + 6).await;
    assert_eq!(verbs(&provider), ["create"; 3], "quiet rounds write nothing to the provider");
    assert_eq!(store.snapshot(&scope()).await.unwrap().serial, version, "nor to the store");
}

#[tokio::test]
async fn a_change_replaces_only_what_changed_and_a_removal_deletes() {
    let (rig, store, provider) = Rig::simulated().await;
    rig.want(&[("a", 1), ("b", 1)]);
    let before = rig.until_ready().await;
    let id = |served: &flash_mothership::Served, text: &str| {
        served.provisioned(text).unwrap().endpoint_id.clone().unwrap()
    };
    rig.want(&[("a", 2), ("b", 1)]);
    let (old_a, old_b) = (id(&before, "a"), id(&before, "b"));
    let after = rig
        .until("a replaced", |served| {
            status(served, "a") == Some(ResourceStatus::Ready) && id(served, "a") != old_a
        })
        .await;
    assert_eq!(id(&after, "b"), old_b);
    eventually("the old endpoint deleted", || provider.endpoints().len() == 2).await;
    rig.want(&[("b", 1)]);
    eventually("a deleted", || provider.endpoints().len() == 1).await;
    eventually("a forgotten", || rig.handle.served().provisioned("a").is_none()).await;
    assert_eq!(verbs(&provider), ["create", "create", "create", "delete", "delete"]);
    let records = store.snapshot(&scope()).await.unwrap().records;
    assert!(!records.contains_key(&name("a")), "{records:?}");
}

#[tokio::test]
async fn a_failing_resource_does_not_stop_the_others_and_recovers() {
    for after_effect in [false, true] {
        let (rig, _, provider) = Rig::simulated().await;
        provider.fail_creates(&name("bad"), 2, after_effect);
        rig.want(&[("bad", 1), ("good", 1)]);
        rig.until("good ready", |served| status(served, "good") == Some(ResourceStatus::Ready)).await;
        rig.until_ready().await;
        assert_eq!(provider.endpoints().len(), 2, "a create that failed after its effect is not repeated");
    }
}

#[tokio::test]
async fn what_trying_again_cannot_mend_waits_for_a_new_wish() {
    let an_hour = std::time::Duration::from_secs(3600);
    for retry in [Retry::Never, Retry::After(an_hour)] {
        let (rig, store, provider) = Rig::simulated().await;
        provider.fail_creates_with(&name("bad"), 1, retry);
        rig.want(&[("bad", 1), ("good", 1)]);
        rig.until("good ready", |served| status(served, "good") == Some(ResourceStatus::Ready)).await;
        rig.until("bad failed", |served| status(served, "bad") == Some(ResourceStatus::Failed)).await;
        let seen = provider.inventories();
        eventually("some more rounds", || provider.inventories() > seen + 10).await;
        let record = store.snapshot(&scope()).await.unwrap().records[&name("bad")].clone();
        assert_eq!((record.status, record.attempts), (ResourceStatus::Failed, 1), "{retry:?}");
        assert!(record.status_reason.unwrap().contains("create of bad failed"));
        rig.want(&[("bad", 2), ("good", 1)]);
        rig.until_ready().await;
    }
}

#[tokio::test]
async fn the_log_says_who_did_what_and_why() {
    let (rig, store, provider) = Rig::simulated().await;
    provider.fail_creates(&name("a"), 1, false);
    rig.want(&[("a", 1)]);
    rig.until_ready().await;
    rig.mothership.stop_with_endpoints().await.unwrap();
    let events = store.events(&scope(), 0, 100).await.unwrap();
    let kinds: Vec<EventKind> = events.iter().map(|event| event.happening.what).collect();
    for expected in [
        EventKind::LeaseAcquired,
        EventKind::GenerationApplied,
        EventKind::StepBegun,
        EventKind::StepFailed,
        EventKind::StepDone,
        EventKind::StatusChanged,
        EventKind::LeaseReleased,
    ] {
        assert!(kinds.contains(&expected), "no {expected} in {events:#?}");
    }
    assert_eq!((kinds[0], kinds.last()), (EventKind::LeaseAcquired, Some(&EventKind::LeaseReleased)));
    let who = &events[0].happening.who;
    assert!(events.iter().all(|event| event.happening.who == *who));
    let failed = events.iter().find(|event| event.happening.what == EventKind::StepFailed).unwrap();
    assert!(failed.happening.why.contains("create of a failed"), "{failed:?}");
    assert_eq!(failed.happening.resource, Some(name("a")));
}

#[tokio::test]
async fn the_intent_is_recorded_before_the_provider_is_asked_and_kept_until_it_has_answered() {
    let (rig, store, provider) = Rig::simulated().await;
    provider.fail_creates(&name("a"), u32::MAX, false);
    rig.want(&[("a", 1)]);
    rig.until("a failed", |served| status(served, "a") == Some(ResourceStatus::Failed)).await;
    let record = store.snapshot(&scope()).await.unwrap().records[&name("a")].clone();
    let intent = record.intent.expect("an intent");
    assert_eq!((intent.action, record.endpoint_id), (IntentAction::Create, None));
    assert!(provider.endpoints().is_empty());
    provider.fail_creates(&name("a"), 0, false);
    rig.until_ready().await;
    assert_eq!(provider.endpoints()[0].idempotency_key, intent.idempotency_key);
    assert_eq!(store.snapshot(&scope()).await.unwrap().records[&name("a")].intent, None);
}

#[tokio::test]
async fn a_new_version_that_never_gets_healthy_leaves_the_old_one_serving() {
    let (rig, store, provider) = Rig::simulated().await;
    rig.want(&[("a", 1)]);
    let before = rig.until_ready().await;
    let old = before.provisioned("a").unwrap().endpoint_id.clone();
    // Both endpoints of the resource answer badly from here on, which only the new one is judged by at first.
    provider.set_unhealthy(&name("a"), "ImportError: torch");
    rig.want(&[("a", 2)]);
    let served = rig
        .until("a failed", |served| {
            status(served, "a") == Some(ResourceStatus::Failed)
                && served
                    .provisioned("a")
                    .unwrap()
                    .status_reason
                    .as_deref()
                    .is_some_and(|reason| reason.contains("ImportError: torch"))
        })
        .await;
    assert_eq!(served.provisioned("a").unwrap().endpoint_id, old);
    assert!(provider.endpoints().iter().any(|endpoint| Some(&endpoint.endpoint_id) == old.as_ref()));
    let record = &store.snapshot(&scope()).await.unwrap().records[&name("a")];
    assert_eq!(record.applied.as_ref().map(|applied| applied.spec.workers_max), Some(1), "the last good one");
}

#[tokio::test]
async fn what_vanishes_is_made_again() {
    let (rig, _, provider) = Rig::simulated().await;
    rig.want(&[("a", 1)]);
    rig.until_ready().await;
    provider.lose(&provider.endpoints()[0].endpoint_id);
    eventually("made again", || provider.endpoints().len() == 1).await;
    rig.until_ready().await;
}

#[tokio::test]
async fn while_the_provider_is_unreachable_nothing_is_created_or_deleted() {
    let (rig, _, provider) = Rig::simulated().await;
    rig.want(&[("a", 1)]);
    rig.until_ready().await;
    let mut events = rig.handle.events();
    provider.set_unreachable(true);
    rig.want(&[("b", 1)]);
    loop {
        if let flash_mothership::Event::Trouble { message } = events.recv().await.unwrap() {
            assert!(message.contains("could not list"), "{message}");
            break;
        }
    }
    assert_eq!(verbs(&provider), ["create"]);
    provider.set_unreachable(false);
    eventually("caught up", || verbs(&provider) == ["create", "create", "delete"]).await;
}

#[tokio::test]
async fn a_second_mothership_adopts_what_the_first_one_made() {
    let (rig, store, provider) = Rig::simulated().await;
    rig.want(&[("a", 1), ("b", 1)]);
    rig.until_ready().await;
    let (endpoints, id) = (provider.endpoints(), rig.handle.mothership_id().clone());
    drop(rig);
    let next = Rig::start(store, provider.clone()).await;
    assert_eq!(*next.handle.mothership_id(), id);
    next.want(&[("a", 1), ("b", 1)]);
    next.until_ready().await;
    assert_eq!(provider.endpoints(), endpoints);
    assert_eq!(verbs(&provider), ["create"; 2]);
}

#[tokio::test]
async fn stopping_suspends_endpoints_and_the_next_start_resumes_the_same_ones() {
    let (rig, store, provider) = Rig::simulated().await;
    rig.want(&[("a", 1)]);
    rig.until_ready().await;
    rig.mothership.stop_with_endpoints().await.unwrap();
    assert_eq!(provider.endpoints()[0].phase, ObservedPhase::Stopped);
    let next = Rig::start(store, provider.clone()).await;
    next.want(&[("a", 1)]);
    next.until_ready().await;
    assert_eq!(verbs(&provider), ["create", "suspend", "update"]);
}

#[tokio::test]
async fn what_somebody_else_changed_is_brought_back() {
    let (rig, _, provider) = Rig::simulated().await;
    rig.want(&[("a", 3), ("b", 1)]);
    rig.until_ready().await;
    let id = provider
        .endpoints()
        .iter()
        .find(|endpoint| endpoint.owner.resource == name("a"))
        .unwrap()
        .endpoint_id
        .clone();
    let mut events = rig.handle.events();
    provider.tamper(&id, |spec| spec.workers_max = 9);
    eventually("brought back", || {
        let endpoints = provider.endpoints();
        let a = endpoints.iter().find(|endpoint| endpoint.endpoint_id == id).unwrap();
        a.spec.as_ref().unwrap().workers_max == 3
    })
    .await;
    rig.until_ready().await;
    assert_eq!(verbs(&provider), ["create", "create", "update"], "in place, and nothing else");
    loop {
        if let flash_mothership::Event::Step { line, .. } = events.recv().await.unwrap() {
            assert_eq!(line, "~ update a: changed outside: workersMax 3 → 9");
            break;
        }
    }
}

#[tokio::test]
async fn drift_that_is_only_reported_is_shown_and_left() {
    let (store, provider) = (Arc::new(MemoryStore::default()), Arc::new(SimProvider::default()));
    let rig = Rig::start_with(store, provider.clone(), |settings| settings.drift = Drift::Report).await;
    rig.want(&[("a", 3), ("b", 1)]);
    rig.until_ready().await;
    let [a, b] = ["a", "b"].map(|resource| {
        let endpoints = provider.endpoints();
        endpoints
            .iter()
            .find(|endpoint| endpoint.owner.resource == name(resource))
            .unwrap()
            .endpoint_id
            .clone()
    });
    provider.tamper(&a, |spec| spec.workers_max = 9);
    provider.lose(&b);
    let served = rig
        .until("both shown", |served| {
            ["a", "b"].iter().all(|name| served.provisioned(name).unwrap().status_code == Some(Code::Drifted))
        })
        .await;
    let shown = |name| {
        let provisioned = served.provisioned(name).unwrap();
        (provisioned.status.unwrap(), provisioned.status_reason.clone().unwrap(), provisioned.serves)
    };
    assert_eq!(shown("a"), (ResourceStatus::Ready, "changed outside: workersMax 3 → 9".into(), true));
    assert_eq!(shown("b"), (ResourceStatus::Failed, "its endpoint is gone".into(), false));
    assert_eq!(verbs(&provider), ["create"; 2]);
    // Wanting something else is no drift.
    rig.want(&[("a", 3), ("b", 2)]);
    rig.until("b ready", |served| status(served, "b") == Some(ResourceStatus::Ready)).await;
}

#[tokio::test]
async fn a_step_that_hangs_holds_up_nobody_else() {
    let sim = Arc::new(SimProvider::default());
    let provider = GatedProvider::new(sim.clone());
    let rig = Rig::start(Arc::new(MemoryStore::default()), provider.clone()).await;
    rig.want(&[("a", 1)]);
    rig.until_ready().await;
    provider.writes.close();
    rig.want(&[("a", 1), ("slow", 1)]);
    eventually("the create on its way", || provider.writes.arrived() == 1).await;
    provider.writes.open_for_who_comes();
    rig.want(&[("a", 1), ("slow", 1), ("b", 1)]);
    rig.until("b ready", |served| status(served, "b") == Some(ResourceStatus::Ready)).await;
    assert_eq!(status(&rig.handle.served(), "slow"), Some(ResourceStatus::Provisioning));
    sim.set_unhealthy(&name("a"), "ImportError: x");
    rig.until("a seen degraded meanwhile", |served| status(served, "a") == Some(ResourceStatus::Degraded))
        .await;
    provider.writes.open();
    rig.until("slow ready", |served| status(served, "slow") == Some(ResourceStatus::Ready)).await;
    assert_eq!(sim.endpoints().len(), 3);
}

#[tokio::test]
async fn volumes_are_made_once_and_before_what_mounts_them() {
    let (rig, _, provider) = Rig::simulated().await;
    let mut wanted = manifest(&[("a", 1), ("b", 1), ("c", 1)]);
    for text in ["a", "b"] {
        let resource = wanted.resources.get_mut(text).unwrap();
        let volume =
            VolumeSpec { id: None, name: Some("models".into()), size_gb: Some(10), datacenter: None };
        resource.spec_mut().volumes = vec![volume];
        resource.config_hash = resource.compute_config_hash().unwrap();
    }
    rig.handle.set_desired(Desired { manifest: Arc::new(wanted), environment: Environment::new() });
    rig.until_ready().await;
    assert_eq!(provider.calls()["volume"], 1, "the provider refuses to mount one that was never made");
}

#[tokio::test]
async fn a_child_that_says_it_is_a_mothership_is_refused() {
    let (rig, store, provider) = Rig::simulated().await;
    let variables = BTreeMap::from([("FLASH_IS_MOTHERSHIP".to_owned(), Secret::new("True"))]);
    let environment = BTreeMap::from([(name("a"), variables)]);
    rig.handle.set_desired(Desired { manifest: Arc::new(manifest(&[("a", 1), ("b", 1)])), environment });
    rig.until("b ready", |served| status(served, "b") == Some(ResourceStatus::Ready)).await;
    let served = rig.until("a refused", |served| status(served, "a") == Some(ResourceStatus::Failed)).await;
    assert_eq!(served.provisioned("a").unwrap().status_code, Some(Code::ChildIsMothership));
    assert_eq!(provider.endpoints().len(), 1);
    assert_eq!(store.snapshot(&scope()).await.unwrap().records[&name("a")].attempts, 1, "not tried again");
}

#[tokio::test]
async fn a_plan_is_applied_exactly_or_not_at_all() {
    let (rig, store, provider) = Rig::simulated().await;
    rig.want(&[("a", 1)]);
    rig.until_ready().await;
    let wanted = |resources: &[(&str, u32)]| Desired {
        manifest: Arc::new(manifest(resources)),
        environment: Environment::new(),
    };
    let plan = |desired: &Desired| {
        let (manifest, store, provider) = (desired.manifest.clone(), store.clone(), provider.clone());
        async move {
            let inventory = flash_providers::Provider::inventory(&*provider, &scope()).await.unwrap();
            let policy =
                flash_plan::Policy { scope: scope(), place: None, own_resource: None, drift: Drift::Repair };
            flash_plan::plan(&manifest, &store.snapshot(&scope()).await.unwrap(), &inventory, &policy)
        }
    };
    let next = wanted(&[("a", 2), ("b", 1)]);
    let good = plan(&next).await;
    let stale = good.clone();
    assert_eq!(rig.handle.apply(next.clone(), good).await, Ok(2), "the generation");
    rig.until_ready().await;
    eventually("the old one deleted", || provider.endpoints().len() == 2).await;
    let before = (provider.writes(), store.snapshot(&scope()).await.unwrap());
    let ApplyRefusal::Moved(why) = rig.handle.apply(next, stale).await.unwrap_err() else {
        panic!("applied")
    };
    assert!(why.iter().any(|why| why.contains("the state has serial")), "{why:?}");
    let wish = wanted(&[("c", 1)]);
    let mut tampered = plan(&wish).await;
    tampered.steps.retain(|step| step.action != flash_plan::Action::Delete);
    let ApplyRefusal::Moved(why) = rig.handle.apply(wish, tampered).await.unwrap_err() else {
        panic!("applied")
    };
    assert!(why.iter().any(|why| why.contains("now: - delete a")), "{why:?}");
    let after = (provider.writes(), store.snapshot(&scope()).await.unwrap());
    assert_eq!(before, after, "a refused plan changes nothing");
    assert!(rig.handle.served().provisioned("a").is_some(), "what was wanted before still is");
}

#[tokio::test]
async fn a_plan_that_is_refused_leaves_what_was_wished_for_before() {
    let wanted = |resources: &[(&str, u32)]| Desired {
        manifest: Arc::new(manifest(resources)),
        environment: Environment::new(),
    };
    let stale = || flash_plan::Plan { state_serial: 77, steps: Vec::new(), deferred: Vec::new() };
    let (rig, store, provider) = Rig::simulated().await;
    rig.until_leading().await;
    let mut events = rig.handle.events();
    let refused = rig.handle.apply(wanted(&[("c", 1)]), stale()).await;
    assert!(matches!(refused, Err(ApplyRefusal::Moved(_))), "{refused:?}");
    let mut rounds = 0;
    while rounds < 3 {
        rounds += u32::from(matches!(events.recv().await.unwrap(), Event::Round { .. }));
    }
    assert!(provider.endpoints().is_empty() && store.manifest(&scope()).await.unwrap().is_none());

    rig.want(&[("a", 1)]);
    let refused = rig.handle.apply(wanted(&[("c", 1)]), stale()).await;
    assert!(matches!(refused, Err(ApplyRefusal::Moved(_))), "{refused:?}");
    let served = rig.until_ready().await;
    assert!(served.provisioned("a").is_some() && served.provisioned("c").is_none());
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_shown_and_started_again() {
    let (rig, _, provider) = Rig::simulated().await;
    rig.want(&[("a", 1)]);
    rig.until_ready().await;
    provider.set_silent(&name("a"), true);
    rig.until("degraded", |served| status(served, "a") == Some(ResourceStatus::Degraded)).await;
    eventually("started again", || verbs(&provider).contains(&"update")).await;
    provider.set_silent(&name("a"), false);
    rig.until_ready().await;
    assert_eq!(provider.endpoints().len(), 1);
}
