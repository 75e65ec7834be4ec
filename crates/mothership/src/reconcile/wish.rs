//! What a mothership is asked to bring about, and whether that is still what is wanted when it comes to lead.

use std::sync::{Arc, Mutex, PoisonError};

use flash_model::Lease;
use flash_plan::Plan;
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

pub(crate) type Answer = oneshot::Sender<Result<u64, ApplyRefusal>>;

/// A desired state, or exactly one plan that leads to it.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) desired: Arc<Desired>,
    pub(crate) exactly: Option<Exactly>,
}

#[derive(Debug, Clone)]
pub(crate) struct Exactly {
    pub(crate) plan: Arc<Plan>,
    answer: Arc<Mutex<Option<Answer>>>,
}

impl Exactly {
    pub(crate) fn new(plan: Plan, answer: Answer) -> Self {
        Self { plan: Arc::new(plan), answer: Arc::new(Mutex::new(Some(answer))) }
    }

    /// False once it is answered, or nobody waits any more: then it must not be applied behind their backs.
    pub(super) fn is_open(&self) -> bool {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        answer.as_ref().is_some_and(|sender| !sender.is_closed())
    }

    /// Only the first answer counts; nobody waiting for it is no error.
    pub(super) fn answer(&self, answer: Result<u64, ApplyRefusal>) {
        if let Some(sender) = self.answer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = sender.send(answer);
        }
    }
}

/// The last wish, across terms.
#[derive(Debug)]
pub(crate) struct Wishes {
    pub(super) receiver: watch::Receiver<Option<Wish>>,
    /// What we have made the applied manifest already.
    applied: Option<Arc<Desired>>,
    /// A wish that came while somebody else led, and the generation of then.
    overheard: Option<(Arc<Desired>, u64)>,
}

impl Wishes {
    pub(crate) fn new(receiver: watch::Receiver<Option<Wish>>) -> Self {
        Self { receiver, applied: None, overheard: None }
    }

    /// Whether nobody is left who could wish for anything.
    pub(crate) fn is_over(&self) -> bool {
        self.receiver.has_changed().is_err()
    }

    /// Subscribers from here on hear of later wishes only.
    pub(crate) fn listen(&mut self) {
        self.receiver.mark_unchanged();
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<Wish>> {
        self.receiver.clone()
    }

    /// A wish that was heard while another one leads, before it applied `generation`'s successor.
    pub(crate) fn overhear(&mut self, generation: u64) {
        let Some(wish) = self.receiver.borrow().clone() else { return };
        if let Some(exactly) = &wish.exactly {
            exactly.answer(Err(ApplyRefusal::NotLeading(None)));
        }
        let known = self.overheard.as_ref().is_some_and(|(known, _)| Arc::ptr_eq(known, &wish.desired));
        if !known {
            self.overheard = Some((wish.desired, generation));
        }
    }

    pub(super) fn applied(&mut self, desired: &Arc<Desired>) {
        self.applied = Some(Arc::clone(desired));
    }

    /// Whether a wish is younger than what is stored as `generation`.
    pub(super) fn is_fresh(&self, wish: &Wish, generation: u64) -> bool {
        let is_applied = self.applied.as_ref().is_some_and(|applied| Arc::ptr_eq(applied, &wish.desired));
        let is_overtaken = self
            .overheard
            .as_ref()
            .is_some_and(|(known, then)| Arc::ptr_eq(known, &wish.desired) && *then < generation);
        !is_applied && !is_overtaken
    }
}

/// How two plans differ, for a person. Empty if they do not.
pub(super) fn differences(expected: &Plan, found: &Plan) -> Vec<String> {
    let mut differences = Vec::new();
    if expected.state_serial != found.state_serial {
        differences
            .push(format!("the state has serial {}, not {}", found.state_serial, expected.state_serial));
    }
    for step in &found.steps {
        let before = expected
            .steps
            .iter()
            .find(|before| before.resource == step.resource && before.endpoint_id == step.endpoint_id);
        match before {
            Some(before) if before.action == step.action && before.reasons == step.reasons => {}
            _ => differences.push(format!("now: {step}")),
        }
    }
    for step in &expected.steps {
        if !found.steps.iter().any(|now| now.resource == step.resource) {
            differences.push(format!("no longer: {step}"));
        }
    }
    if differences.is_empty() && expected != found {
        differences.push("what is recorded or wanted of a resource has changed".to_owned());
    }
    differences
}
