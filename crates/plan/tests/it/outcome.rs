//! What became of what was applied.

use flash_model::{
    Applied, End, IdempotencyKey, Intent, IntentAction, Manifest, OUTCOME_FAILED_FOR_MS, Outcome,
    ResourceRecord, ResourceStatus, StateSnapshot,
};
use flash_testkit::{manifest, name};

#[test]
fn a_resource_is_done_when_the_wanted_version_is_ready_and_failed_when_it_stays_so() {
    use ResourceStatus::{Degraded, Failed, Provisioning, Ready, Removing};
    let wanted = manifest(&[("a", 2)]);
    let older = manifest(&[("a", 1)]);
    let applied = |manifest: &Manifest| Some(Applied::of(&manifest.resources[&name("a")]));
    let intent = Intent {
        action: IntentAction::Update,
        idempotency_key: IdempotencyKey::new("k").unwrap(),
        config_hash: wanted.resources[&name("a")].config_hash.clone(),
    };
    let cases = [
        (Ready, applied(&wanted), None, 0, End::Done),
        (Ready, applied(&wanted), Some(intent.clone()), 0, End::UnderWay),
        (Ready, applied(&older), None, 60_000, End::UnderWay),
        (Provisioning, applied(&wanted), None, 60_000, End::UnderWay),
        (Failed, applied(&older), Some(intent), OUTCOME_FAILED_FOR_MS, End::Failed),
        (Failed, applied(&older), None, OUTCOME_FAILED_FOR_MS - 1, End::UnderWay),
        (Degraded, applied(&wanted), None, OUTCOME_FAILED_FOR_MS, End::Failed),
        (Removing, applied(&wanted), None, 60_000, End::UnderWay),
    ];
    for (status, applied, intent, age_ms, expected) in cases {
        let record = ResourceRecord {
            status,
            applied,
            intent,
            status_since_ms: 1,
            ..ResourceRecord::new(name("a"), "sim")
        };
        let shown = format!("{record:?}");
        let mut state = StateSnapshot::default();
        state.records.insert(name("a"), record);
        let outcome = Outcome::of(1, &wanted, &state, 1 + age_ms);
        assert_eq!(outcome.resources[&name("a")].end, expected, "{age_ms} ms: {shown}");
        assert_eq!(outcome.is_settled(), expected != End::UnderWay);
        assert_eq!(outcome.is_done(), expected == End::Done);
    }
    let nothing = Outcome::of(1, &wanted, &StateSnapshot::default(), 0);
    assert!(!nothing.is_settled(), "no record is not done");
    let mut leftover = StateSnapshot::default();
    leftover.records.insert(name("b"), ResourceRecord::new(name("b"), "sim"));
    assert!(!Outcome::of(1, &Manifest::empty("p"), &leftover, 60_000).is_settled(), "a record that is to go");
}
