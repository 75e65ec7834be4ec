//! Turns what endpoints answer to `/ping` into recorded status. Never creates, changes or deletes anything.

use flash_model::{Code, Health, ObservedEndpoint, ObservedPhase, ResourceRecord, ResourceStatus};
use flash_providers::Provider;
use std::sync::Arc;
use tokio::task::JoinSet;

use super::Recorder;

/// Longest time an endpoint may say that it is starting.
pub(super) const READY_TIMEOUT_MS: u64 = 10 * 60 * 1000;

/// Asks every recorded endpoint and records what changed. True if one is still on its way to ready.
pub(super) async fn check(
    provider: &Arc<dyn Provider>,
    recorder: &Recorder,
    pairs: Vec<(ResourceRecord, ObservedEndpoint)>,
) -> bool {
    let mut checks = JoinSet::new();
    for (record, endpoint) in pairs {
        let (provider, recorder) = (Arc::clone(provider), recorder.clone());
        checks.spawn(async move {
            let health = match endpoint.phase {
                ObservedPhase::Running | ObservedPhase::Unresponsive => provider
                    .health(&endpoint)
                    .await
                    .unwrap_or_else(|error| Health::Unhealthy { reason: error.to_string() }),
                ObservedPhase::Stopped => {
                    Health::Unhealthy { reason: "its process is not running".to_owned() }
                }
            };
            let next = next_record(&record, &endpoint, health, recorder.clock.now_ms());
            let starting = next.status == ResourceStatus::Provisioning;
            if next == record {
                recorder.serve(&record);
            } else if let Err(error) = recorder.write(next).await {
                // A lost race: somebody wrote something newer, which the next round reads.
                tracing::debug!(resource = %record.resource, %error, "status not recorded");
            }
            starting
        });
    }
    checks.join_all().await.into_iter().any(|starting| starting)
}

/// Id and applied specification stay; only what health can tell changes.
fn next_record(
    record: &ResourceRecord,
    endpoint: &ObservedEndpoint,
    health: Health,
    now_ms: u64,
) -> ResourceRecord {
    let mut next = record.clone();
    if endpoint.url.is_some() {
        next.endpoint_url.clone_from(&endpoint.url);
    }
    (next.status, next.status_reason) = match (health, record.status) {
        // A failed replacement keeps its message while the old endpoint goes on serving.
        (Health::Ready, ResourceStatus::Failed) if record.intent.is_some() => {
            (ResourceStatus::Failed, record.status_reason.clone())
        }
        (Health::Ready, _) => {
            next.attempts = 0;
            (ResourceStatus::Ready, None)
        }
        (Health::Starting, ResourceStatus::Failed) => (ResourceStatus::Failed, record.status_reason.clone()),
        (Health::Starting, ResourceStatus::Provisioning)
            if now_ms.saturating_sub(record.updated_at_ms) > READY_TIMEOUT_MS =>
        {
            let reason = format!("{}: not ready after {} s", Code::NotReady, READY_TIMEOUT_MS / 1000);
            (ResourceStatus::Failed, Some(reason))
        }
        (Health::Starting, _) => (ResourceStatus::Provisioning, None),
        (
            Health::Unhealthy { reason } | Health::Unreachable { reason },
            ResourceStatus::Ready | ResourceStatus::Degraded,
        ) => (ResourceStatus::Degraded, Some(reason)),
        (Health::Unhealthy { reason } | Health::Unreachable { reason }, _) => {
            (ResourceStatus::Failed, Some(reason))
        }
    };
    next
}

#[cfg(test)]
mod tests {
    use flash_model::*;

    use super::*;

    #[test]
    fn status_follows_health_and_history() {
        use ResourceStatus::{Degraded, Failed, Provisioning, Ready};
        let sick = || Health::Unhealthy { reason: "ImportError: x".into() };
        let cases = [
            (Provisioning, Health::Ready, 0, Ready),
            (Provisioning, Health::Starting, 5, Provisioning),
            (Provisioning, Health::Starting, READY_TIMEOUT_MS + 1, Failed),
            (Provisioning, sick(), 0, Failed),
            (Ready, sick(), 0, Degraded),
            (Degraded, sick(), 0, Degraded),
            (Degraded, Health::Ready, 0, Ready),
            (Failed, Health::Ready, 0, Ready),
            (Failed, Health::Starting, 0, Failed),
        ];
        for (status, health, age_ms, expected) in cases {
            let name = ResourceName::new("a").unwrap();
            let scope =
                Scope { app: AppName::new("p").unwrap(), environment: EnvironmentName::new("dev").unwrap() };
            let endpoint = ObservedEndpoint {
                endpoint_id: EndpointId::new("e").unwrap(),
                owner: Owner { scope, resource: name.clone() },
                idempotency_key: IdempotencyKey::new("k").unwrap(),
                config_hash: String::new(),
                phase: ObservedPhase::Running,
                url: None,
                spec: None,
            };
            let mut record = ResourceRecord { status, ..ResourceRecord::new(name, "sim") };
            record.endpoint_id = Some(endpoint.endpoint_id.clone());
            let next = next_record(&record, &endpoint, health.clone(), age_ms);
            assert_eq!(next.status, expected, "{status:?} {health:?}");
            assert_eq!(next.endpoint_id, record.endpoint_id, "an id is never erased");
        }
    }
}
