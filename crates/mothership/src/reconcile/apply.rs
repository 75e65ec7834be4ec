//! Carries out one step of a plan. The only place that asks a provider to change the world.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flash_model::{
    Applied, Code, Existence, Health, IdempotencyKey, Intent, IntentAction, ObservedEndpoint, ObservedPhase,
    Owner, Resource, ResourceName, ResourceRecord, ResourceStatus, Retry, Secret, VolumeSpec,
};
use flash_plan::rollout::{ROLLOUT_ATTEMPTS_MAX, Verdict, Warming};
use flash_plan::{Action, Reason, Step};
use flash_providers::{EndpointRequest, Mandate};
use tokio::sync::{OnceCell, watch};
use tokio::time::{Instant, sleep};

use super::caller::Caller;
use super::monitor::{Monitor, SOON, SOON_MAX};
use super::{Desired, Recorder, Wish};
use crate::store;

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Provider(#[from] flash_providers::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("the new version did not become healthy: {reason}")]
    Unhealthy { reason: String, attempts: u32 },
    #[error("its environment says that it is a mothership ({IS_MOTHERSHIP}), which an endpoint never is")]
    Role,
    #[error("the step lacks {what}")]
    Incomplete { what: &'static str },
}

impl Error {
    pub(super) fn retry(&self) -> Retry {
        match self {
            Self::Provider(error) => error.retry(),
            Self::Store(error) => error.retry(),
            Self::Unhealthy { attempts, .. } if *attempts >= ROLLOUT_ATTEMPTS_MAX => Retry::Never,
            Self::Unhealthy { .. } => Retry::Backoff,
            Self::Role | Self::Incomplete { .. } => Retry::Never,
        }
    }

    /// Whether it is the resource that failed, and that has not been recorded yet.
    fn is_to_be_recorded(&self) -> bool {
        match self {
            Self::Store(_)
            | Self::Unhealthy { .. }
            | Self::Provider(flash_providers::Error::Fenced { .. }) => false,
            Self::Provider(_) | Self::Role | Self::Incomplete { .. } => true,
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::Provider(_) | Self::Incomplete { .. } => Code::ProviderFailed,
            Self::Store(_) => Code::StoreFailed,
            Self::Unhealthy { .. } => Code::NotReady,
            Self::Role => Code::ChildIsMothership,
        }
    }
}

/// Callers that looked an endpoint up just before it left the route table still reach it for this long.
const ROUTE_GRACE: Duration = Duration::from_millis(500);
/// Says of a process that it is a mothership.
const IS_MOTHERSHIP: &str = "FLASH_IS_MOTHERSHIP";

/// What remains after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// The world is not as it was planned for, or is on its way; the next round plans anew.
    UnderWay,
}

/// Volumes that exist, as far as this term knows: each is made sure of once, whoever mounts it.
#[derive(Debug, Clone, Default)]
pub(super) struct Volumes(Arc<Mutex<BTreeMap<String, Arc<OnceCell<()>>>>>);

/// Everything that steps share.
#[derive(Debug, Clone)]
pub(super) struct Applier {
    pub(super) caller: Caller,
    pub(super) recorder: Recorder,
    pub(super) monitor: Monitor,
    pub(super) volumes: Volumes,
    pub(super) desired: Arc<Desired>,
    /// A new wish, or the end, is not kept waiting by a version that is warming.
    pub(super) wishes: watch::Receiver<Wish>,
    pub(super) mandate: Mandate,
    pub(super) mothership_url: String,
    pub(super) token: Secret,
}

impl Applier {
    /// A failure is recorded as status and reason; id, URL and applied specification stay as they were.
    pub(super) async fn apply(&self, step: &Step) -> Result<Outcome, Error> {
        let resource = &step.resource;
        let record = self.recorder.record(resource);
        if record.as_ref().map_or(0, |record| record.version) != step.record_version {
            return Ok(Outcome::UnderWay);
        }
        let name = self.caller.provider.name();
        let mut record = record.unwrap_or_else(|| ResourceRecord::new(resource.clone(), name));
        let result = match step.action {
            Action::NoOp => Ok(Outcome::Done),
            Action::Forget => self.forget(&record).await,
            Action::Adopt => self.adopt(step, &mut record).await,
            Action::Create => self.create(step, &mut record).await,
            Action::Update | Action::Replace => self.change(step, &mut record).await,
            Action::Delete => self.delete(step, &mut record).await,
        };
        if let Err(Error::Provider(flash_providers::Error::Fenced { .. })) = &result {
            self.recorder.term.lose();
        }
        if let Err(error) = &result
            && error.is_to_be_recorded()
        {
            // What serves while a new version cannot be made goes on serving.
            if step.action == Action::Replace && record.serves() {
                record.rejected = step.desired.as_ref().map(|desired| desired.config_hash.clone());
            }
            fail(&mut record, error);
            self.recorder.write(record).await?;
        }
        result
    }

