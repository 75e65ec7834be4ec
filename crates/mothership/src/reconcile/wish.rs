//! What a mothership is asked to bring about, and whether that is still what is wanted when it comes to lead.

use std::sync::{Arc, Mutex, PoisonError};

use flash_model::Lease;
use flash_plan::{Plan, Step};
use tokio::sync::{oneshot, watch};

use super::Desired;

/// Why a plan was not applied. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyRefusal {
    #[error("the plan is not what would be done now: {}", .0.join("; "))]
    Moved(Vec<String>),
    #[error("this mothership does not lead{}", leader(.0.as_deref()))]
    NotLeading(Option<Box<Lease>>),
    #[error("the plan could not be applied: {0}")]
    Failed(String),
    #[error("another wish came first, or the mothership is stopping")]
    Superseded,
}

fn leader(lease: Option<&Lease>) -> String {
    lease.map_or_else(String::new, |lease| format!("; {} ({}) does", lease.holder, lease.purpose))
}

/// Of a plan whose writing down was interrupted.
const UNKNOWN: &str =
    "whether it was written down is not known; `flash rollback --list` shows what was applied";

pub(crate) type Answer = oneshot::Sender<Result<u64, ApplyRefusal>>;

/// What was wished for last: a desired state, and since then perhaps exactly one plan that leads to another.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wish {
    /// How many there were.
    count: u64,
    desired: Option<Numbered>,
    exactly: Option<Exactly>,
}

#[derive(Debug, Clone)]
pub(super) struct Numbered {
    number: u64,
    pub(super) desired: Arc<Desired>,
}

#[derive(Debug, Clone)]
pub(crate) struct Exactly {
    number: u64,
    pub(super) desired: Arc<Desired>,
    pub(super) plan: Arc<Plan>,
    answer: Arc<Mutex<Option<Answer>>>,
}

impl Wish {
    /// A plan that was still to be applied is not any more.
    pub(crate) fn want(&mut self, desired: Desired) {
        self.withdraw();
        self.count += 1;
        let number = self.count;
        *self = Self {
            count: number,
            desired: Some(Numbered { number, desired: Arc::new(desired) }),
            exactly: None,
        };
    }

    /// What was wished for before stays wished for, as the plan may be refused.
    pub(crate) fn want_exactly(&mut self, desired: Desired, plan: Plan, answer: Answer) -> Exactly {
        self.withdraw();
        self.count += 1;
        let exactly = Exactly {
            number: self.count,
            desired: Arc::new(desired),
            plan: Arc::new(plan),
            answer: Arc::new(Mutex::new(Some(answer))),
        };
        self.exactly = Some(exactly.clone());
        exactly
    }

    /// Whoever waits for a plan to be applied hears that it is not.
    fn withdraw(&self) {
        self.exactly.as_ref().map(Exactly::withdraw);
    }
}

impl Exactly {
    /// Only the first answer counts, and after it the plan is never applied. Nobody waiting for it is no error.
    pub(super) fn answer(&self, answer: Result<u64, ApplyRefusal>) {
        if let Some(sender) = self.take() {
            let _ = sender.send(answer);
        }
    }

    /// True if it will never be applied.
    pub(crate) fn withdraw(&self) -> bool {
        self.take().is_some()
    }

    /// From here on it cannot be refused any more, as nobody can say that nothing was done. None if it was answered.
    pub(super) fn commit(&self) -> Option<Commitment> {
        self.take().map(|answer| Commitment(Some(answer)))
    }

