//! The loop: one round after the other, by change, by signal and by period.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flash_model::{EventKind, Inventory, ResourceName, ResourceRecord, Retry, Secret, StateSnapshot};
use flash_plan::{Action, Plan, Policy, Reason, Step};
use flash_providers::Mandate;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::apply::{Applier, Outcome, chain};
use super::backoff::Backoff;
use super::{Desired, Event, Recorder, health};
use crate::settings::ReconcileSettings;
use crate::store;

/// Steps applied at the same time.
const PARALLEL_STEPS_MAX: usize = 8;
/// While something is under way the next round comes this soon, then later and later up to the second.
const SOON: Duration = Duration::from_millis(40);
const SOON_MAX: Duration = Duration::from_millis(400);

#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) settings: ReconcileSettings,
    pub(crate) recorder: Recorder,
    pub(crate) desired: watch::Receiver<Option<Arc<Desired>>>,
    pub(crate) mandate: Mandate,
    pub(crate) mothership_url: String,
    pub(crate) token: Secret,
    pub(crate) stop: watch::Receiver<bool>,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the state cannot be read or written")]
    Store(#[from] store::Error),
    #[error("the provider cannot say what exists")]
    Inventory(#[from] flash_providers::Error),
}

impl Error {
    fn retry(&self) -> Retry {
        match self {
            Self::Store(error) => error.retry(),
            Self::Inventory(error) => error.retry(),
        }
    }
}

/// What one round leaves for the next, beside the state.
#[derive(Debug, Default)]
struct Memory {
    /// What runs already was told where its mothership is now.
    greeted: bool,
    /// The desired state that is stored and served.
    published: Option<Arc<Desired>>,
    /// The line last told of each resource: a step that takes several rounds is told once.
    told: BTreeMap<ResourceName, String>,
}

/// What one round found and left.
struct Round {
    under_way: bool,
    trouble: Vec<(ResourceName, Retry)>,
}

impl Driver {
    /// Runs until `stop` becomes true, then finishes the steps that have begun. Dropped, it stops where it is.
    pub(crate) async fn run(mut self) {
        let mut memory = Memory::default();
        let (mut backoff, mut rounds) = (Backoff::default(), Backoff::default());
        let mut changes = self.settings.provider.changes();
        let mut soon = SOON;
        while !*self.stop.borrow() {
            let desired = self.desired.borrow_and_update().clone();
            changes.mark_unchanged();
            let mut next = Instant::now() + self.settings.period;
            if let Some(desired) = desired {
                match self.round(&desired, &backoff, &mut memory).await {
                    Ok(round) => {
                        for (resource, retry) in &round.trouble {
                            backoff.note(resource, *retry, Instant::now(), self.settings.jitter.next());
                        }
                        rounds.clear();
                        soon = if round.under_way { (soon * 3 / 2).min(SOON_MAX) } else { SOON };
                        if round.under_way {
                            next = Instant::now() + soon;
                        }
                    }
                    Err(error) => {
                        self.recorder.tell(Event::Trouble { message: chain(&error) });
                        // The round may have taken longer than a period to fail. What cannot be mended by trying is
                        // looked at again once a period.
                        let now = Instant::now();
                        rounds.note(&(), error.retry(), now, self.settings.jitter.next());
                        next = rounds.next(now).map_or(now, |until| until.min(now + self.settings.period));
                    }
                }
            }
            next = backoff.next(Instant::now()).map_or(next, |until| until.min(next));
            tokio::select! {
                biased;
                () = sleep_until(next) => {}
                _ = changes.changed() => {}
                changed = self.desired.changed() => {
                    backoff.clear();
                    rounds.clear();
                    if changed.is_err() { break }
                }
                _ = self.stop.changed() => {}
            }
        }
    }

    async fn round(
        &self,
        desired: &Arc<Desired>,
        backoff: &Backoff<ResourceName>,
        memory: &mut Memory,
    ) -> Result<Round, Error> {
        let scope = &self.recorder.scope;
        if !memory.published.as_ref().is_some_and(|published| Arc::ptr_eq(published, desired)) {
            self.recorder.apply_manifest(&desired.manifest).await?;
            memory.published = Some(Arc::clone(desired));
        }
        let (state, inventory) = self.observe().await?;
        let in_place = self.settings.provider.in_place().to_vec();
        let policy = Policy {
            scope: scope.clone(),
            own_resource: self.settings.own_resource.clone(),
            in_place,
            drift: self.settings.drift,
        };
        let plan = flash_plan::plan(&desired.manifest, &state, &inventory, &policy);
        for deferred in &plan.deferred {
            let message = format!("{}: {}", deferred.resource, deferred.why);
            self.recorder.tell(Event::Trouble { message });
        }
        let mut round = self.apply(desired, &plan, &state, backoff, memory).await;
        memory.greeted = true;
        let (state, inventory) = if plan.is_no_op() { (state, inventory) } else { self.observe().await? };
        round.under_way |=
            health::check(&self.settings.provider, &self.recorder, pairs(&state, &inventory)).await;
        Ok(round)
    }

    async fn observe(&self) -> Result<(StateSnapshot, Inventory), Error> {
        let scope = &self.recorder.scope;
        Ok((self.recorder.store.snapshot(scope).await?, self.settings.provider.inventory(scope).await?))
    }

    /// Deletions wait for everything else; within each half steps are independent and run side by side.
    async fn apply(
        &self,
        desired: &Arc<Desired>,
        plan: &Plan,
        state: &StateSnapshot,
        backoff: &Backoff<ResourceName>,
        memory: &mut Memory,
    ) -> Round {
        let applier = Applier {
            provider: Arc::clone(&self.settings.provider),
            recorder: self.recorder.clone(),
            desired: Arc::clone(desired),
            mandate: self.mandate.clone(),
            mothership_url: self.mothership_url.clone(),
            token: self.token.clone(),
        };
        let mut round = Round { under_way: false, trouble: Vec::new() };
        let mut greetings = JoinSet::new();
        let now = Instant::now();
        let due = |step: &&Step| step.action == Action::NoOp || backoff.allows(&step.resource, now);
        let (deletions, others): (Vec<&Step>, Vec<&Step>) =
            plan.steps.iter().filter(due).partition(|step| step.action == Action::Delete);
        for half in [others, deletions] {
            let permits = Arc::new(Semaphore::new(PARALLEL_STEPS_MAX));
            let mut running = JoinSet::new();
            for step in half {
                let step = step.clone();
                if step.action == Action::NoOp {
                    if !memory.greeted {
                        let applier = applier.clone();
                        greetings.spawn(async move { applier.greet(&step).await });
                    }
                    continue;
                }
                let line = step.to_string();
                if memory.told.get(&step.resource) != Some(&line) {
                    self.recorder.tell(Event::Step { resource: step.resource.clone(), line: line.clone() });
                    self.recorder.journal.note(EventKind::StepBegun, Some(&step.resource), &line);
                    memory.told.insert(step.resource.clone(), line);
                }
                let record = state.records.get(&step.resource).cloned();
                let (applier, permits, stop) = (applier.clone(), Arc::clone(&permits), self.stop.clone());
                running.spawn(async move {
                    let _permit = permits.acquire_owned().await;
                    let resource = step.resource.clone();
                    let restarted = step.reasons.contains(&Reason::Stopped);
                    let result =
                        if *stop.borrow() { Ok(Outcome::Done) } else { applier.apply(step, record).await };
                    (resource, restarted, result)
                });
            }
            while let Some(joined) = running.join_next().await {
                let Ok((resource, restarted, result)) = joined else { continue };
                let journal = &self.recorder.journal;
                match &result {
                    Ok(Outcome::UnderWay) => round.under_way = true,
                    Ok(Outcome::Done) => {
                        let line = memory.told.remove(&resource).unwrap_or_default();
                        journal.note(EventKind::StepDone, Some(&resource), line);
                        if restarted {
                            round.trouble.push((resource, Retry::Backoff));
                        }
                    }
                    Err(error) => {
                        let why = chain(error);
                        tracing::warn!(%resource, error = %why, "step failed");
                        journal.note(EventKind::StepFailed, Some(&resource), why);
                        round.trouble.push((resource, error.retry()));
                    }
                }
            }
        }
        greetings.join_all().await;
        round
    }
}

fn pairs(
    state: &StateSnapshot,
    inventory: &Inventory,
) -> Vec<(ResourceRecord, flash_model::ObservedEndpoint)> {
    let observed = |record: &ResourceRecord| {
        let id = record.endpoint_id.as_ref()?;
        inventory.endpoints.iter().find(|endpoint| endpoint.endpoint_id == *id).cloned()
    };
    state.records.values().filter_map(|record| Some((record.clone(), observed(record)?))).collect()
}
