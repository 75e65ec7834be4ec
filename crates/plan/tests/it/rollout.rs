//! The rollout as a state machine: every status with every answer.

use std::time::Duration;

use flash_model::*;
use flash_plan::rollout::{
    READY_TIMEOUT, RESTART_MISSES, UNHEALTHY_ANSWERS_MAX, Verdict, Warming, assess, is_unresponsive,
};
use flash_testkit::name;
use proptest::prelude::*;

fn healths() -> [Health; 4] {
    [
        Health::Ready,
        Health::Starting,
        Health::Unhealthy { reason: "ImportError: x".into() },
        Health::Unreachable { reason: "no answer".into() },
    ]
}

fn record(status: ResourceStatus) -> ResourceRecord {
    ResourceRecord { status, status_since_ms: 1_000, ..ResourceRecord::new(name("a"), "sim") }
}

/// One row for each status, one column for each health: ready, starting, unhealthy, unreachable.
fn table(late: bool, misses: u32) -> String {
    let now_ms = 1_000 + if late { u64::try_from(READY_TIMEOUT.as_millis()).unwrap() + 1 } else { 5 };
    let row = |status| {
        let cells =
            healths().map(|health| assess(&record(status), &health, misses, now_ms).status.to_string());
        format!("{status}: {}", cells.join(" "))
    };
    ResourceStatus::ALL.map(row).join("\n")
}

#[test]
fn every_status_with_every_answer() {
    let expected = "\
pending: ready provisioning failed provisioning
provisioning: ready provisioning failed provisioning
ready: ready provisioning degraded ready
failed: ready failed failed failed
degraded: ready provisioning degraded degraded
removing: removing removing removing removing";
    assert_eq!(table(false, 1), expected);
    assert_eq!(table(true, 1), expected.replace("provisioning failed provisioning", "failed failed failed"));
    assert_eq!(
        table(false, 2),
        expected.replace("degraded ready", "degraded degraded"),
        "two misses degrade"
    );
}

#[test]
fn a_rejected_version_is_told_of_while_the_earlier_one_serves() {
    let mut failed = record(ResourceStatus::Failed);
    failed.rejected = Some("hash".into());
    failed.status_reason = Some("ImportError: torch".into());
    for health in healths() {
        let assessment = assess(&failed, &health, 9, u64::MAX);
        assert_eq!(
            (assessment.status, assessment.reason.as_deref()),
            (ResourceStatus::Failed, Some("ImportError: torch"))
        );
    }
}

#[test]
fn only_what_never_answers_is_restarted() {
    assert!(!is_unresponsive(RESTART_MISSES - 1) && is_unresponsive(RESTART_MISSES));
}

proptest! {
    #[test]
    fn a_new_version_is_accepted_only_when_it_is_ready_and_judged_within_bounds(
        answers in proptest::collection::vec(0..4_usize, 1..60), step_ms in 1..60_000_u64,
    ) {
        let mut warming = Warming::default();
        let mut unhealthy = 0;
        for (turn, answer) in answers.iter().enumerate() {
            let health = &healths()[*answer];
            let waited = Duration::from_millis(step_ms) * u32::try_from(turn).unwrap();
            unhealthy += u32::from(matches!(health, Health::Unhealthy { .. }));
            let verdict = warming.judge(health, waited);
            prop_assert_eq!(verdict == Verdict::Accept, *health == Health::Ready);
            if unhealthy == UNHEALTHY_ANSWERS_MAX && matches!(health, Health::Unhealthy { .. }) {
                let rejected = matches!(verdict, Verdict::Reject { .. });
                prop_assert!(rejected);
            }
            if verdict == Verdict::Wait {
                let is_unhealthy = matches!(health, Health::Unhealthy { .. });
                prop_assert!(waited < READY_TIMEOUT || is_unhealthy);
            } else {
                break;
            }
        }
    }
}
