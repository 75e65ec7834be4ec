//! The durable queue: a job that was accepted is on disk, survives the end of anything and runs at least once.
//!
//! `store.rs` is what a job may become, in SQL; `writer.rs` the one thread that owns the database; this file the handle;
//! `dispatcher.rs` brings jobs to workers; `identifier.rs` names them.

pub(crate) mod dispatcher;
mod identifier;
mod store;
mod writer;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flash_model::wire::{JobCounts, JobStatus, JobView};
use tokio::sync::{oneshot, watch};

pub(crate) use store::{Cancelled, Claimed, Outcome, Retried};

use store::Store;
use writer::Writer;

/// Jobs that may wait at the same time.
const JOBS_QUEUED_MAX: u64 = 100_000;
/// How long a finished job can be asked for.
const RESULT_TTL: Duration = Duration::from_secs(30 * 60);
/// Finished jobs kept at most, whatever their age.
const RESULTS_MAX: u64 = 10_000;
const SWEEP_PERIOD: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the job database cannot be used")]
    Store(#[source] Arc<rusqlite::Error>),
    #[error("the job database cannot be used: its thread is gone")]
    Gone,
    #[error("{JOBS_QUEUED_MAX} jobs are waiting already")]
    Full,
    #[error("no random numbers for a job id")]
    Random(#[source] getrandom::Error),
    #[error("cannot start the job database's thread")]
    Thread(#[source] std::io::Error),
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    writer: Writer,
    finished: Arc<Finished>,
}

impl Queue {
    /// Opens the database; jobs that were in progress when it was last used are queued again.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let store = Store::open(path, now_ms()).map_err(|error| Error::Store(Arc::new(error)))?;
        Ok(Self { writer: Writer::start(store).map_err(Error::Thread)?, finished: Arc::new(Finished::new()) })
    }

    /// Comes back when the job is on disk.
    pub(crate) async fn submit(&self, input: Box<str>, is_sync: bool) -> Result<String, Error> {
        if *self.writer.depth().borrow() >= JOBS_QUEUED_MAX {
            return Err(Error::Full);
        }
        let id = identifier::job_id(is_sync).map_err(Error::Random)?;
        let stored = id.clone();
        self.writer.execute(move |store| store.submit(&stored, &input, now_ms())).await?;
        Ok(id)
    }

    pub(crate) async fn view(&self, id: &str) -> Result<Option<JobView>, Error> {
        let id = id.to_owned();
        self.writer.execute(move |store| store.view(&id, now_ms())).await
    }

    /// The job when it is finished, or as it is after `limit` or at [`Self::end_waits`].
    pub(crate) async fn wait(&self, id: &str, limit: Duration) -> Result<Option<JobView>, Error> {
        let finished = self.finished.register(id);
        match self.view(id).await? {
            Some(view) if !view.status.is_terminal() => {
                let _ = tokio::time::timeout(limit, finished).await;
                self.view(id).await
            }
            other => Ok(other),
        }
    }

    /// The endpoint ends: whoever waits for a job is given it as it is now.
    pub(crate) fn end_waits(&self) {
        self.finished.close();
    }

    /// The oldest waiting jobs, one for each of `workers`; they are in progress from here on.
    pub(crate) async fn claim(&self, workers: Vec<String>) -> Result<Vec<Claimed>, Error> {
        self.writer.execute(move |store| store.claim(&workers, now_ms())).await
    }

    /// Ends an attempt. Without effect if the job has come to another end meanwhile.
    pub(crate) async fn finish(&self, id: &str, attempt: u32, outcome: Outcome) -> Result<(), Error> {
        let stored = id.to_owned();
        self.writer.execute(move |store| store.finish(&stored, attempt, &outcome, now_ms())).await?;
        self.finished.tell(id);
        Ok(())
    }

    /// Gives back an attempt that was cut off by our own end, as if it had not begun.
    pub(crate) async fn release(&self, id: &str, attempt: u32) -> Result<(), Error> {
        let id = id.to_owned();
        self.writer.execute(move |store| store.release(&id, attempt)).await
    }

    pub(crate) async fn cancel(&self, id: &str) -> Result<Option<Cancelled>, Error> {
        let stored = id.to_owned();
        let cancelled = self.writer.execute(move |store| store.cancel(&stored, now_ms())).await?;
        self.finished.tell(id);
        Ok(cancelled)
    }

    pub(crate) async fn retry(&self, id: &str) -> Result<Retried, Error> {
        let id = id.to_owned();
        self.writer.execute(move |store| store.retry(&id)).await
    }

    /// Cancels all waiting jobs; gives how many.
    pub(crate) async fn purge(&self) -> Result<usize, Error> {
        let ids = self.writer.execute(move |store| store.purge(now_ms())).await?;
        for id in &ids {
            self.finished.tell(id);
        }
        Ok(ids.len())
    }

    pub(crate) async fn counts(&self) -> Result<JobCounts, Error> {
        self.writer.execute(Store::counts).await
    }

    /// How many jobs wait, as it changes.
    pub(crate) fn depth(&self) -> watch::Receiver<u64> {
        self.writer.depth()
    }

    /// Forgets old results for as long as it is polled.
    pub(crate) async fn sweep(&self) {
        loop {
            let swept = self.writer.execute(|store| {
                store.sweep(now_ms().saturating_sub(RESULT_TTL.as_millis() as u64), RESULTS_MAX)
            });
            if let Err(error) = swept.await {
                tracing::warn!(%error, "old job results cannot be removed");
            }
            tokio::time::sleep(SWEEP_PERIOD).await;
        }
    }
}

/// Callers that wait for the end of a job.
#[derive(Debug)]
struct Finished {
    /// `None` when nobody is to wait any more.
    callers: Mutex<Option<Callers>>,
}

type Callers = HashMap<String, Vec<oneshot::Sender<()>>>;

impl Finished {
    fn new() -> Self {
        Self { callers: Mutex::new(Some(HashMap::new())) }
    }

    /// The receiver also comes back, with an error, when its sender is dropped by [`Self::close`].
    fn register(&self, id: &str) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        if let Some(callers) = self.lock().as_mut() {
            let waiting = callers.entry(id.to_owned()).or_default();
            waiting.retain(|caller| !caller.is_closed());
            waiting.push(sender);
        }
        receiver
    }

    fn tell(&self, id: &str) {
        let callers = self.lock().as_mut().and_then(|callers| callers.remove(id));
        for caller in callers.into_iter().flatten() {
            let _ = caller.send(());
        }
    }

    fn close(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Callers>> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Completed,
    Failed,
    TimedOut,
}

impl End {
    fn status(self) -> JobStatus {
        match self {
            Self::Completed => JobStatus::Completed,
            Self::Failed => JobStatus::Failed,
            Self::TimedOut => JobStatus::TimedOut,
        }
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}
