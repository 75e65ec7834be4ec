//! Brings waiting jobs to free workers, oldest first, while it is this endpoint's turn, and writes down what became of them.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use flash_model::Code;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use super::turn::Turn;
use super::{Claimed, End, Outcome, Queue, Turns, collector, now_ms};
use crate::refusal::Refusal;
use crate::worker::pool::{self, Lease};
use crate::worker::{Answer, Health, Patience, Pool, Reply};

/// Jobs claimed in one transaction at most.
const CLAIM_MAX: usize = 64;
/// After the database or the workers refused.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// How soon an idle endpoint notices that another asks for its turn, or has accepted a job that it may run.
const LOOK_PERIOD: Duration = Duration::from_millis(250);
/// How soon a job of low priority notices that a worker is free: it may not ask for one.
const SPARE_PERIOD: Duration = Duration::from_millis(100);
const JOB_HEADER: Bytes = Bytes::from_static(br#"{"form":"job"}"#);

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Dispatcher {
    queue: Queue,
    pool: Pool,
    /// Whether jobs need a worker's one thread for plain functions.
    is_sync: bool,
    worker_prefix: Arc<str>,
    running: Arc<Mutex<Running>>,
}

#[derive(Debug, Default)]
struct Running {
    jobs: HashMap<String, oneshot::Sender<()>>,
    /// Interrupted between being claimed and being known here.
    interrupted: HashSet<String>,
}

impl Running {
    fn register(&mut self, id: &str) -> oneshot::Receiver<()> {
        let (cancel, cancelled) = oneshot::channel();
        if self.interrupted.remove(id) {
            let _ = cancel.send(());
        } else {
            self.jobs.insert(id.to_owned(), cancel);
        }
        cancelled
    }
}

impl Dispatcher {
    pub(crate) fn new(queue: Queue, pool: Pool, is_sync: bool, worker_prefix: &str) -> Self {
        Self { queue, pool, is_sync, worker_prefix: worker_prefix.into(), running: Arc::default() }
    }

    /// Dispatches whenever it is this endpoint's turn, until `stopping`; then waits for the jobs that run.
    pub(crate) async fn run(&self, turns: Turns, stopping: watch::Receiver<bool>) {
        let mut jobs = JoinSet::new();
        tokio::select! {
            () = self.take_turns(turns, stopping, &mut jobs) => {}
            never = self.heed_others() => match never {},
        }
        tokio::select! {
            () = async { while jobs.join_next().await.is_some() {} } => {}
            never = self.heed_others() => match never {},
        }
    }

    async fn take_turns(
        &self,
        mut turns: Turns,
        mut stopping: watch::Receiver<bool>,
        jobs: &mut JoinSet<()>,
    ) {
        loop {
            let asks = || self.queue.is_used() && self.pool.health() == Health::Healthy;
            let turn = tokio::select! {
                biased;
                _ = stopping.wait_for(|stopping| *stopping) => return,
                turn = turns.take(asks) => turn,
            };
            let living = match self.queue.recover().await {
                Ok(living) => living,
                Err(error) => {
                    tracing::error!(%error, "jobs that were in progress cannot be queued again");
                    tokio::time::sleep(PAUSE_MIN).await;
                    continue;
                }
            };
            self.queue.note_turn(true);
            self.dispatch(&turn, living, &mut stopping, jobs).await;
            self.queue.note_turn(false);
            self.pool.set_backlog(0);
        }
    }

    /// Until `stopping` or somebody else asks for the turn.
    async fn dispatch(
        &self,
        turn: &Turn<'_>,
        mut living: Vec<String>,
        stopping: &mut watch::Receiver<bool>,
        jobs: &mut JoinSet<()>,
    ) {
        loop {
            let slots = tokio::select! {
                biased;
                _ = stopping.wait_for(|stopping| *stopping) => return,
                () = self.asked_for(turn, &mut living) => return,
                slots = self.slots() => slots,
            };
            if turn.is_asked_for() {
                return;
            }
            // Not to be cut off: what was claimed is run.
            for (slot, job) in self.claim(slots).await {
                let dispatcher = self.clone();
                let cancelled = self.lock().register(&job.id);
                jobs.spawn(async move { dispatcher.run_job(slot, job, cancelled).await });
            }
            self.lock().interrupted.clear();
            while jobs.try_join_next().is_some() {}
        }
    }

    /// Meanwhile jobs of endpoints that end without finishing them are queued again.
    async fn asked_for(&self, turn: &Turn<'_>, living: &mut Vec<String>) {
        loop {
            tokio::time::sleep(LOOK_PERIOD).await;
            if turn.is_asked_for() {
                return;
            }
            // One of them is this endpoint.
            if living.len() > 1 {
                let lost = match self.queue.has_lost(living) {
                    Ok(true) => self.queue.recover().await.map(|left| *living = left),
                    other => other.map(drop),
                };
                if let Err(error) = lost {
                    tracing::error!(%error, "jobs of an endpoint that is gone cannot be queued again");
                }
            }
            if turn.has_news()
                && let Err(error) = self.queue.look().await
            {
                tracing::warn!(%error, "jobs cannot be looked at");
            }
        }
    }

    /// Jobs that run here may be cancelled by way of another endpoint of the resource.
    async fn heed_others(&self) -> Infallible {
        let mut seen = 0;
        loop {
            tokio::time::sleep(LOOK_PERIOD).await;
            let running: Vec<String> = self.lock().jobs.keys().cloned().collect();
            if running.is_empty() {
                continue;
            }
            match self.queue.ended_elsewhere(running, seen).await {
                Ok((ended, now)) => {
                    seen = now;
                    ended.iter().for_each(|id| self.interrupt(id));
                }
                Err(error) => tracing::warn!(%error, "jobs that run here cannot be looked at"),
            }
        }
    }

    /// Stops a job that a worker is running; it is already written down as cancelled.
    pub(crate) fn interrupt(&self, id: &str) {
        let mut running = self.lock();
        match running.jobs.remove(id) {
            Some(cancel) => drop(cancel.send(())),
            None => drop(running.interrupted.insert(id.to_owned())),
        }
    }

    /// Free slots, when jobs wait. They come first: a claimed job is never left without one.
    async fn slots(&self) -> Vec<Lease> {
        let mut backlog = self.queue.backlog();
        if backlog.borrow().jobs == 0 {
            self.pool.set_backlog(0);
        }
        let Ok(waiting) = backlog.wait_for(|waiting| waiting.jobs > 0).await.map(|waiting| *waiting) else {
            return std::future::pending().await;
        };
        // The first of them is about to stand at the door itself.
        self.pool.set_backlog((waiting.jobs - waiting.low_priority).saturating_sub(1));
        let first = if waiting.jobs > waiting.low_priority {
            self.pool.lease(self.is_sync, 0, Patience::Endless).await
        } else if let Some(spare) = self.pool.try_lease(self.is_sync) {
            Ok(spare)
        } else {
            let urgent = backlog.wait_for(|waiting| waiting.jobs > waiting.low_priority);
            let _ = tokio::time::timeout(SPARE_PERIOD, urgent).await;
            return Vec::new();
        };
        let first = match first {
            Ok(slot) => slot,
            Err(pool::Error::Failed(_, pause)) => {
                tokio::time::sleep(pause.max(PAUSE_MIN)).await;
                return Vec::new();
            }
            Err(_) => {
                tokio::time::sleep(PAUSE_MIN).await;
                return Vec::new();
            }
        };
        let mut slots = vec![first];
        while slots.len() < CLAIM_MAX.min(waiting.jobs as usize)
            && let Some(slot) = self.pool.try_lease(self.is_sync)
        {
            slots.push(slot);
        }
        slots
    }

    async fn claim(&self, slots: Vec<Lease>) -> Vec<(Lease, Claimed)> {
        if slots.is_empty() {
            return Vec::new();
        }
        let workers = slots.iter().map(|slot| format!("{}-{}", self.worker_prefix, slot.worker())).collect();
        match self.queue.claim(workers).await {
            Ok(claimed) => slots.into_iter().zip(claimed).collect(),
            Err(error) => {
                tracing::error!(%error, "no job can be claimed");
                tokio::time::sleep(PAUSE_MIN).await;
                Vec::new()
            }
        }
    }

    async fn run_job(&self, slot: Lease, mut job: Claimed, cancelled: oneshot::Receiver<()>) {
        let Claimed { attempt, execution_timeout, expires_ms, .. } = job;
        let input = std::mem::take(&mut job.input);
        let time_to_live = tokio::time::sleep(Duration::from_millis(expires_ms.saturating_sub(now_ms())));
        let mut cancelled = pin!(async {
            tokio::select! {
                biased;
                Ok(()) = cancelled => {}
                () = time_to_live => {}
            }
        });
        let run = async {
            let call = self.pool.run_until(
                slot.for_job(&job.id, attempt, job.trace.as_ref()),
                JOB_HEADER,
                input.into(),
                execution_timeout,
                cancelled.as_mut(),
            );
            match call.await? {
                Reply::Whole(answer) => Ok(Some(answer)),
                Reply::Stream(stream) => {
                    collector::collect(&self.pool, &self.queue, (&job.id, attempt), stream, cancelled).await
                }
            }
        };
        // Of no use to anybody, it is not begun either.
        let result = if expires_ms <= now_ms() { Err(pool::Error::Cancelled) } else { run.await };
        self.lock().jobs.remove(&job.id);
        let written = match self.outcome(result) {
            _ if expires_ms <= now_ms() => self.queue.remove(&job.id).await,
            Some(outcome) if outcome.is_retriable && job.failures < job.max_retries => {
                self.queue.try_again(&job, outcome.error).await
            }
            Some(outcome) => self.queue.finish(&job.id, attempt, outcome).await,
            None => self.queue.release(&job.id, attempt).await,
        };
        if let Err(error) = written {
            // It stays in progress, so the next start runs it again.
            tracing::error!(job = job.id, %error, "what became of a job cannot be written down");
        }
    }

    /// `None` when the attempt does not count. Without an answer it has yielded all that there is to say.
    fn outcome(&self, result: Result<Option<Answer>, pool::Error>) -> Option<Outcome> {
        let failed = |refusal: Refusal| Outcome {
            end: End::Failed,
            output: None,
            is_retriable: is_retriable(refusal.problem.code),
            error: Some(refusal.into_text()),
        };
        Some(match result {
            Ok(None) => Outcome { end: End::Completed, output: None, error: None, is_retriable: false },
            Ok(Some(Answer::Result { header, body })) => {
                let output = String::from_utf8_lossy(&body).into_owned();
                let end = if header.failed { End::Failed } else { End::Completed };
                let error = header.failed.then(|| "the function reported a failure; see output".to_owned());
                Outcome { end, output: Some(output), error, is_retriable: header.failed }
            }
            Ok(Some(Answer::Error(header))) => failed(header.into()),
            Ok(Some(Answer::Died(_))) if self.pool.is_draining() => return None,
            Ok(Some(Answer::Died(death))) => failed(Refusal::worker_died(&death)),
            Err(error @ pool::Error::ExecutionTimeout(_)) => {
                let error = Some(error.to_string());
                Outcome { end: End::TimedOut, output: None, error, is_retriable: true }
            }
            // Cancelled is final already; nothing that is written now changes it.
            Err(error) => failed(error.into()),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the same input may fare better another time.
fn is_retriable(code: Code) -> bool {
    !matches!(
        code,
        Code::UnknownFunction
            | Code::InvalidBody
            | Code::InvalidArguments
            | Code::PayloadTooLarge
            | Code::ResultNotSerializable
    )
}
