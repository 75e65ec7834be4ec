//! The durable queue: a job that was accepted is on disk, survives the end of anything and runs at least once.
//!
//! `folder.rs` is where it lies, shared by the endpoints of one resource; `store.rs` what a job may become, in SQL;
//! `writer.rs` the one thread that has the database, `checkpoint.rs` another that keeps its log small; this file the handle; `turn.rs` whose turn it is to bring jobs to
//! workers, `dispatcher.rs` how that is done; `collector.rs` and `parts.rs` are for what generators yield; `policy.rs` what a job asks
//! for itself; `key.rs` how a submission is known again; `clock.rs` tries jobs again and ends their time to live; `dead.rs` keeps
//! those that failed for good; `webhook.rs` tells of an end; `identifier.rs` names jobs.

mod checkpoint;
mod clock;
mod collector;
mod dead;
pub(crate) mod dispatcher;
mod folder;
mod identifier;
pub(crate) mod key;
mod parts;
pub(crate) mod policy;
mod store;
mod turn;
pub(crate) mod webhook;
mod writer;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flash_model::wire::{JobAccepted, JobCounts, JobStatus, JobView};
use tokio::sync::{Notify, oneshot, watch};

use checkpoint::Checkpoints;
use folder::QueueDir;
pub(crate) use parts::Read;
pub(crate) use store::{Backlog, Cancelled, Claimed, Outcome, Redrive, Retried, Submission};
use turn::Turns;

use store::{Delivery, Gone, Kept, Known, Store};
use webhook::Due;
use writer::Writer;

