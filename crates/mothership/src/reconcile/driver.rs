//! The loop: one round after the other, by change, by signal and by period. Steps go on beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use flash_model::{
    Code, EventKind, Inventory, ObservedPhase, ResourceName, ResourceRecord, ResourceStatus, Retry, Secret,
    StateSnapshot,
};
use flash_plan::{Action, Plan, Policy, Reason, Step};
use flash_providers::Mandate;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::apply::{Applier, Outcome, Volumes, chain};
use super::backoff::Backoff;
use super::busy::Busy;
use super::caller::Caller;
use super::monitor::{Asker, Monitor, SOON, SOON_MAX};
use super::steps::{Ended, Steps, Work};
use super::wish::differences;
use super::{ApplyRefusal, Desired, Event, Exactly, Recorder, Wishes};
use crate::metrics::Metrics;
use crate::service::Ending;
use crate::settings::ReconcileSettings;
use crate::store;

/// Removals wait this long for what is being made, so that nobody calls what is gone.
const DELETIONS_WAIT: Duration = Duration::from_secs(60);
/// A plan is not applied beside steps under way. Most end sooner.
const PLAN_WAIT_MAX: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct Driver {
    pub(crate) settings: ReconcileSettings,
    pub(crate) recorder: Recorder,
    pub(crate) mandate: Mandate,
    pub(crate) mothership_url: String,
    pub(crate) token: Secret,
    /// Changes when somebody asks for a look at the world.
    pub(crate) again: watch::Receiver<u64>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) stop: watch::Receiver<Ending>,
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

/// What a term knows beside the state.
struct Term<'a> {
    wishes: &'a mut Wishes,
    /// What is being brought about.
    current: Option<Arc<Desired>>,
    /// As which it is stored.
    generation: u64,
    /// Whether the wish has been looked at since it came.
    is_heard: bool,
    /// Whether what was read of the state is still to be served.
    is_unserved: bool,
    /// Whether endpoints of earlier terms were told where their mothership is.
    has_greeted: bool,
    steps: Steps,
    backoff: Backoff<ResourceName>,
    volumes: Volumes,
    /// The lines last told: what takes several rounds is told once.
    told: BTreeMap<ResourceName, String>,
    troubles: BTreeSet<String>,
    deletions_wait_until: Option<Instant>,
    /// A plan that is to be applied exactly waits for what is under way.
    plan_waits_until: Option<Instant>,
}

impl Driver {
    /// Runs until it is asked to stop, then finishes the steps that have begun. Dropped, it stops where it is.
    pub(crate) async fn run(mut self, caller: Caller, wishes: &mut Wishes) {
        let busy = Busy::default();
        let monitor = Monitor::start(Asker {
            provider: Arc::clone(&self.settings.provider),
            recorder: self.recorder.clone(),
            busy: busy.clone(),
            jitter: self.settings.jitter.clone(),
            period: caller.limits().health_period,
        });
        let (mut changes, mut alarm) = (self.settings.provider.changes(), monitor.alarm());
        let mut heard = wishes.subscribe();
        let mut again = self.again.clone();
        again.mark_unchanged();
        let mut term = Term {
            wishes,
            current: None,
            generation: 0,
            is_heard: false,
            is_unserved: false,
            has_greeted: false,
            steps: Steps::new(busy),
            backoff: Backoff::default(),
            volumes: Volumes::default(),
            told: BTreeMap::new(),
            troubles: BTreeSet::new(),
            deletions_wait_until: None,
            plan_waits_until: None,
        };
        let mut rounds = Backoff::default();
        let mut next = Instant::now();
        let mut soon = SOON;
        while *self.stop.borrow() == Ending::None {
            let now = Instant::now();
            if now >= next {
                changes.mark_unchanged();
                alarm.mark_unchanged();
                next = match self.round(&caller, &monitor, &mut term).await {
                    Ok(()) => {
                        self.metrics.looked(now.elapsed());
                        self.recorder.tell(Event::Round { took: now.elapsed() });
                        rounds.clear();
                        Instant::now() + self.settings.period
                    }
                    Err(error) => {
                        self.recorder.tell(Event::Trouble { message: chain(&error) });
                        // The round may have taken longer than a period to fail. What cannot be mended by trying is
                        // looked at again once a period.
                        let now = Instant::now();
                        rounds.note(&(), error.retry(), now, self.settings.jitter.next());
                        rounds.next(now).map_or(now, |until| until.min(now + self.settings.period))
                    }
                };
                if let Some(until) = term.deletions_wait_until {
                    next = next.min(until);
                }
                if term.plan_waits_until.is_some() {
                    next = next.min(Instant::now() + SOON);
                }
            }
            let wake = term.backoff.next(Instant::now()).map_or(next, |until| until.min(next));
            tokio::select! {
                biased;
                _ = self.stop.changed() => {}
                changed = heard.changed() => {
                    if changed.is_err() { break }
                    term.is_heard = false;
                    term.backoff.clear();
                    rounds.clear();
                    next = Instant::now();
                }
                _ = again.changed() => {
                    term.backoff.clear();
                    rounds.clear();
                    next = Instant::now();
                }
                Some(ended) = term.steps.next() => {
                    match self.heed(&mut term, ended) {
                        Outcome::UnderWay => {
                            soon = (soon * 3 / 2).min(SOON_MAX);
                            next = next.min(Instant::now() + soon);
                        }
                        Outcome::Done => soon = SOON,
                    }
                    // What was done is looked at once all of it is.
                    if term.steps.is_empty() {
                        next = next.min(Instant::now() + if soon == SOON { Duration::ZERO } else { soon });
                    }
                }
                _ = changes.changed() => next = Instant::now(),
                _ = alarm.changed() => next = Instant::now(),
                () = sleep_until(wake) => next = next.min(wake),
            }
        }
        while let Some(ended) = term.steps.next().await {
            self.heed(&mut term, ended);
        }
    }

