//! Carries out one step of a plan. The only place that asks a provider to change the world.

use std::sync::Arc;
use std::time::Duration;

use flash_model::{
    Applied, Health, IdempotencyKey, Intent, IntentAction, ObservedEndpoint, Owner, Resource, ResourceRecord,
    ResourceStatus, Retry, Secret,
};
use flash_plan::{Action, Reason, Step};
use flash_providers::{EndpointRequest, Mandate, Provider};

use super::{Desired, Recorder};
use crate::store;

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Provider(#[from] flash_providers::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("the new endpoint did not become healthy: {reason}")]
    Unhealthy { reason: String },
    #[error("the step lacks {what}")]
    Incomplete { what: &'static str },
}

impl Error {
    pub(super) fn retry(&self) -> Retry {
        match self {
            Self::Provider(error) => error.retry(),
            Self::Store(error) => error.retry(),
            Self::Unhealthy { .. } => Retry::Backoff,
            Self::Incomplete { .. } => Retry::Never,
        }
    }

    /// Whether it is the resource that failed, and not we who may not write about it.
    fn is_of_the_resource(&self) -> bool {
        !matches!(self, Self::Store(_) | Self::Provider(flash_providers::Error::Fenced { .. }))
    }
}

/// Callers that looked an endpoint up just before it left the route table still reach it for this long.
const ROUTE_GRACE: Duration = Duration::from_millis(500);

/// What remains after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// The world is on its way; the same step comes again.
    UnderWay,
}

/// Everything that steps share.
#[derive(Debug, Clone)]
pub(super) struct Applier {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) recorder: Recorder,
    pub(super) desired: Arc<Desired>,
    pub(super) mandate: Mandate,
    pub(super) mothership_url: String,
    pub(super) token: Secret,
}

impl Applier {
    /// A failure is recorded as status and reason; id, URL and applied specification stay as they were.
    pub(super) async fn apply(&self, step: Step, record: Option<ResourceRecord>) -> Result<Outcome, Error> {
        let resource = step.resource.clone();
        let mut record =
            record.unwrap_or_else(|| ResourceRecord::new(resource.clone(), self.provider.name()));
        let result = match step.action {
            Action::NoOp => Ok(Outcome::Done),
            Action::Forget => {
                self.recorder.remove(&resource, step.record_version).await.map(done).map_err(Error::from)
            }
            Action::Adopt => self.adopt(&step, &mut record).await,
            Action::Create => self.create(&step, &mut record).await,
            Action::Update => self.update(&step, &mut record).await,
            Action::Replace => self.replace(&step, &mut record).await,
            Action::Delete => self.delete(&step, &mut record).await,
        };
        if let Err(Error::Provider(flash_providers::Error::Fenced { .. })) = &result {
            self.recorder.term.lose();
        }
        if let Err(error) = &result
            && error.is_of_the_resource()
        {
            record.status = ResourceStatus::Failed;
            record.status_reason = Some(chain(error));
            record.attempts += 1;
            self.recorder.write(record).await?;
        }
        result
    }

    /// Tells an endpoint that is as it should be where its mothership is now. Changes nothing else, and may fail:
    /// endpoints serve and call each other without us.
    pub(super) async fn greet(&self, step: &Step) {
        let request = own_key(step).and_then(|key| self.request(step, &key));
        let (Some(id), Ok(request)) = (&step.endpoint_id, request) else { return };
        if let Err(error) = self.provider.adopt(id, &request).await {
            tracing::debug!(resource = %step.resource, %error, "endpoint not greeted");
        }
    }

    async fn create(&self, step: &Step, record: &mut ResourceRecord) -> Result<Outcome, Error> {
        let (desired, key) = parts(step)?;
        self.intend(record, IntentAction::Create, desired, key).await?;
        let endpoint = self.provider.create(&self.request(step, key)?).await?;
        self.settle(record, &endpoint, desired).await
    }

    async fn update(&self, step: &Step, record: &mut ResourceRecord) -> Result<Outcome, Error> {
        let desired = desired(step)?;
        let id = step.endpoint_id.as_ref().ok_or(Error::Incomplete { what: "an endpoint id" })?;
        let key = key(step, record)?;
        self.intend(record, IntentAction::Update, desired, &key).await?;
        if !step.reasons.contains(&Reason::Stopped) {
            tokio::time::sleep(ROUTE_GRACE).await;
        }
        let endpoint = self.provider.update(id, &self.request(step, &key)?).await?;
        self.settle(record, &endpoint, desired).await
    }

