//! Asks every recorded endpoint again and again how it is, and records what changed. Beside the rounds: a slow answer or a
//! long step holds up nobody else. Never creates, changes or deletes an endpoint; for one that does not answer any more it
//! raises an alarm.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flash_model::{
    Completeness, EndpointId, Health, Inventory, ObservedEndpoint, ObservedPhase, ResourceName,
    ResourceRecord, ResourceStatus, StateSnapshot,
};
use flash_plan::rollout;
use flash_providers::Provider;
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};

use super::busy::Busy;
use super::{Recorder, chain};
use crate::jitter::Jitter;

/// Endpoints asked at the same time.
const PARALLEL_CHECKS_MAX: usize = 64;
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// An endpoint that is starting is asked this soon, then later and later up to the second.
pub(super) const SOON: Duration = Duration::from_millis(40);
pub(super) const SOON_MAX: Duration = Duration::from_millis(400);
/// One that did not answer.
const MISSED_PAUSE: Duration = Duration::from_secs(1);
/// When nothing is watched.
const IDLE_PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct Watched {
    endpoint: ObservedEndpoint,
    due: Instant,
    pause: Duration,
    /// Checks in a row without an answer.
    misses: u32,
    asking: bool,
}

#[derive(Debug)]
struct Shared {
    watched: Mutex<BTreeMap<ResourceName, Watched>>,
    changed: Notify,
    alarm: watch::Sender<u64>,
}

/// What asks, and with what.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) recorder: Recorder,
    pub(super) busy: Busy,
    pub(super) jitter: Jitter,
    /// Between two checks of an endpoint that serves.
    pub(super) period: Duration,
}

/// A cheap clone. Checks end with the last one.
#[derive(Debug, Clone)]
pub(super) struct Monitor {
    shared: Arc<Shared>,
    asker: Asker,
    _task: Arc<Task>,
}

#[derive(Debug)]
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Monitor {
    pub(super) fn start(asker: Asker) -> Self {
        let shared = Arc::new(Shared {
            watched: Mutex::default(),
            changed: Notify::new(),
            alarm: watch::Sender::new(0),
        });
        let task = tokio::spawn(run(Arc::clone(&shared), asker.clone()));
        Self { shared, asker, _task: Arc::new(Task(task.abort_handle())) }
    }

    /// Changes value when an endpoint has not answered for too long.
    pub(super) fn alarm(&self) -> watch::Receiver<u64> {
        self.shared.alarm.subscribe()
    }

    pub(super) fn unresponsive(&self) -> BTreeSet<EndpointId> {
        let watched = self.shared.watched();
        let silent = watched.values().filter(|watched| rollout::is_unresponsive(watched.misses));
        silent.map(|watched| watched.endpoint.endpoint_id.clone()).collect()
    }

    /// Watches what is recorded and exists; what is new here is asked soon if it is on its way, else some time within the
    /// period, so that ten thousand are not asked at once.
    pub(super) fn observe(&self, state: &StateSnapshot, inventory: &Inventory) {
        let seen: BTreeMap<&EndpointId, &ObservedEndpoint> =
            inventory.endpoints.iter().map(|endpoint| (&endpoint.endpoint_id, endpoint)).collect();
        let now = Instant::now();
        let mut watched = self.shared.watched();
        let is_whole = inventory.completeness == Completeness::Complete;
        watched.retain(|name, watched| {
            let recorded = state.records.get(name).and_then(|record| record.endpoint_id.as_ref());
            recorded == Some(&watched.endpoint.endpoint_id)
                && (!is_whole || seen.contains_key(&watched.endpoint.endpoint_id))
        });
        for (name, record) in &state.records {
            let Some(endpoint) = record.endpoint_id.as_ref().and_then(|id| seen.get(id)) else { continue };
            if endpoint.phase == ObservedPhase::Stopped {
                watched.remove(name);
                continue;
            }
            let is_steady = matches!(record.status, ResourceStatus::Ready | ResourceStatus::Degraded);
            let spread = self.asker.period.mul_f64(self.asker.jitter.next());
            let due = now + if is_steady { spread } else { Duration::ZERO };
            let entry = watched.entry(name.clone()).or_insert_with(|| Watched::new(endpoint, due));
            if entry.endpoint.url != endpoint.url {
                *entry = Watched::new(endpoint, now);
            }
        }
        drop(watched);
        self.shared.changed.notify_one();
    }

    /// Watches an endpoint that was just made or changed, and that answered this.
    pub(super) fn watch(&self, resource: &ResourceName, endpoint: &ObservedEndpoint, health: &Health) {
        let pause = match health {
            Health::Ready => self.asker.period,
            _ => SOON,
        };
        let watched = Watched::new(endpoint, Instant::now() + pause);
        self.shared.watched().insert(resource.clone(), watched);
        self.shared.changed.notify_one();
    }

    pub(super) fn forget(&self, resource: &ResourceName) {
        self.shared.watched().remove(resource);
    }

    /// Asks one endpoint, now.
    pub(super) async fn ask(&self, endpoint: &ObservedEndpoint) -> Health {
        self.asker.ask(endpoint).await
    }
}