    async fn round(&self, caller: &Caller, monitor: &Monitor, term: &mut Term<'_>) -> Result<(), Error> {
        let exactly = self.hear(term).await?;
        // Before anything is read, as what a step writes from then on is not seen.
        let under_way = term.steps.under_way();
        let exactly = match exactly {
            Some(exactly) if !under_way.is_empty() => {
                let now = Instant::now();
                if now < *term.plan_waits_until.get_or_insert(now + PLAN_WAIT_MAX) {
                    // Nothing else begins meanwhile.
                    return Ok(());
                }
                exactly.answer(Err(ApplyRefusal::Moved(under_way)));
                None
            }
            exactly => exactly,
        };
        term.plan_waits_until = None;
        if term.current.is_none() && exactly.is_none() {
            return Ok(());
        }
        let listed = self.settings.provider.inventory(&self.recorder.scope);
        let (state, inventory) = tokio::join!(self.recorder.snapshot(), caller.call(listed));
        let (state, is_news) = state?;
        term.is_unserved |= is_news;
        if term.is_unserved {
            self.assert_current(term).await?;
            self.recorder.serve(inventory.as_ref().ok());
            term.is_unserved = false;
        }
        let mut inventory = inventory?;
        if !term.has_greeted
            && let Some(current) = term.current.clone()
        {
            self.greet(caller, monitor, term, &current, &state, &inventory);
            term.has_greeted = true;
        }
        let silent = monitor.unresponsive();
        for endpoint in &mut inventory.endpoints {
            if endpoint.phase == ObservedPhase::Running && silent.contains(&endpoint.endpoint_id) {
                endpoint.phase = ObservedPhase::Unresponsive;
            }
        }
        let policy = Policy {
            scope: self.recorder.scope.clone(),
            place: self.settings.provider.place(),
            own_resource: self.settings.own_resource.clone(),
            drift: self.settings.drift,
        };
        let plan_of = |desired: &Desired| flash_plan::plan(&desired.manifest, &state, &inventory, &policy);
        monitor.observe(&state, &inventory);
        if let Some(exactly) = exactly {
            match differences(&exactly.plan, &plan_of(&exactly.desired)) {
                none if none.is_empty() => self.publish_exactly(term, &exactly).await?,
                differences => exactly.answer(Err(ApplyRefusal::Moved(differences))),
            }
        }
        if self.settings.only_when_told && !term.wishes.was_any_applied() {
            return Ok(());
        }
        let Some(desired) = term.current.clone() else { return Ok(()) };
        let plan = plan_of(&desired);
        drop((state, inventory));
        self.tell_what_is_left(term, &plan).await;
        let applier = Arc::new(self.applier(caller, monitor, term, desired));
        self.begin(term, &applier, plan).await;
        Ok(())
    }

