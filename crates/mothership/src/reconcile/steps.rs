//! Steps that are being carried out, at most one at a time for each resource and a bounded number in all.

use std::collections::VecDeque;
use std::sync::Arc;

use flash_model::ResourceName;
use flash_plan::{Reason, Step};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Desired;
use super::apply::{Applier, Error, Outcome};
use super::busy::{Busy, Claim};
use crate::service::Ending;

/// Side by side. More than a provider is asked for at once, as some of them warm or write; what comes after them waits as
/// no more than a line of the plan.
const UNDER_WAY_MAX: usize = 256;

/// How the steps of one resource came to an end.
pub(super) struct Ended {
    pub(super) resource: ResourceName,
    /// Whether it had to be started again, which is not to happen too often.
    pub(super) restarted: bool,
    pub(super) result: Result<Outcome, Error>,
    /// What it was to bring about.
    pub(super) desired: Arc<Desired>,
}

#[derive(Debug)]
pub(super) struct Steps {
    busy: Busy,
    waiting: VecDeque<Work>,
    /// Of those that are being made or changed, and of those that are being removed.
    making: JoinSet<Ended>,
    removing: JoinSet<Ended>,
    greetings: JoinSet<()>,
}

/// The steps of one resource, one after the other.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) claim: Claim,
    pub(super) is_making: bool,
    pub(super) steps: Vec<Step>,
    pub(super) applier: Arc<Applier>,
    pub(super) stop: watch::Receiver<Ending>,
}

impl std::fmt::Debug for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ended").field("resource", &self.resource).finish_non_exhaustive()
    }
}

impl Steps {
    pub(super) fn new(busy: Busy) -> Self {
        Self {
            busy,
            waiting: VecDeque::new(),
            making: JoinSet::new(),
            removing: JoinSet::new(),
            greetings: JoinSet::new(),
        }
    }

    /// None while an earlier step of the resource is under way.
    pub(super) fn claim(&self, resource: &ResourceName) -> Option<Claim> {
        self.busy.claim(resource)
    }

    pub(super) fn is_busy(&self, resource: &ResourceName) -> bool {
        self.busy.has(resource)
    }

    pub(super) fn under_way(&self) -> Vec<String> {
        self.busy.under_way()
    }

    pub(super) fn begin(&mut self, work: Work) {
        self.waiting.push_back(work);
        self.fill();
    }

    fn fill(&mut self) {
        while self.making.len() + self.removing.len() < UNDER_WAY_MAX
            && let Some(work) = self.waiting.pop_front()
        {
            if work.is_making { &mut self.making } else { &mut self.removing }.spawn(work.carry_out());
        }
    }

    pub(super) fn greet(&mut self, greeting: impl Future<Output = ()> + Send + 'static) {
        self.greetings.spawn(greeting);
    }

    pub(super) fn are_making(&self) -> bool {
        !self.making.is_empty() || self.waiting.iter().any(|work| work.is_making)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.making.is_empty() && self.removing.is_empty()
    }

    /// None if there is none.
    pub(super) async fn next(&mut self) -> Option<Ended> {
        loop {
            let joined = tokio::select! {
                biased;
                Some(joined) = self.making.join_next() => joined,
                Some(joined) = self.removing.join_next() => joined,
                else => return None,
            };
            self.fill();
            match joined {
                Ok(ended) => return Some(ended),
                Err(error) => tracing::error!(%error, "a step ended by a panic"),
            }
        }
    }
}

impl Work {
    /// The first step that is not done ends it. A step that has not begun when the mothership is asked to stop does not
    /// begin.
    async fn carry_out(self) -> Ended {
        let mut restarted = false;
        let mut result = Ok(Outcome::Done);
        for step in &self.steps {
            if *self.stop.borrow() != Ending::None {
                result = Ok(Outcome::UnderWay);
                break;
            }
            restarted |=
                step.reasons.contains(&Reason::Stopped) || step.reasons.contains(&Reason::Unresponsive);
            result = self.applier.apply(step).await;
            if !matches!(result, Ok(Outcome::Done)) {
                break;
            }
        }
        let desired = Arc::clone(&self.applier.desired);
        Ended { resource: self.claim.resource().clone(), restarted, result, desired }
    }
}