    /// Tells an endpoint that is as it should be where its mothership is now. Changes nothing else, and may fail:
    /// endpoints serve and call each other without us.
    pub(super) async fn greet(&self, resource: &ResourceName, endpoint: &ObservedEndpoint) {
        let Ok(request) = self.request(resource, &endpoint.idempotency_key) else { return };
        let greeted = self.caller.provider.adopt(&endpoint.endpoint_id, &request);
        if let Err(error) = self.caller.call(greeted).await {
            tracing::debug!(%resource, %error, "endpoint not greeted");
        }
    }

    async fn create(&self, step: &Step, record: &mut ResourceRecord) -> Result<Outcome, Error> {
        let (desired, key) = parts(step)?;
        if let Some(old) = &step.endpoint_id {
            match self.caller.call(self.caller.provider.find(old)).await? {
                Existence::Absent => {}
                Existence::Present(old) if old.phase == ObservedPhase::Draining => {}
                // The listing lags behind, or nobody knows: nothing is made beside what may be there.
                Existence::Present(_) | Existence::Unknown => return Ok(Outcome::UnderWay),
            }
        }
        let request = self.request(&step.resource, key)?;
        self.intend(record, IntentAction::Create, desired, key).await?;
        self.ensure_volumes(desired).await?;
        let endpoint = self.caller.call(self.caller.provider.create(&request)).await?;
        self.settle(record, &endpoint, desired).await
    }

    /// What we applied already, or began to, may only look different in a listing that lags behind: then it is asked for by
    /// its id.
    async fn change(&self, step: &Step, record: &mut ResourceRecord) -> Result<Outcome, Error> {
        let desired = desired(step)?;
        let is_applied =
            record.applied.as_ref().is_some_and(|applied| applied.config_hash == desired.config_hash)
                || record.intent.as_ref().is_some_and(|intent| {
                    intent.action == IntentAction::Update && intent.config_hash == desired.config_hash
                });
        if let Some(id) = step.endpoint_id.as_ref().filter(|_| is_applied)
            && !step.reasons.contains(&Reason::Unresponsive)
        {
            match self.caller.call(self.caller.provider.find(id)).await? {
                Existence::Present(now) if is_as_wanted(&now, desired) => {
                    return self.settle(record, &now, desired).await;
                }
                Existence::Present(_) => {}
                Existence::Absent | Existence::Unknown => return Ok(Outcome::UnderWay),
            }
        }
        match step.action {
            Action::Replace => self.replace(step, record).await,
            _ => self.update(step, record).await,
        }
    }

    async fn update(&self, step: &Step, record: &mut ResourceRecord) -> Result<Outcome, Error> {
        let desired = desired(step)?;
        let id = step.endpoint_id.as_ref().ok_or(Error::Incomplete { what: "an endpoint id" })?;
        let key = key(step, record)?;
        let request = self.request(&step.resource, &key)?;
        self.intend(record, IntentAction::Update, desired, &key).await?;
        self.ensure_volumes(desired).await?;
        if !step.reasons.contains(&Reason::Stopped) {
            sleep(ROUTE_GRACE).await;
        }
        let endpoint = self.caller.call(self.caller.provider.update(id, &request)).await?;
        self.settle(record, &endpoint, desired).await
    }

    async fn adopt(&self, step: &Step, record: &mut ResourceRecord) -> Result<Outcome, Error> {
        let desired = desired(step)?;
        let id = step.endpoint_id.as_ref().ok_or(Error::Incomplete { what: "an endpoint id" })?;
        let request = self.request(&step.resource, &key(step, record)?)?;
        let endpoint = self.caller.call(self.caller.provider.adopt(id, &request)).await?;
        self.settle(record, &endpoint, desired).await
    }