    /// Makes the last wish the current one, unless somebody else's manifest is younger. A plan that is to be applied
    /// exactly is given back, in every round until it is answered: whether it becomes the current wish is for the round to
    /// say.
    async fn hear(&self, term: &mut Term<'_>) -> Result<Option<Exactly>, Error> {
        let is_known = term.is_heard && term.current.is_some();
        let stored = match &term.current {
            None => self.recorder.store.manifest(&self.recorder.scope).await?,
            Some(_) => None,
        };
        let generation = stored.as_ref().map_or(0, |stored| stored.generation);
        let (fresh, exactly) = term.wishes.pending(generation);
        if let Some(wish) = fresh.filter(|_| !is_known) {
            self.publish(term, &wish.desired).await?;
            term.wishes.applied(&wish);
        }
        if term.current.is_none()
            && let Some(stored) = stored
        {
            let manifest = stored.manifest;
            let environment = (self.settings.environment)(&manifest);
            self.recorder.discovery.set_manifest(Arc::clone(&manifest), stored.generation);
            term.generation = stored.generation;
            term.current = Some(Arc::new(Desired { manifest, environment }));
        }
        term.is_heard = true;
        Ok(exactly)
    }

    async fn publish(&self, term: &mut Term<'_>, desired: &Arc<Desired>) -> Result<u64, Error> {
        let generation = self.recorder.apply_manifest(&desired.manifest).await?;
        term.current = Some(Arc::clone(desired));
        term.generation = generation;
        Ok(generation)
    }

    /// A request of ours that was held up on its way may have brought back what was wanted before: nobody else writes. What
    /// is being brought about is what is to be stored.
    async fn assert_current(&self, term: &mut Term<'_>) -> Result<(), Error> {
        let Some(current) = term.current.clone() else { return Ok(()) };
        let generations = self.recorder.store.generations(&self.recorder.scope).await?;
        if generations.first().is_some_and(|last| last.number != term.generation) {
            self.publish(term, &current).await?;
        }
        Ok(())
    }

    /// Writes down what a plan leads to. If that fails it may have been written down or not, and what is stored is what
    /// is wanted: it is read again.
    async fn publish_exactly(&self, term: &mut Term<'_>, exactly: &Exactly) -> Result<(), Error> {
        let Some(commitment) = exactly.commit() else { return Ok(()) };
        term.wishes.applied_exactly(exactly);
        match self.publish(term, &exactly.desired).await {
            Ok(generation) => {
                commitment.done(generation);
                Ok(())
            }
            Err(error) => {
                term.current = None;
                Err(error)
            }
        }
    }

    /// Tells endpoints that were told of another address where their mothership is now.
    fn greet(
        &self,
        caller: &Caller,
        monitor: &Monitor,
        term: &mut Term<'_>,
        desired: &Arc<Desired>,
        state: &StateSnapshot,
        inventory: &Inventory,
    ) {
        let is_elsewhere =
            |told: &Option<String>| told.as_ref().is_some_and(|told| *told != self.mothership_url);
        let applier = Arc::new(self.applier(caller, monitor, term, Arc::clone(desired)));
        for endpoint in &inventory.endpoints {
            let name = &endpoint.owner.resource;
            let recorded = state.records.get(name).and_then(|record| record.endpoint_id.as_ref());
            if recorded != Some(&endpoint.endpoint_id)
                || endpoint.phase != ObservedPhase::Running
                || !is_elsewhere(&endpoint.mothership_url)
            {
                continue;
            }
            let applier = Arc::clone(&applier);
            let (name, endpoint) = (name.clone(), endpoint.clone());
            term.steps.greet(async move { applier.greet(&name, &endpoint).await });
        }
    }

    fn applier(&self, caller: &Caller, monitor: &Monitor, term: &Term<'_>, desired: Arc<Desired>) -> Applier {
        Applier {
            caller: caller.clone(),
            recorder: self.recorder.clone(),
            monitor: monitor.clone(),
            volumes: term.volumes.clone(),
            desired,
            wishes: term.wishes.subscribe(),
            mandate: self.mandate.clone(),
            mothership_url: self.mothership_url.clone(),
            token: self.token.clone(),
        }
    }

    /// What nothing can or shall be done about, once.
    async fn tell_what_is_left(&self, term: &mut Term<'_>, plan: &Plan) {
        let deferred =
            plan.deferred.iter().map(|deferred| format!("{}: {}", deferred.resource, deferred.why));
        let mut troubles: BTreeSet<String> = deferred.collect();
        for step in plan.drifted() {
            let reasons: Vec<String> = step.reasons.iter().map(ToString::to_string).collect();
            let why = reasons.join(", ");
            troubles.insert(format!("{}: {why}", step.resource));
            if let Some(record) = self.recorder.record(&step.resource) {
                let mut drifted = told(&record, Some((Code::Drifted, why)));
                if step.reasons.contains(&Reason::Gone) {
                    // Nothing serves, also where it did while a new version could not be made.
                    (drifted.status, drifted.rejected) = (ResourceStatus::Failed, None);
                }
                self.show(&record, drifted).await;
            }
        }
        // What was put right outside is not told of any longer.
        for step in plan.steps.iter().filter(|step| step.reasons == [Reason::Unchanged]) {
            let serving = self.recorder.record(&step.resource).filter(ResourceRecord::serves);
            if let Some(record) = serving.filter(|record| record.status_code == Some(Code::Drifted)) {
                self.show(&record, told(&record, None)).await;
            }
        }
        for message in troubles.difference(&term.troubles) {
            self.recorder.tell(Event::Trouble { message: message.clone() });
        }
        term.troubles = troubles;
    }