    async fn adopt(&self, step: &Step, record: &mut ResourceRecord) -> Result<Outcome, Error> {
        let desired = desired(step)?;
        let id = step.endpoint_id.as_ref().ok_or(Error::Incomplete { what: "an endpoint id" })?;
        let request = self.request(step, &key(step, record)?)?;
        let endpoint = self.provider.adopt(id, &request).await?;
        self.settle(record, &endpoint, desired).await
    }

    /// The old endpoint serves until the new one is healthy. Repeated with the same key until then.
    async fn replace(&self, step: &Step, record: &mut ResourceRecord) -> Result<Outcome, Error> {
        let (desired, key) = parts(step)?;
        let intended = record.intent.as_ref().is_some_and(|intent| intent.idempotency_key == *key);
        if !intended {
            record.intent = Some(intent(IntentAction::Replace, desired, key));
            *record = self.recorder.write(record.clone()).await?;
        }
        let successor = self.provider.create(&self.request(step, key)?).await?;
        match self.provider.health(&successor).await? {
            Health::Starting => Ok(Outcome::UnderWay),
            Health::Ready => {
                let old = step.endpoint_id.as_ref().filter(|old| **old != successor.endpoint_id);
                self.settle(record, &successor, desired).await?;
                if let Some(old) = old {
                    tokio::time::sleep(ROUTE_GRACE).await;
                    self.provider.delete(old, &self.mandate).await?;
                }
                Ok(Outcome::Done)
            }
            Health::Unhealthy { reason } | Health::Unreachable { reason } => {
                self.provider.delete(&successor.endpoint_id, &self.mandate).await?;
                Err(Error::Unhealthy { reason })
            }
        }
    }

    async fn delete(&self, step: &Step, record: &mut ResourceRecord) -> Result<Outcome, Error> {
        let id = step.endpoint_id.as_ref().ok_or(Error::Incomplete { what: "an endpoint id" })?;
        let is_recorded = record.endpoint_id.as_ref() == Some(id);
        if is_recorded && record.version > 0 {
            record.status = ResourceStatus::Removing;
            record.intent = None;
            *record = self.recorder.write(record.clone()).await?;
        }
        self.provider.delete(id, &self.mandate).await?;
        if is_recorded && record.version > 0 {
            self.recorder.remove(&record.resource, record.version).await?;
        }
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
        record.status = ResourceStatus::Provisioning;
        record.status_reason = None;
        *record = self.recorder.write(record.clone()).await?;
        Ok(())
    }

    /// Records where the endpoint is and what it was made from. Whether it is ready is for the health check to say,
    /// except that a replacement was asked before.
    async fn settle(
        &self,
        record: &mut ResourceRecord,
        endpoint: &ObservedEndpoint,
        desired: &Resource,
    ) -> Result<Outcome, Error> {
        record.endpoint_id = Some(endpoint.endpoint_id.clone());
        record.endpoint_url.clone_from(&endpoint.url);
        record.applied = Some(Applied::of(desired));
        record.intent = None;
        record.status = match self.provider.health(endpoint).await {
            Ok(Health::Ready) => ResourceStatus::Ready,
            _ => ResourceStatus::Provisioning,
        };
        record.status_reason = None;
        *record = self.recorder.write(record.clone()).await?;
        Ok(Outcome::Done)
    }

    fn request(&self, step: &Step, key: &IdempotencyKey) -> Result<EndpointRequest, Error> {
        let manifest = self.desired.manifest.for_resource(&step.resource);
        let manifest = manifest.ok_or(Error::Incomplete { what: "an entry in the desired manifest" })?;
        Ok(EndpointRequest {
            owner: Owner { scope: self.recorder.scope.clone(), resource: step.resource.clone() },
            idempotency_key: key.clone(),
            manifest,
            environment: self.desired.environment.get(&step.resource).cloned().unwrap_or_default(),
            mandate: self.mandate.clone(),
            mothership_url: self.mothership_url.clone(),
            token: self.token.clone(),
        })
    }
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

fn done((): ()) -> Outcome {
    Outcome::Done
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