    /// The old endpoint serves until the new one is healthy. Interrupted and repeated, it goes on with the same new one.
    async fn replace(&self, step: &Step, record: &mut ResourceRecord) -> Result<Outcome, Error> {
        let (desired, key) = parts(step)?;
        let request = self.request(&step.resource, key)?;
        if record.intent.as_ref().is_none_or(|intent| intent.idempotency_key != *key) {
            record.intent = Some(intent(IntentAction::Replace, desired, key));
            if record.rejected.as_ref() != Some(&desired.config_hash) {
                record.attempts = 0;
            }
            *record = self.recorder.write(record.clone()).await?;
        }
        self.ensure_volumes(desired).await?;
        let successor = self.caller.call(self.caller.provider.create(&request)).await?;
        match self.warm(&successor).await {
            None => Ok(Outcome::UnderWay),
            Some(Ok(())) => {
                let old = step.endpoint_id.as_ref().filter(|old| **old != successor.endpoint_id);
                self.settle_as(record, &successor, desired, Some(&Health::Ready)).await?;
                if let Some(old) = old {
                    sleep(ROUTE_GRACE).await;
                    self.caller.call(self.caller.provider.delete(old, &self.mandate)).await?;
                }
                Ok(Outcome::Done)
            }
            Some(Err(reason)) => {
                let error = Error::Unhealthy { reason, attempts: record.attempts + 1 };
                record.intent = None;
                record.rejected = Some(desired.config_hash.clone());
                fail(record, &error);
                *record = self.recorder.write(record.clone()).await?;
                let id = &successor.endpoint_id;
                self.caller.call(self.caller.provider.delete(id, &self.mandate)).await?;
                Err(error)
            }
        }
    }

    /// Waits until it is certain whether a new version can serve. None if something else is wanted meanwhile.
    async fn warm(&self, successor: &ObservedEndpoint) -> Option<Result<(), String>> {
        let (begun, mut warming, mut pause) = (Instant::now(), Warming::default(), SOON);
        let mut wishes = self.wishes.clone();
        loop {
            let health = self.monitor.ask(successor).await.unwrap_or(Health::Starting);
            match warming.judge(&health, begun.elapsed()) {
                Verdict::Accept => return Some(Ok(())),
                Verdict::Reject { reason } => return Some(Err(reason)),
                Verdict::Wait => {}
            }
            tokio::select! {
                biased;
                _ = wishes.changed() => return None,
                () = sleep(pause) => pause = (pause * 3 / 2).min(SOON_MAX),
            }
        }
    }

    async fn delete(&self, step: &Step, record: &mut ResourceRecord) -> Result<Outcome, Error> {
        let id = step.endpoint_id.as_ref().ok_or(Error::Incomplete { what: "an endpoint id" })?;
        // Written down like any other, if it is to go for good: the deletion may take effect late, and by then nobody is to
        // have taken it back into use.
        if record.endpoint_id.is_none() && step.reasons.contains(&Reason::NotInManifest) {
            record.endpoint_id = Some(id.clone());
        }
        let is_recorded = record.endpoint_id.as_ref() == Some(id);
        if step.reasons.contains(&Reason::Gone) {
            // Recorded and not listed: the listing may lag behind, or somebody else has it now.
            match self.caller.call(self.caller.provider.find(id)).await? {
                Existence::Present(found) if found.owner.scope != self.recorder.scope => {
                    return self.forget(record).await;
                }
                Existence::Unknown => return Ok(Outcome::UnderWay),
                Existence::Present(_) | Existence::Absent => {}
            }
        }
        if is_recorded {
            self.monitor.forget(&record.resource);
            let served = record.serves();
            let config_hash =
                record.applied.as_ref().map_or_else(String::new, |applied| applied.config_hash.clone());
            let idempotency_key = own_key(step)?;
            record.intent = Some(Intent { action: IntentAction::Delete, idempotency_key, config_hash });
            record.status = ResourceStatus::Removing;
            record.status_reason = None;
            record.status_code = None;
            *record = self.recorder.write(record.clone()).await?;
            if served {
                sleep(ROUTE_GRACE).await;
            }
        }
        self.caller.call(self.caller.provider.delete(id, &self.mandate)).await?;
        if is_recorded {
            self.recorder.remove(&record.resource, record.version).await?;
        }
        Ok(Outcome::Done)
    }

    async fn forget(&self, record: &ResourceRecord) -> Result<Outcome, Error> {
        self.recorder.remove(&record.resource, record.version).await?;
        Ok(Outcome::Done)
    }

    async fn intend(
        &self,
        record: &mut ResourceRecord,
        action: IntentAction,
        desired: &Resource,
        key: &IdempotencyKey,
    ) -> Result<(), Error> {
        record.intent = Some(intent(action, desired, key));
        record.proven = false;
        record.status = ResourceStatus::Provisioning;
        record.status_reason = None;
        record.status_code = None;
        *record = self.recorder.write(record.clone()).await?;
        Ok(())
    }