    fn is_open(&self) -> bool {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn take(&self) -> Option<Answer> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The answer to a plan that is being written down. Dropped, it says that nobody knows.
#[derive(Debug)]
pub(super) struct Commitment(Option<Answer>);

impl Commitment {
    pub(super) fn done(mut self, generation: u64) {
        if let Some(sender) = self.0.take() {
            let _ = sender.send(Ok(generation));
        }
    }
}

impl Drop for Commitment {
    fn drop(&mut self) {
        if let Some(sender) = self.0.take() {
            let _ = sender.send(Err(ApplyRefusal::Failed(UNKNOWN.to_owned())));
        }
    }
}

/// The last wish, across terms.
#[derive(Debug)]
pub(crate) struct Wishes {
    pub(super) receiver: watch::Receiver<Wish>,
    /// The last one that we have made the applied manifest already.
    applied: u64,
    /// A wish that came while somebody else led, and the generation of then.
    overheard: Option<(u64, u64)>,
}

impl Wishes {
    pub(crate) fn new(receiver: watch::Receiver<Wish>) -> Self {
        Self { receiver, applied: 0, overheard: None }
    }

    /// Whether nobody is left who could wish for anything.
    pub(crate) fn is_over(&self) -> bool {
        self.receiver.has_changed().is_err()
    }

    /// Subscribers from here on hear of later wishes only.
    pub(crate) fn listen(&mut self) {
        self.receiver.mark_unchanged();
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Wish> {
        self.receiver.clone()
    }

    /// Nothing is applied any more.
    pub(crate) fn close(&self) {
        self.receiver.borrow().withdraw();
    }

    /// A wish that was heard while another one leads, before it applied `generation`'s successor.
    pub(crate) fn overhear(&mut self, generation: u64) {
        let Wish { desired, exactly, .. } = self.receiver.borrow().clone();
        if let Some(exactly) = exactly {
            exactly.answer(Err(ApplyRefusal::NotLeading(None)));
        }
        let Some(Numbered { number, .. }) = desired else { return };
        if self.overheard.is_none_or(|(known, _)| known != number) {
            self.overheard = Some((number, generation));
        }
    }

    /// The last wish for a state that nobody made the applied one yet, as far as `generation` says, and the plan that waits
    /// to be applied exactly.
    pub(super) fn pending(&mut self, generation: u64) -> (Option<Numbered>, Option<Exactly>) {
        let Wish { desired, exactly, .. } = self.receiver.borrow_and_update().clone();
        let fresh = desired.filter(|wish| self.is_fresh(wish.number, generation));
        (fresh, exactly.filter(Exactly::is_open))
    }

    pub(super) fn was_any_applied(&self) -> bool {
        self.applied > 0
    }

    pub(super) fn applied(&mut self, wish: &Numbered) {
        self.applied = self.applied.max(wish.number);
    }

    pub(super) fn applied_exactly(&mut self, exactly: &Exactly) {
        self.applied = self.applied.max(exactly.number);
    }

    /// Whether a wish is younger than what is stored as `generation`.
    fn is_fresh(&self, number: u64, generation: u64) -> bool {
        let is_overtaken = self.overheard.is_some_and(|(known, then)| known == number && then < generation);
        number > self.applied && !is_overtaken
    }
}

/// How two plans differ, for a person. Empty if they do not.
pub(super) fn differences(expected: &Plan, found: &Plan) -> Vec<String> {
    let mut differences = Vec::new();
    if expected.state_serial != found.state_serial {
        differences
            .push(format!("the state has serial {}, not {}", found.state_serial, expected.state_serial));
    }
    let is_same = |a: &Step, b: &Step| a.resource == b.resource && a.endpoint_id == b.endpoint_id;
    for step in found.changes() {
        let before = expected.changes().find(|before| is_same(before, step));
        match before {
            Some(before) if before.action == step.action && before.reasons == step.reasons => {}
            _ => differences.push(format!("now: {step}")),
        }
    }
    for step in expected.changes() {
        if !found.changes().any(|now| is_same(now, step)) {
            differences.push(format!("no longer: {step}"));
        }
    }
    if differences.is_empty() && expected != found {
        differences.push("what is recorded or wanted of a resource has changed".to_owned());
    }
    differences
}

#[cfg(test)]
mod tests {
    use flash_model::{EndpointId, ResourceName};
    use flash_plan::{Action, Reason};

    use super::*;

    fn step(action: Action, resource: &str, endpoint_id: Option<&str>, reason: Reason) -> Step {
        Step {
            resource: ResourceName::new(resource).unwrap(),
            action,
            reasons: vec![reason],
            endpoint_id: endpoint_id.map(|id| EndpointId::new(id).unwrap()),
            desired: None,
            idempotency_key: None,
            record_version: 0,
        }
    }

    fn plan(state_serial: u64, steps: Vec<Step>) -> Plan {
        Plan { state_serial, steps, deferred: Vec::new() }
    }

    #[test]
    fn what_stays_as_it_is_is_no_difference_for_a_person() {
        let create = || step(Action::Create, "a", None, Reason::New);
        let stays = |name: &str| step(Action::NoOp, name, Some("x"), Reason::Unchanged);
        let delete = || step(Action::Delete, "b", Some("y"), Reason::NotInManifest);
        assert!(differences(&plan(3, vec![create()]), &plan(3, vec![create()])).is_empty());

        let done = differences(&plan(3, vec![create(), stays("c")]), &plan(3, vec![stays("a"), stays("c")]));
        assert_eq!(done, ["no longer: + create a: new"]);
        let other = differences(&plan(3, vec![stays("b")]), &plan(4, vec![delete()]));
        assert_eq!(other.len(), 2, "{other:?}");
        assert!(other[1].starts_with("now: - delete b"), "{other:?}");
        let gone = differences(&plan(3, vec![stays("b")]), &plan(3, Vec::new()));
        assert_eq!(gone, ["what is recorded or wanted of a resource has changed"]);
    }
}