/// Jobs that may wait at the same time.
const JOBS_QUEUED_MAX: u64 = 100_000;
/// What their inputs may have together.
const QUEUE_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// Ends of jobs that somebody is still to be told of; above, no job with a webhook is accepted.
const DELIVERIES_MAX: u64 = 10_000;
/// How long a finished job can be asked for.
const RESULT_TTL: Duration = Duration::from_secs(30 * 60);
/// Finished jobs kept at most, whatever their age.
const RESULTS_MAX: u64 = 10_000;
const RESULT_BYTES_MAX: u64 = 1024 * 1024 * 1024;
const SWEEP_PERIOD: Duration = Duration::from_secs(30);
/// Removed in one transaction at most: whoever waits for the next one does not wait long.
const SWEEP_STEP: usize = 64;
/// So many more than are kept do not wait for the next sweep.
const SWEEP_EARLY: u64 = 2000;
/// How long an endpoint that is given its first job waits to be the next that runs some, so that it runs this one itself.
const SETTLE_TIMEOUT: Duration = Duration::from_millis(100);
/// How soon the end of a job at another endpoint is seen, while somebody waits for it.
const OTHERS_PERIOD: Duration = Duration::from_millis(100);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the job database cannot be used")]
    Store(#[source] Arc<rusqlite::Error>),
    #[error("the job database cannot be used: its thread is gone")]
    Gone,
    #[error("{JOBS_QUEUED_MAX} jobs are waiting already")]
    Full,
    #[error("the jobs that are waiting have {QUEUE_BYTES_MAX} bytes of input already")]
    FullOfBytes,
    #[error("{DELIVERIES_MAX} webhooks have not been taken yet by those who asked for them")]
    FullOfWebhooks,
    #[error("the idempotency key was used for a job with another body")]
    KeyTaken,
    #[error("no random numbers for a job id")]
    Random(#[source] getrandom::Error),
    #[error("cannot start the job database's thread")]
    Thread(#[source] std::io::Error),
    #[error("the queue's folder {} cannot be used", path.display())]
    Folder {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    dir: Arc<QueueDir>,
    writer: Writer,
    finished: Arc<Finished>,
    /// Whether this endpoint was given something to run.
    is_used: Arc<AtomicBool>,
    settled: watch::Sender<bool>,
    has_turn: Arc<AtomicBool>,
    ended: Arc<Ended>,
    due: Due,
    /// Of jobs that are tried again.
    retries: Due,
}

/// Counts jobs that ended here, so that results are swept in time.
#[derive(Debug, Default)]
struct Ended {
    since_sweep: AtomicU64,
    many: Notify,
}

impl Queue {
    /// Opens the database, whoever else has it open. What an earlier process of the endpoint was running is queued again.
    pub(crate) fn open(path: &Path, endpoint: &str) -> Result<Self, Error> {
        let failed = |source| Error::Folder { path: path.to_owned(), source };
        let dir = QueueDir::open(path, endpoint).map_err(failed)?;
        let opened = Store::open(&dir.jobs()).and_then(|store| {
            store.begin()?;
            store.recover(Gone::This(endpoint), now_ms())?;
            store.commit()?;
            Ok(store)
        });
        let store = opened.map_err(|error| Error::Store(Arc::new(error)))?;
        let checkpoints = Checkpoints::of(dir.jobs());
        Ok(Self {
            dir: Arc::new(dir),
            writer: Writer::start(store, checkpoints).map_err(Error::Thread)?,
            finished: Arc::new(Finished::new()),
            is_used: Arc::default(),
            settled: watch::Sender::new(false),
            has_turn: Arc::default(),
            ended: Arc::default(),
            due: Due::default(),
            retries: Due::default(),
        })
    }

    pub(crate) fn dir(&self) -> &QueueDir {
        &self.dir
    }

    fn folder_failed(&self, source: std::io::Error) -> Error {
        Error::Folder { path: self.dir.path().to_owned(), source }
    }

    pub(crate) fn turns(&self) -> Turns {
        Turns::new(Arc::clone(&self.dir), self.settled.clone())
    }

    /// While it is another's, that one is told of the jobs that are accepted here.
    pub(crate) fn note_turn(&self, has_turn: bool) {
        self.has_turn.store(has_turn, Ordering::Relaxed);
    }

    pub(crate) fn has_turn(&self) -> bool {
        self.has_turn.load(Ordering::Relaxed)
    }

    pub(crate) fn is_used(&self) -> bool {
        self.is_used.load(Ordering::Relaxed)
    }

    /// Jobs in progress at endpoints that are gone are queued again. Gives those that live. Only to be called by the endpoint
    /// whose turn it is: others of earlier versions of Flash do not say whether they live.
    pub(crate) async fn recover(&self) -> Result<Vec<String>, Error> {
        let dir = Arc::clone(&self.dir);
        let recovered = self.writer.execute(move |store| match dir.present() {
            // Asked inside of the transaction: whoever enters meanwhile claims nothing before its end.
            Ok(living) => store.recover(Gone::AllBut(&living), now_ms()).map(|()| Ok(living)),
            Err(error) => Ok(Err(error)),
        });
        recovered.await?.map_err(|source| self.folder_failed(source))
    }

    /// Whether one of `living` is gone.
    pub(crate) fn has_lost(&self, living: &[String]) -> Result<bool, Error> {
        let present = self.dir.present().map_err(|source| self.folder_failed(source))?;
        Ok(living.iter().any(|endpoint| !present.contains(endpoint)))
    }

    /// Of jobs that run here, those that have come to an end without us.
    pub(crate) async fn ended_elsewhere(
        &self,
        ids: Vec<String>,
        seen: i64,
    ) -> Result<(Vec<String>, i64), Error> {
        self.writer.read(move |store| store.ended_elsewhere(&ids, seen)).await
    }

    /// Comes back when the job is on disk: a new one, or as it is now the one that was submitted with the same key before.
    pub(crate) async fn submit(&self, job: Submission, is_sync: bool) -> Result<JobAccepted, Error> {
        let id = identifier::job_id(is_sync).map_err(Error::Random)?;
        self.use_here().await;
        let accepted = self.writer.execute(move |store| accept(store, id, &job, now_ms()));
        let accepted = accepted.await??;
        self.tell_others();
        Ok(accepted)
    }

    pub(crate) async fn view(&self, id: &str) -> Result<Option<JobView>, Error> {
        let id = id.to_owned();
        self.writer.read(move |store| store.view(&id, now_ms())).await
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
        self.tell_end(id);
        if self.ended.since_sweep.fetch_add(1, Ordering::Relaxed) + 1 >= SWEEP_EARLY {
            self.ended.many.notify_one();
        }
        Ok(())
    }

    /// Gives back an attempt that was cut off by our own end, as if it had not begun.
    pub(crate) async fn release(&self, id: &str, attempt: u32) -> Result<(), Error> {
        let id = id.to_owned();
        self.writer.execute(move |store| store.release(&id, attempt)).await
    }

    /// Its time to live is over.
    pub(crate) async fn remove(&self, id: &str) -> Result<(), Error> {
        let stored = id.to_owned();
        self.writer.execute(move |store| store.remove(&stored)).await?;
        self.finished.tell(id);
        Ok(())
    }

    pub(crate) async fn cancel(&self, id: &str) -> Result<Option<Cancelled>, Error> {
        let stored = id.to_owned();
        let cancelled = self.writer.execute(move |store| store.cancel(&stored, now_ms())).await?;
        self.tell_end(id);
        Ok(cancelled)
    }

    pub(crate) async fn retry(&self, id: &str) -> Result<Retried, Error> {
        let id = id.to_owned();
        self.use_here().await;
        let retried = self.writer.execute(move |store| store.retry(&id, now_ms())).await?;
        self.tell_others();
        Ok(retried)
    }

    /// Cancels all waiting jobs; gives how many.
    pub(crate) async fn purge(&self) -> Result<usize, Error> {
        let ids = self.writer.execute(move |store| store.purge(now_ms())).await?;
        let removed = ids.len();
        self.tell_all(ids);
        Ok(removed)
    }

    pub(crate) async fn counts(&self) -> Result<JobCounts, Error> {
        self.writer.read(Store::counts).await
    }

    /// How long the next job has waited.
    pub(crate) async fn age(&self) -> Result<Duration, Error> {
        let oldest_ms = self.writer.read(Store::oldest_ms).await?;
        Ok(oldest_ms.map_or(Duration::ZERO, |ms| Duration::from_millis(now_ms().saturating_sub(ms))))
    }

    /// Sees what other endpoints have written.
    pub(crate) async fn look(&self) -> Result<(), Error> {
        self.writer.read(|_| Ok(())).await
    }

    fn tell_others(&self) {
        if !self.has_turn() {
            self.dir.tell_news();
        }
    }

    async fn use_here(&self) {
        self.is_used.store(true, Ordering::Relaxed);
        if !*self.settled.borrow() {
            let mut settled = self.settled.subscribe();
            let _ = tokio::time::timeout(SETTLE_TIMEOUT, settled.wait_for(|settled| *settled)).await;
        }
    }

    /// What waits, as it changes.
    pub(crate) fn backlog(&self) -> watch::Receiver<Backlog> {
        self.writer.backlog()
    }

    /// Forgets old results for as long as it is polled.
    pub(crate) async fn sweep(&self) {
        loop {
            self.take_in_earlier().await;
            self.ended.since_sweep.store(0, Ordering::Relaxed);
            if let Err(error) = self.sweep_once().await {
                tracing::warn!(%error, "old job results cannot be removed");
            }
            let _ = tokio::time::timeout(SWEEP_PERIOD, self.ended.many.notified()).await;
        }
    }

    async fn sweep_once(&self) -> Result<(), Error> {
        if self.writer.read(|store| store.has_expired_by_default(now_ms())).await? {
            self.tell_all(self.writer.execute(|store| store.expire_by_default(now_ms())).await?);
        }
        let results = Kept {
            dead: false,
            since_ms: now_ms().saturating_sub(RESULT_TTL.as_millis() as u64),
            jobs_max: RESULTS_MAX,
            bytes_max: RESULT_BYTES_MAX,
            step: SWEEP_STEP,
        };
        for kept in [results, dead::kept(now_ms())] {
            let mut excess = self.writer.read(move |store| store.excess(kept)).await?;
            while !excess.is_none() {
                let (gone, left) = self.writer.execute(move |store| store.sweep(kept, excess)).await?;
                // What ends meanwhile is for the next time.
                if gone < kept.step {
                    break;
                }
                excess = left;
            }
        }
        Ok(())
    }

    fn tell_all(&self, ids: Vec<String>) {
        for id in ids {
            self.finished.tell(&id);
        }
        self.due.tell();
    }

    fn tell_end(&self, id: &str) {
        self.finished.tell(id);
        self.due.tell();
    }

    async fn claim_deliveries(&self, count: usize, lease: Duration) -> Result<Vec<Delivery>, Error> {
        if !self.writer.read(|store| store.has_due_deliveries(now_ms())).await? {
            return Ok(Vec::new());
        }
        let lease_ms = lease.as_millis() as u64;
        self.writer.execute(move |store| store.claim_deliveries(count, now_ms(), lease_ms)).await
    }

    async fn delivered(&self, id: &str, attempt: u32, next_ms: Option<u64>) -> Result<(), Error> {
        let id = id.to_owned();
        self.writer.execute(move |store| store.delivered(&id, attempt, next_ms)).await
    }

    /// Something may be due, or `limit` is over.
    async fn delivery_due(&self, limit: Duration) {
        self.due.wait(limit).await;
    }

    /// Tells callers here of jobs that came to their end at another endpoint of the resource, for as long as it is polled.
    pub(crate) async fn follow_others(&self) {
        let mut seen = 0;
        loop {
            let ids = self.finished.waited_for().await;
            match self.ended_elsewhere(ids, seen).await {
                Ok((ended, now)) => {
                    seen = now;
                    for id in ended {
                        self.finished.tell(&id);
                    }
                }
                Err(error) => tracing::warn!(%error, "jobs cannot be looked at"),
            }
            tokio::time::sleep(OTHERS_PERIOD).await;
        }
    }

    /// Jobs of before endpoints shared a queue. What cannot be read stays where it is.
    pub(crate) async fn take_in_earlier(&self) {
        let found = match self.dir.earlier() {
            Ok(found) => found,
            Err(error) => return tracing::error!(%error, "the queue's folder cannot be listed"),
        };
        for path in found {
            let from = path.clone();
            match self.writer.execute(move |store| store.take_in(&from)).await {
                Ok(jobs) => {
                    tracing::info!(path = %path.display(), jobs, "jobs of an earlier layout are taken in");
                    remove_database(&path);
                }
                Err(error) => tracing::error!(path = %path.display(), %error, "jobs cannot be taken in"),
            }
        }
    }
}

/// Whoever asks again for what was accepted is answered, however full the queue is by now.
fn accept(
    store: &Store,
    id: String,
    job: &Submission,
    now_ms: u64,
) -> rusqlite::Result<Result<JobAccepted, Error>> {
    if let Some(key) = &job.key {
        match store.known(key, now_ms)? {
            Some(Known::Same(accepted)) => return Ok(Ok(accepted)),
            Some(Known::OtherBody) => return Ok(Err(Error::KeyTaken)),
            None => {}
        }
    }
    let waiting = store.backlog();
    if waiting.jobs + waiting.later >= JOBS_QUEUED_MAX {
        return Ok(Err(Error::Full));
    }
    if waiting.bytes.saturating_add(job.input.len() as u64) > QUEUE_BYTES_MAX {
        return Ok(Err(Error::FullOfBytes));
    }
    if job.webhook.is_some() && store.deliveries()? >= DELIVERIES_MAX {
        return Ok(Err(Error::FullOfWebhooks));
    }
    store.submit(&id, job, now_ms)?;
    Ok(Ok(JobAccepted { id, status: JobStatus::InQueue }))
}

/// The log goes first: what it held is in the main file since that was closed.
fn remove_database(path: &Path) {
    for suffix in ["-wal", "-shm", ""] {
        let mut path = path.as_os_str().to_owned();
        path.push(suffix);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "cannot be removed");
            }
            _ => {}
        }
    }
}