    /// Records where the endpoint is and what it was made from, and how it is.
    async fn settle(
        &self,
        record: &mut ResourceRecord,
        endpoint: &ObservedEndpoint,
        desired: &Resource,
    ) -> Result<Outcome, Error> {
        let health = self.monitor.ask(endpoint).await;
        self.settle_as(record, endpoint, desired, health.as_ref()).await
    }

    async fn settle_as(
        &self,
        record: &mut ResourceRecord,
        endpoint: &ObservedEndpoint,
        desired: &Resource,
        health: Option<&Health>,
    ) -> Result<Outcome, Error> {
        record.place = self.caller.provider.place();
        record.endpoint_id = Some(endpoint.endpoint_id.clone());
        record.endpoint_url.clone_from(&endpoint.url);
        record.applied = Some(Applied::of(desired));
        record.intent = None;
        record.rejected = None;
        record.status_reason = None;
        record.status_code = None;
        record.status = ResourceStatus::Provisioning;
        record.proven = health == Some(&Health::Ready);
        if record.proven {
            record.status = ResourceStatus::Ready;
            record.attempts = 0;
        }
        *record = self.recorder.write(record.clone()).await?;
        self.monitor.watch(&record.resource, endpoint, health);
        Ok(Outcome::Done)
    }

    async fn ensure_volumes(&self, desired: &Resource) -> Result<(), Error> {
        for volume in &desired.spec.volumes {
            let ensured = self.volumes.cell(volume);
            let ensure =
                || self.caller.call(self.caller.provider.ensure_volume(&self.recorder.scope, volume));
            ensured.get_or_try_init(ensure).await?;
        }
        Ok(())
    }

    fn request(&self, resource: &ResourceName, key: &IdempotencyKey) -> Result<EndpointRequest, Error> {
        let manifest = self.desired.manifest.for_resource(resource);
        let manifest = manifest.ok_or(Error::Incomplete { what: "an entry in the desired manifest" })?;
        let environment = self.desired.environment.get(resource).cloned().unwrap_or_default();
        if environment.get(IS_MOTHERSHIP).is_some_and(|value| value.expose().eq_ignore_ascii_case("true")) {
            return Err(Error::Role);
        }
        Ok(EndpointRequest {
            owner: Owner { scope: self.recorder.scope.clone(), resource: resource.clone() },
            idempotency_key: key.clone(),
            manifest,
            environment,
            mandate: self.mandate.clone(),
            mothership_url: self.mothership_url.clone(),
            token: self.token.clone(),
        })
    }
}

impl Volumes {
    fn cell(&self, volume: &VolumeSpec) -> Arc<OnceCell<()>> {
        let known = format!("{:?} {:?} {:?}", volume.id, volume.name, volume.datacenter);
        Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(known).or_default())
    }
}

fn is_as_wanted(endpoint: &ObservedEndpoint, desired: &Resource) -> bool {
    endpoint.phase == ObservedPhase::Running
        && endpoint.config_hash == desired.config_hash
        && endpoint.spec.as_ref().is_none_or(|spec| *spec == desired.spec)
}

fn fail(record: &mut ResourceRecord, error: &Error) {
    record.status = ResourceStatus::Failed;
    record.status_reason = Some(chain(error));
    record.status_code = Some(error.code());
    record.attempts += 1;
}

/// For steps that make nothing new: the key that the record knows, else the endpoint's own.
fn key(step: &Step, record: &ResourceRecord) -> Result<IdempotencyKey, Error> {
    match &record.intent {
        Some(intent) => Ok(intent.idempotency_key.clone()),
        None => own_key(step),
    }
}

fn own_key(step: &Step) -> Result<IdempotencyKey, Error> {
    let own = step.endpoint_id.as_ref().and_then(|id| IdempotencyKey::new(id.as_str()).ok());
    own.ok_or(Error::Incomplete { what: "an idempotency key" })
}

fn desired(step: &Step) -> Result<&Resource, Error> {
    step.desired.as_deref().ok_or(Error::Incomplete { what: "the desired resource" })
}

fn parts(step: &Step) -> Result<(&Resource, &IdempotencyKey), Error> {
    let key = step.idempotency_key.as_ref().ok_or(Error::Incomplete { what: "an idempotency key" })?;
    Ok((desired(step)?, key))
}

fn intent(action: IntentAction, desired: &Resource, key: &IdempotencyKey) -> Intent {
    Intent { action, idempotency_key: key.clone(), config_hash: desired.config_hash.clone() }
}

/// An error with its causes on one line, for a record's reason.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
