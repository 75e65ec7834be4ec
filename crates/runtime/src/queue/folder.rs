//! The folder of a resource's queue. The endpoints of the resource share it, so that a new version can warm up beside the
//! old one: all of them accept jobs and answer for them, one at a time brings them to workers (`turn.rs`). Each holds a lock
//! under its name for its whole life, so whether the jobs that it began are still run is asked of the kernel.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::endpoint_dir::{LOOK_PERIOD, is_at, lock_soon};

const JOBS: &str = "jobs.sqlite";
const LOCK: &str = "queue.lock";
const NEXT: &str = "queue.next";
const NEWS: &str = "queue.news";
/// `present-<endpoint id>`: held for as long as that endpoint may run jobs.
const PRESENT_PREFIX: &str = "present-";
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
    /// Says that this endpoint lives.
    _presence: File,
}

impl QueueDir {
    /// For the endpoint of that id, of which no other process runs.
    pub(crate) fn open(path: &Path, endpoint: &str) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(MODE).create(path)?;
        let open = |name| File::options().create(true).append(true).open(path.join(name));
        let _presence = enter(&path.join(format!("{PRESENT_PREFIX}{endpoint}")))?;
        Ok(Self { path: path.to_owned(), lock: open(LOCK)?, next: open(NEXT)?, news: open(NEWS)?, _presence })
    }

    /// The endpoints that live, this one among them. What others left is cleared away.
    pub(super) fn present(&self) -> io::Result<Vec<String>> {
        let mut present = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(endpoint) = name.to_str().and_then(|name| name.strip_prefix(PRESENT_PREFIX)) else {
                continue;
            };
            match File::open(entry.path()).map(|file| (file.try_lock(), file)) {
                // Removed while it is held here: nobody can have taken it meanwhile.
                Ok((Ok(()), _held)) => std::fs::remove_file(entry.path())?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                _ => present.push(endpoint.to_owned()),
            }
        }
        Ok(present)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
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

/// A lock that is not on what lies at its path any more says nothing: it was cleared away between the two.
fn enter(path: &Path) -> io::Result<File> {
    loop {
        let file = File::options().create(true).append(true).open(path)?;
        lock_soon(&file)?;
        if is_at(path, &file) {
            return Ok(file);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lives_is_present_and_what_the_others_left_is_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let first = QueueDir::open(folder.path(), "a-1").unwrap();
        let second = QueueDir::open(folder.path(), "a-2").unwrap();
        let mut present = first.present().unwrap();
        present.sort();
        assert_eq!(present, ["a-1", "a-2"]);
        assert!(QueueDir::open(folder.path(), "a-2").is_err(), "one process of an endpoint");
        drop(second);
        // A process that another test is starting holds a copy of every open file until it runs its program.
        while first.present().unwrap() != ["a-1"] {
            std::thread::yield_now();
        }
        assert!(!folder.path().join("present-a-2").exists());
        QueueDir::open(folder.path(), "a-2").unwrap();
    }
}