impl Watched {
    fn new(endpoint: &ObservedEndpoint, due: Instant) -> Self {
        let endpoint = ObservedEndpoint { spec: None, ..endpoint.clone() };
        Self { endpoint, due, pause: SOON, misses: 0, asking: false }
    }
}

impl Shared {
    fn watched(&self) -> MutexGuard<'_, BTreeMap<ResourceName, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes those that are due, `at_most`, and says when the next one is.
    fn due(&self, at_most: usize) -> (Vec<(ResourceName, ObservedEndpoint)>, Instant) {
        let now = Instant::now();
        let mut next = now + IDLE_PAUSE;
        let mut due = Vec::new();
        for (name, watched) in self.watched().iter_mut().filter(|(_, watched)| !watched.asking) {
            if watched.due <= now && due.len() < at_most {
                watched.asking = true;
                due.push((name.clone(), watched.endpoint.clone()));
            } else {
                next = next.min(watched.due);
            }
        }
        (due, next)
    }
}

async fn run(shared: Arc<Shared>, asker: Asker) {
    let mut checks = JoinSet::new();
    loop {
        let (due, next) = shared.due(PARALLEL_CHECKS_MAX - checks.len());
        for (name, endpoint) in due {
            let (shared, asker) = (Arc::clone(&shared), asker.clone());
            checks.spawn(async move {
                let health = asker.ask(&endpoint).await;
                note(&shared, &asker, &name, &endpoint, &health).await;
            });
        }
        let is_full = checks.len() >= PARALLEL_CHECKS_MAX;
        tokio::select! {
            biased;
            Some(_) = checks.join_next() => {}
            () = shared.changed.notified() => {}
            () = sleep_until(next), if !is_full => {}
        }
    }
}

async fn note(
    shared: &Shared,
    asker: &Asker,
    name: &ResourceName,
    endpoint: &ObservedEndpoint,
    health: &Health,
) {
    let misses = {
        let mut watched = shared.watched();
        let Some(watched) =
            watched.get_mut(name).filter(|watched| watched.endpoint.endpoint_id == endpoint.endpoint_id)
        else {
            return;
        };
        watched.asking = false;
        watched.misses = match health {
            Health::Unreachable { .. } => watched.misses + 1,
            _ => 0,
        };
        let pause = match health {
            Health::Ready | Health::Unhealthy { .. } => {
                watched.pause = SOON;
                asker.period
            }
            Health::Unreachable { .. } => MISSED_PAUSE.min(asker.period),
            Health::Starting => {
                watched.pause = (watched.pause * 3 / 2).min(SOON_MAX);
                watched.pause
            }
        };
        watched.due = Instant::now() + pause;
        watched.misses
    };
    asker.record(name, endpoint, health, misses).await;
    if misses > 0 && rollout::is_unresponsive(misses) {
        shared.alarm.send_modify(|count| *count += 1);
    }
}

impl Asker {
    async fn ask(&self, endpoint: &ObservedEndpoint) -> Health {
        let unreachable = |reason| Health::Unreachable { reason };
        match timeout(CHECK_TIMEOUT, self.provider.health(endpoint)).await {
            Ok(Ok(health)) => health,
            Ok(Err(error)) => unreachable(chain(&error)),
            Err(_) => unreachable(format!("no answer within {} s", CHECK_TIMEOUT.as_secs())),
        }
    }

    async fn record(&self, name: &ResourceName, endpoint: &ObservedEndpoint, health: &Health, misses: u32) {
        if self.busy.has(name) {
            return;
        }
        let Some(record) = self
            .recorder
            .record(name)
            .filter(|record| record.endpoint_id.as_ref() == Some(&endpoint.endpoint_id))
        else {
            return;
        };
        let assessment = rollout::assess(&record, health, misses, self.recorder.clock.now_ms());
        let mut next = ResourceRecord {
            status: assessment.status,
            status_reason: assessment.reason,
            status_code: assessment.code,
            ..record.clone()
        };
        if endpoint.url.is_some() {
            next.endpoint_url.clone_from(&endpoint.url);
        }
        if next.status == ResourceStatus::Ready {
            next.attempts = 0;
        }
        if next != record
            && let Err(error) = self.recorder.write(next).await
        {
            // A lost race: somebody wrote something newer, which the next check reads.
            tracing::debug!(resource = %name, error = %chain(&error), "status not recorded");
        }
    }
}
