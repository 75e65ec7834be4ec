//! The one thread that owns the database. What has come by the time it is free becomes one transaction with one flush to disk
//! (group commit); nobody is answered before that.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::Error;
use super::checkpoint::Checkpoints;
use super::store::{Backlog, Store};

const STEPS_WAITING_MAX: usize = 4096;
const STEPS_PER_COMMIT_MAX: usize = 512;

/// Told why where no transaction could begin.
type Work = Box<dyn FnOnce(Result<&Store, Arc<rusqlite::Error>>) -> Acknowledge + Send>;
type Acknowledge = Box<dyn FnOnce(Result<(), Arc<rusqlite::Error>>) + Send>;

struct Step {
    /// Needs a transaction.
    writes: bool,
    work: Work,
}

#[derive(Debug, Clone)]
pub(super) struct Writer {
    steps: mpsc::Sender<Step>,
    backlog: watch::Receiver<Backlog>,
}

impl Writer {
    pub(super) fn start(store: Store, checkpoints: Checkpoints) -> std::io::Result<Self> {
        let (sender, steps) = mpsc::channel(STEPS_WAITING_MAX);
        let (publish, backlog) = watch::channel(store.backlog());
        std::thread::Builder::new()
            .name("flash-jobs".to_owned())
            .spawn(move || write(&store, checkpoints, steps, &publish))?;
        Ok(Self { steps: sender, backlog })
    }

    /// Runs `work` in the next transaction and comes back when that is on disk.
    pub(super) async fn execute<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Store) -> rusqlite::Result<T> + Send + 'static,
    {
        self.step(true, work).await
    }

    /// Runs `look`, which writes nothing. For itself it begins no transaction, so that other processes are not held up.
    pub(super) async fn read<T, F>(&self, look: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Store) -> rusqlite::Result<T> + Send + 'static,
    {
        self.step(false, look).await
    }

    async fn step<T, F>(&self, writes: bool, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Store) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let work: Work = Box::new(move |store| {
            let result = store.and_then(|store| work(store).map_err(Arc::new));
            Box::new(move |committed| drop(reply.send(committed.and(result))))
        });
        self.steps.send(Step { writes, work }).await.map_err(|_| Error::Gone)?;
        answer.await.map_err(|_| Error::Gone)?.map_err(Error::Store)
    }

    pub(super) fn backlog(&self) -> watch::Receiver<Backlog> {
        self.backlog.clone()
    }
}

fn write(
    store: &Store,
    mut checkpoints: Checkpoints,
    mut steps: mpsc::Receiver<Step>,
    backlog: &watch::Sender<Backlog>,
) {
    let mut acknowledgements: Vec<Acknowledge> = Vec::new();
    let publish =
        || backlog.send_if_modified(|backlog| std::mem::replace(backlog, store.backlog()) != store.backlog());
    while let Some(first) = steps.blocking_recv() {
        if !first.writes {
            let acknowledge = (first.work)(store.notice_others().map(|()| store).map_err(Arc::new));
            publish();
            acknowledge(Ok(()));
            continue;
        }
        let begun = store.begin().map_err(Arc::new);
        let begin = || begun.clone().map(|()| store);
        acknowledgements.push((first.work)(begin()));
        while acknowledgements.len() < STEPS_PER_COMMIT_MAX
            && let Ok(step) = steps.try_recv()
        {
            acknowledgements.push((step.work)(begin()));
        }
        let committed = begun.and_then(|()| store.commit().map_err(Arc::new));
        if let Err(error) = &committed {
            tracing::error!(%error, "jobs cannot be written");
            store.roll_back();
        }
        publish();
        for acknowledge in acknowledgements.drain(..) {
            acknowledge(committed.clone());
        }
        checkpoints.committed();
    }
}