    async fn show(&self, before: &ResourceRecord, now: ResourceRecord) {
        if now != *before
            && let Err(error) = self.recorder.write(now).await
        {
            tracing::debug!(resource = %before.resource, error = %chain(&error), "status not recorded");
        }
    }

    /// Begins the steps of a plan that may begin now. Within each half resources are independent and run side by side.
    async fn begin(&self, term: &mut Term<'_>, applier: &Arc<Applier>, plan: Plan) {
        let now = Instant::now();
        let mut held = Vec::new();
        let mut by_resource: BTreeMap<(bool, ResourceName), Vec<Step>> = BTreeMap::new();
        for step in plan.steps.into_iter().filter(|step| step.action != Action::NoOp) {
            if term.backoff.allows(&step.resource, now) {
                let is_removal = matches!(step.action, Action::Delete | Action::Forget);
                by_resource.entry((is_removal, step.resource.clone())).or_default().push(step);
            } else {
                held.push(step);
            }
        }
        let makes = by_resource.keys().any(|(is_removal, _)| !is_removal) || term.steps.are_making();
        let wait_until = *term.deletions_wait_until.get_or_insert(now + DELETIONS_WAIT);
        if !makes {
            term.deletions_wait_until = None;
        }
        for ((is_removal, resource), steps) in by_resource {
            if is_removal && makes && now < wait_until {
                continue;
            }
            let Some(claim) = term.steps.claim(&resource) else { continue };
            let line = steps.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
            if term.told.get(&resource) != Some(&line) {
                self.recorder.tell(Event::Step { resource: resource.clone(), line: line.clone() });
                self.recorder.journal.note(EventKind::StepBegun, Some(&resource), &line);
                term.told.insert(resource.clone(), line);
            }
            let (applier, stop) = (Arc::clone(applier), self.stop.clone());
            term.steps.begin(Work { claim, is_making: !is_removal, steps, applier, stop });
        }
        for step in held.iter().filter(|step| step.reasons.contains(&Reason::Stopped)) {
            let served = self.recorder.record(&step.resource).filter(ResourceRecord::serves);
            if let Some(record) = served.filter(|_| !term.steps.is_busy(&step.resource)) {
                let why = "its process is not running; it is started again soon".to_owned();
                let degraded = told(&record, Some((Code::EndpointUnreachable, why)));
                self.show(&record, ResourceRecord { status: ResourceStatus::Degraded, ..degraded }).await;
            }
        }
    }

    fn heed(&self, term: &mut Term<'_>, ended: Ended) -> Outcome {
        let Ended { resource, restarted, result, desired } = ended;
        let journal = &self.recorder.journal;
        match result {
            Ok(Outcome::UnderWay) => return Outcome::UnderWay,
            Ok(Outcome::Done) => {
                let line = term.told.remove(&resource).unwrap_or_default();
                journal.note(EventKind::StepDone, Some(&resource), line);
                if restarted {
                    term.backoff.note(&resource, Retry::Backoff, Instant::now(), self.settings.jitter.next());
                }
            }
            Err(error) => {
                let why = chain(&error);
                tracing::warn!(%resource, error = %why, "step failed");
                journal.note(EventKind::StepFailed, Some(&resource), why);
                let is_current = term.current.as_ref().is_some_and(|current| Arc::ptr_eq(current, &desired));
                let retry = match error.retry() {
                    // What was hopeless is not wanted any more.
                    Retry::Never if !is_current => Retry::Backoff,
                    retry => retry,
                };
                term.backoff.note(&resource, retry, Instant::now(), self.settings.jitter.next());
            }
        }
        Outcome::Done
    }
}

/// The record as it is, with another reason.
fn told(record: &ResourceRecord, why: Option<(Code, String)>) -> ResourceRecord {
    let (status_code, status_reason) = why.unzip();
    ResourceRecord { status_code, status_reason, ..record.clone() }
}