/// Callers that wait for the end of a job.
#[derive(Debug)]
struct Finished {
    /// `None` when nobody is to wait any more.
    callers: Mutex<Option<Callers>>,
    arrived: Notify,
}

type Callers = HashMap<String, Vec<oneshot::Sender<()>>>;

impl Finished {
    fn new() -> Self {
        Self { callers: Mutex::new(Some(HashMap::new())), arrived: Notify::new() }
    }

    /// The jobs that somebody waits for, when there are any.
    async fn waited_for(&self) -> Vec<String> {
        loop {
            let arrived = self.arrived.notified();
            let ids: Vec<String> = match self.lock().as_mut() {
                Some(callers) => {
                    callers.retain(|_, waiting| waiting.iter().any(|caller| !caller.is_closed()));
                    callers.keys().cloned().collect()
                }
                None => Vec::new(),
            };
            if !ids.is_empty() {
                return ids;
            }
            arrived.await;
        }
    }

    /// The receiver also comes back, with an error, when its sender is dropped by [`Self::close`].
    fn register(&self, id: &str) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        if let Some(callers) = self.lock().as_mut() {
            let waiting = callers.entry(id.to_owned()).or_default();
            waiting.retain(|caller| !caller.is_closed());
            waiting.push(sender);
            self.arrived.notify_one();
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

pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}
