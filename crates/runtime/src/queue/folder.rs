//! The folder of a resource's queue. The endpoints of the resource share it, so that a new version can warm up beside the
//! old one: all of them accept jobs and answer for them, one at a time brings them to workers (`turn.rs`).

use std::fs::{DirBuilder, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::endpoint_dir::{LOOK_PERIOD, is_at};

const JOBS: &str = "jobs.sqlite";
const LOCK: &str = "queue.lock";
const NEXT: &str = "queue.next";
const NEWS: &str = "queue.news";
/// Jobs of before endpoints shared a queue, put here by the provider: `earlier-<endpoint id>.sqlite`.
const EARLIER_PREFIX: &str = "earlier-";
const EARLIER_SUFFIX: &str = ".sqlite";
/// Jobs are their owner's.
const MODE: u32 = 0o700;

#[derive(Debug)]
pub(crate) struct QueueDir {
    path: PathBuf,
    /// Held by the endpoint that brings jobs to workers.
    lock: File,
    /// Held by the one that wants to be next.
    next: File,
    /// Grows when an endpoint whose turn it is not accepts a job.
    news: File,
}

impl QueueDir {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(MODE).create(path)?;
        let open = |name| File::options().create(true).append(true).open(path.join(name));
        Ok(Self { path: path.to_owned(), lock: open(LOCK)?, next: open(NEXT)?, news: open(NEWS)? })
    }

    pub(super) fn jobs(&self) -> PathBuf {
        self.path.join(JOBS)
    }

    pub(super) fn earlier(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let is_earlier = |name: &str| name.starts_with(EARLIER_PREFIX) && name.ends_with(EARLIER_SUFFIX);
            if name.to_str().is_some_and(is_earlier) {
                found.push(entry.path());
            }
        }
        found.sort();
        Ok(found)
    }

    /// Comes back when the folder was removed, or another was put in its place: what is accepted now would be lost.
    pub(crate) async fn lost(&self) {
        while is_at(&self.path.join(LOCK), &self.lock) {
            tokio::time::sleep(LOOK_PERIOD).await;
        }
        tracing::error!(path = %self.path.display(), "the queue's folder is gone");
    }

    /// Told in vain, a job is found with the next that comes, or when results are swept.
    pub(super) fn tell_news(&self) {
        if let Err(error) = (&self.news).write_all(b".") {
            tracing::warn!(%error, "the endpoint whose turn it is cannot be told of a job");
        }
    }

    pub(super) fn forget_news(&self) {
        if let Err(error) = self.news.set_len(0) {
            tracing::warn!(%error, "old news cannot be forgotten");
        }
    }

    /// Whatever changes is news.
    pub(super) fn news(&self) -> u64 {
        self.news.metadata().map_or(0, |metadata| metadata.len())
    }

    pub(super) fn take_lock(&self) -> Option<Held<'_>> {
        Held::take(&self.lock)
    }

    pub(super) fn take_next(&self) -> Option<Held<'_>> {
        Held::take(&self.next)
    }

    /// Whether somebody else wants to be next.
    pub(super) fn is_next_taken(&self) -> bool {
        match self.next.try_lock_shared() {
            Ok(()) => {
                release(&self.next);
                false
            }
            Err(TryLockError::WouldBlock) => true,
            Err(TryLockError::Error(_)) => false,
        }
    }
}

/// A lock, until dropped or the process ends in whatever way.
#[derive(Debug)]
pub(super) struct Held<'a>(&'a File);

impl<'a> Held<'a> {
    fn take(file: &'a File) -> Option<Self> {
        match file.try_lock() {
            Ok(()) => Some(Self(file)),
            Err(TryLockError::WouldBlock) => None,
            Err(TryLockError::Error(error)) => {
                tracing::warn!(%error, "the queue's lock cannot be taken");
                None
            }
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        release(self.0);
    }
}

fn release(file: &File) {
    if let Err(error) = file.unlock() {
        tracing::warn!(%error, "the queue's lock cannot be given back");
    }
}
