//! The one thread that owns the database. What has come by the time it is free becomes one transaction with one flush to disk
//! (group commit); nobody is answered before that.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::Error;
use super::store::{Backlog, Store};

const STEPS_WAITING_MAX: usize = 4096;
const STEPS_PER_COMMIT_MAX: usize = 512;

/// Told why where no transaction could begin.
type Step = Box<dyn FnOnce(Result<&Store, Arc<rusqlite::Error>>) -> Acknowledge + Send>;
type Acknowledge = Box<dyn FnOnce(Result<(), Arc<rusqlite::Error>>) + Send>;

#[derive(Debug, Clone)]
pub(super) struct Writer {
    steps: mpsc::Sender<Step>,
    backlog: watch::Receiver<Backlog>,
}

impl Writer {
    pub(super) fn start(store: Store) -> std::io::Result<Self> {
        let (sender, steps) = mpsc::channel(STEPS_WAITING_MAX);
        let (publish, backlog) = watch::channel(store.backlog());
        std::thread::Builder::new()
            .name("flash-jobs".to_owned())
            .spawn(move || write(&store, steps, &publish))?;
        Ok(Self { steps: sender, backlog })
    }

    /// Runs `work` in the next transaction and comes back when that is on disk.
    pub(super) async fn execute<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Store) -> rusqlite::Result<T> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let step: Step = Box::new(move |store| {
            let result = store.and_then(|store| work(store).map_err(Arc::new));
            Box::new(move |committed| drop(reply.send(committed.and(result))))
        });
        self.steps.send(step).await.map_err(|_| Error::Gone)?;
        answer.await.map_err(|_| Error::Gone)?.map_err(Error::Store)
    }

    pub(super) fn backlog(&self) -> watch::Receiver<Backlog> {
        self.backlog.clone()
    }
}

fn write(store: &Store, mut steps: mpsc::Receiver<Step>, backlog: &watch::Sender<Backlog>) {
    let mut acknowledgements: Vec<Acknowledge> = Vec::new();
    while let Some(first) = steps.blocking_recv() {
        let begun = store.begin().map_err(Arc::new);
        let begin = || begun.clone().map(|()| store);
        acknowledgements.push(first(begin()));
        while acknowledgements.len() < STEPS_PER_COMMIT_MAX
            && let Ok(step) = steps.try_recv()
        {
            acknowledgements.push(step(begin()));
        }
        let committed = begun.and_then(|()| store.commit().map_err(Arc::new));
        if let Err(error) = &committed {
            tracing::error!(%error, "jobs cannot be written");
            store.roll_back();
        }
        backlog.send_if_modified(|backlog| std::mem::replace(backlog, store.backlog()) != store.backlog());
        for acknowledge in acknowledgements.drain(..) {
            acknowledge(committed.clone());
        }
    }
}
