//! Asks every recorded endpoint again and again how it is, and records what changed. Beside the rounds: a slow answer or a
//! long step holds up nobody else. Never creates, changes or deletes an endpoint; for one that does not answer any more it
//! raises an alarm.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
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
    /// Drawn anew whenever an endpoint was made or changed: an answer to an earlier question says nothing of it.
    era: u64,
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
    eras: AtomicU64,
    changed: Notify,
    alarm: watch::Sender<u64>,
}

struct Question {
    name: ResourceName,
    era: u64,
    endpoint: ObservedEndpoint,
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
            eras: AtomicU64::new(0),
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
            if matches!(endpoint.phase, ObservedPhase::Stopped | ObservedPhase::Draining) {
                watched.remove(name);
                continue;
            }
            let is_steady = matches!(record.status, ResourceStatus::Ready | ResourceStatus::Degraded);
            let spread = self.asker.period.mul_f64(self.asker.jitter.next());
            let due = now + if is_steady { spread } else { Duration::ZERO };
            let entry = watched.entry(name.clone()).or_insert_with(|| self.shared.watch(endpoint, due));
            if entry.endpoint.url != endpoint.url {
                *entry = self.shared.watch(endpoint, now);
            }
        }
        drop(watched);
        self.shared.changed.notify_one();
    }

    /// Watches an endpoint that was just made or changed, and that answered this.
    pub(super) fn watch(
        &self,
        resource: &ResourceName,
        endpoint: &ObservedEndpoint,
        health: Option<&Health>,
    ) {
        let pause = match health {
            Some(Health::Ready) => self.asker.period,
            _ => SOON,
        };
        let watched = self.shared.watch(endpoint, Instant::now() + pause);
        self.shared.watched().insert(resource.clone(), watched);
        self.shared.changed.notify_one();
    }

    pub(super) fn forget(&self, resource: &ResourceName) {
        self.shared.watched().remove(resource);
    }

    /// Asks one endpoint, now. None if it could not be asked.
    pub(super) async fn ask(&self, endpoint: &ObservedEndpoint) -> Option<Health> {
        self.asker.ask(endpoint).await
    }
}

impl Shared {
    fn watch(&self, endpoint: &ObservedEndpoint, due: Instant) -> Watched {
        let era = self.eras.fetch_add(1, Ordering::Relaxed);
        let endpoint = ObservedEndpoint { spec: None, ..endpoint.clone() };
        Watched { era, endpoint, due, pause: SOON, misses: 0, asking: false }
    }

    fn watched(&self) -> MutexGuard<'_, BTreeMap<ResourceName, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes those that are due, `at_most`, and says when the next one is.
    fn due(&self, at_most: usize) -> (Vec<Question>, Instant) {
        let now = Instant::now();
        let mut next = now + IDLE_PAUSE;
        let mut due = Vec::new();
        for (name, watched) in self.watched().iter_mut().filter(|(_, watched)| !watched.asking) {
            if watched.due <= now && due.len() < at_most {
                watched.asking = true;
                let (name, endpoint) = (name.clone(), watched.endpoint.clone());
                due.push(Question { name, era: watched.era, endpoint });
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
        for question in due {
            let (shared, asker) = (Arc::clone(&shared), asker.clone());
            checks.spawn(async move {
                let health = asker.ask(&question.endpoint).await;
                note(&shared, &asker, &question, health.as_ref()).await;
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

async fn note(shared: &Shared, asker: &Asker, question: &Question, health: Option<&Health>) {
    let misses = {
        let mut watched = shared.watched();
        let Some(watched) = watched.get_mut(&question.name).filter(|watched| watched.era == question.era)
        else {
            return;
        };
        watched.asking = false;
        match health {
            Some(Health::Unreachable { .. }) => watched.misses += 1,
            Some(_) => watched.misses = 0,
            // Who could not ask knows nothing.
            None => {}
        }
        let pause = match health {
            Some(Health::Ready | Health::Unhealthy { .. }) => {
                watched.pause = SOON;
                asker.period
            }
            Some(Health::Unreachable { .. }) | None => MISSED_PAUSE.min(asker.period),
            Some(Health::Starting) => {
                watched.pause = (watched.pause * 3 / 2).min(SOON_MAX);
                watched.pause
            }
        };
        watched.due = Instant::now() + pause;
        watched.misses
    };
    let Some(health) = health else { return };
    asker.record(question, health, misses).await;
    if misses > 0 && rollout::is_unresponsive(misses) {
        shared.alarm.send_modify(|count| *count += 1);
    }
}

impl Asker {
    /// An error says that it could not be asked, which is nothing about the endpoint.
    async fn ask(&self, endpoint: &ObservedEndpoint) -> Option<Health> {
        match timeout(CHECK_TIMEOUT, self.provider.health(endpoint)).await {
            Ok(Ok(health)) => Some(health),
            Ok(Err(error)) => {
                tracing::debug!(endpoint_id = %endpoint.endpoint_id, error = %chain(&error), "health not asked");
                None
            }
            Err(_) => {
                let reason = format!("no answer within {} s", CHECK_TIMEOUT.as_secs());
                Some(Health::Unreachable { reason })
            }
        }
    }

    async fn record(&self, question: &Question, health: &Health, misses: u32) {
        let Question { name, endpoint, .. } = question;
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
        if *health == Health::Ready {
            next.proven = true;
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
