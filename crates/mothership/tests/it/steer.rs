//! Applying a plan, going back and following events, over HTTP.

use std::time::Duration;

use flash_client::Mothership;
use flash_model::*;
use flash_mothership::Drift;
use flash_mothership::store::Store;
use flash_plan::{PlanFile, Policy};
use flash_providers::Provider;
use flash_testkit::{manifest, name, scope};
use serde_json::Value;

use crate::support::{Rig, TOKEN};

const WAIT: Duration = Duration::from_secs(20);

fn client(rig: &Rig) -> Mothership {
    Mothership::new(rig.handle.url(), Some(Secret::new(TOKEN)))
}

async fn planned(store: &dyn Store, provider: &dyn Provider, wanted: &[(&str, u32)]) -> PlanFile {
    let policy = Policy { scope: scope(), place: None, own_resource: None, drift: Drift::Repair };
    let state = store.snapshot(&scope()).await.unwrap();
    let inventory = provider.inventory(&scope()).await.unwrap();
    let plan = flash_plan::plan(&manifest(wanted), &state, &inventory, &policy);
    PlanFile::new(scope(), state.lineage, Drift::Repair, manifest(wanted), plan)
}

fn refusal(result: Result<Outcome, flash_client::Error>) -> (u16, Code, String) {
    let error = result.unwrap_err();
    let problem = error.problem().unwrap_or_else(|| panic!("{error:?}"));
    (problem.status, problem.code, problem.detail.clone())
}

#[tokio::test]
async fn a_plan_made_before_there_was_a_state_is_applied_once_and_a_stale_one_never() {
    let store = flash_mothership::store::MemoryStore::default();
    let provider = flash_providers::SimProvider::default();
    let first = planned(&store, &provider, &[("a", 1), ("b", 1)]).await;
    assert_eq!(first.lineage, None);
    let (store, provider) = (std::sync::Arc::new(store), std::sync::Arc::new(provider));
    let rig = Rig::start(store.clone(), provider.clone()).await;
    rig.until_leading().await;
    let client = client(&rig);

    let outcome = client.apply(first.to_json().unwrap(), WAIT).await.unwrap();
    assert!(outcome.is_done(), "{outcome:?}");
    assert_eq!((outcome.generation, outcome.resources.len()), (1, 2));
    assert_eq!(client.resources().await.unwrap(), outcome);
    let before = store.snapshot(&scope()).await.unwrap();

    let (status, code, detail) = refusal(client.apply(first.to_json().unwrap(), WAIT).await);
    assert_eq!((status, code), (409, Code::StateConflict));
    assert!(detail.contains("the state has serial") && detail.contains("not 0"), "{detail}");

    let mut of_another_state = planned(&*store, &*provider, &[("a", 2)]).await;
    of_another_state.lineage = Some(MothershipId::new("ms-other").unwrap());
    let (status, code, detail) = refusal(client.apply(of_another_state.to_json().unwrap(), WAIT).await);
    assert_eq!((status, code), (409, Code::StateConflict));
    assert!(detail.contains("another state"), "{detail}");
    assert_eq!(store.snapshot(&scope()).await.unwrap(), before, "a refused plan changes nothing");

    let next = planned(&*store, &*provider, &[("a", 3)]).await;
    let outcome = client.apply(next.to_json().unwrap(), WAIT).await.unwrap();
    assert!(outcome.is_done(), "{outcome:?}");
    assert_eq!((outcome.generation, outcome.resources.len()), (2, 1), "b is gone");
    rig.mothership.leave().await.unwrap();
}

#[tokio::test]
async fn steering_needs_the_token_and_a_plan_for_this_mothership() {
    let (rig, store, provider) = Rig::simulated().await;
    rig.until_leading().await;
    let good = planned(&*store, &*provider, &[("a", 1)]).await;
    let anybody = Mothership::new(rig.handle.url(), None);
    assert_eq!(refusal(anybody.apply(good.to_json().unwrap(), WAIT).await).1, Code::Unauthorized);
    assert_eq!(refusal(anybody.rollback(1, WAIT).await).1, Code::Unauthorized);

    let client = client(&rig);
    let mut elsewhere = good.clone();
    elsewhere.scope.environment = EnvironmentName::new("prod").unwrap();
    let mut empty = good.clone();
    empty.manifest = Manifest::empty("shop");
    empty.plan.steps.clear();
    for (text, status, code, part) in [
        ("{".to_owned(), 400, Code::InvalidPlanFile, "not JSON"),
        (elsewhere.to_json().unwrap(), 400, Code::InvalidPlanFile, "for shop/prod"),
        (empty.to_json().unwrap(), 422, Code::NoFunctions, "no resource at all"),
    ] {
        let (actual, found, detail) = refusal(client.apply(text, WAIT).await);
        assert_eq!((actual, found), (status, code), "{detail}");
        assert!(detail.contains(part), "{detail}");
    }
    assert_eq!(store.snapshot(&scope()).await.unwrap().serial, 0);
    assert_eq!(refusal(client.resources().await).1, Code::NotReady);
}

#[tokio::test]
async fn a_rollback_is_a_new_generation_and_brings_back_no_code() {
    let (rig, store, _) = Rig::simulated().await;
    rig.want(&[("a", 1)]);
    rig.until_ready().await;
    rig.want(&[("a", 4)]);
    rig.until("changed", |served| served.generation() == Some(2)).await;
    rig.until_ready().await;
    let client = client(&rig);
    let outcome = client.rollback(1, WAIT).await.unwrap();
    assert!(outcome.is_done(), "{outcome:?}");
    assert_eq!(outcome.generation, 3);
    let applied = store.manifest(&scope()).await.unwrap().unwrap();
    assert_eq!(applied.manifest.resources[&name("a")].spec.workers_max, 1);
    let record = &store.snapshot(&scope()).await.unwrap().records[&name("a")];
    assert_eq!(record.applied.as_ref().unwrap().spec.workers_max, 1);

    assert_eq!(refusal(client.rollback(1, WAIT).await).1, Code::UnknownGeneration, "it is applied now");
    assert_eq!(refusal(client.rollback(99, WAIT).await).1, Code::UnknownGeneration);
    let mut changed = manifest(&[("a", 1)]);
    changed.resources.insert(name("a"), flash_testkit::resource(1, "other code"));
    rig.handle.set_desired(flash_mothership::Desired {
        manifest: changed.into(),
        environment: flash_mothership::Environment::new(),
    });
    rig.until("changed", |served| served.generation() == Some(4)).await;
    let (status, code, detail) = refusal(client.rollback(2, WAIT).await);
    assert_eq!((status, code), (409, Code::CodeIsAnother));
    assert!(detail.ends_with(": a"), "{detail}");
}

/// Reads events until `wanted` have come; comments are not events.
async fn events(rig: &Rig, path: &str, last_id: Option<&str>, wanted: usize) -> Vec<(u64, Value)> {
    let mut request = reqwest::Client::new().get(format!("{}{path}", rig.handle.url()));
    if let Some(id) = last_id {
        request = request.header("last-event-id", id);
    }
    let mut response = request.send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut text = String::new();
    loop {
        let complete = text.rfind("\n\n").map_or("", |end| &text[..end]);
        let found: Vec<(u64, Value)> = complete
            .split("\n\n")
            .filter(|event| !event.starts_with(':') && !event.is_empty())
            .map(|event| {
                let (id, data) = event.split_once('\n').unwrap();
                let data = data.strip_prefix("data: ").unwrap();
                (id.strip_prefix("id: ").unwrap().parse().unwrap(), serde_json::from_str(data).unwrap())
            })
            .collect();
        if found.len() >= wanted {
            return found;
        }
        let chunk = tokio::time::timeout(WAIT, response.chunk()).await.expect("no more events");
        text.push_str(std::str::from_utf8(&chunk.unwrap().expect("the stream ended")).unwrap());
    }
}

#[tokio::test]
async fn events_are_streamed_from_anywhere_and_as_they_happen() {
    let (rig, ..) = Rig::simulated().await;
    rig.until_leading().await;
    let following = events(&rig, "/api/v1/events", None, 4);
    let changing = async {
        rig.want(&[("a", 1)]);
        rig.until_ready().await;
    };
    let (all, ()) = tokio::join!(following, changing);
    let sequences: Vec<u64> = all.iter().map(|(id, _)| *id).collect();
    assert_eq!(sequences[..4], [1, 2, 3, 4]);
    assert!(all.iter().all(|(id, event)| event["sequence"] == *id));
    assert_eq!(all[0].1["what"], "lease_acquired");
    assert!(all.iter().any(|(_, event)| event["what"] == "generation_applied"), "{all:?}");
    assert_eq!(events(&rig, "/api/v1/events?after=2", None, 1).await[0].0, 3);
    assert_eq!(
        events(&rig, "/api/v1/events?after=1", Some("3"), 1).await[0].0,
        4,
        "a reader that comes back"
    );
    rig.mothership.leave().await.unwrap();
}
