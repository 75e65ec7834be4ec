//! The endpoint's own folder: at most one process at a time, its announcement for the provider, its documents.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flash_model::wire::EndpointAnnouncement;
use serde::Serialize;

const LOCK: &str = "endpoint.lock";
const LOCK_TRIES: usize = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(10);
const ANNOUNCEMENT: &str = "endpoint.json";
const ROUTES: &str = "routes.json";
/// How often to look whether the folder is still there.
pub(crate) const LOOK_PERIOD: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("another process serves this endpoint already: {} is locked", .0.display())]
    AlreadyRunning(PathBuf),
    #[error("cannot use {}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// Holds the folder's lock until it is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub(crate) struct EndpointDir {
    path: PathBuf,
    lock: File,
}

impl EndpointDir {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Io { path, source }
        };
        std::fs::create_dir_all(path).map_err(at(path))?;
        let lock_path = path.join(LOCK);
        let lock = File::options().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(at(&lock_path))?;
        match lock_soon(&lock) {
            Ok(()) => Ok(Self { path: path.to_owned(), lock }),
            Err(TryLockError::WouldBlock) => Err(Error::AlreadyRunning(lock_path)),
            Err(TryLockError::Error(error)) => Err(at(&lock_path)(error)),
        }
    }

    pub(crate) fn routes(&self) -> PathBuf {
        self.path.join(ROUTES)
    }

    pub(crate) fn announce(&self, announcement: &EndpointAnnouncement) -> Result<(), Error> {
        write_document(&self.path.join(ANNOUNCEMENT), announcement)
    }

    /// Comes back when the folder was removed, or another was put in its place: nobody finds this endpoint any more.
    pub(crate) async fn lost(&self) {
        while self.is_ours() {
            tokio::time::sleep(LOOK_PERIOD).await;
        }
        tracing::error!(path = %self.path.display(), "the endpoint's folder is gone");
    }

    fn is_ours(&self) -> bool {
        is_at(&self.path.join(LOCK), &self.lock)
    }

    pub(crate) fn withdraw(&self) {
        let path = self.path.join(ANNOUNCEMENT);
        // Another endpoint may be in this place by now.
        if !self.is_ours() {
            return;
        }
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "cannot withdraw the announcement");
        }
    }
}

/// Whether the open `file` is still what lies at `path`. In doubt it is.
pub(crate) fn is_at(path: &Path, file: &File) -> bool {
    let identity = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    match (std::fs::metadata(path), file.metadata()) {
        (Ok(there), Ok(held)) => identity(there) == identity(held),
        (Err(error), _) => !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        (_, Err(_)) => true,
    }
}

/// Writes beside and renames: a reader sees the old document or the new one, never a part.
pub(crate) fn write_document<T: Serialize>(path: &Path, document: &T) -> Result<(), Error> {
    let write = || {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let mut file = File::create(&beside)?;
        file.write_all(&serde_json::to_vec_pretty(document)?)?;
        file.sync_data()?;
        std::fs::rename(&beside, path)
    };
    write().map_err(|source| Error::Io { path: path.to_owned(), source })
}

/// A provider that only looks whether this endpoint runs holds the lock for a moment too.
pub(crate) fn lock_soon(lock: &File) -> Result<(), TryLockError> {
    for _ in 0..LOCK_TRIES {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            done => return done,
        }
    }
    lock.try_lock()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = EndpointDir::open(folder.path()).unwrap();
        assert!(matches!(EndpointDir::open(folder.path()), Err(Error::AlreadyRunning(_))));
        drop(first);
        EndpointDir::open(folder.path()).unwrap();
    }

    #[test]
    fn a_folder_removed_or_replaced_is_not_ours() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("endpoint");
        let first = EndpointDir::open(&path).unwrap();
        assert!(first.is_ours());
        std::fs::remove_dir_all(&path).unwrap();
        assert!(!first.is_ours());
        let second = EndpointDir::open(&path).unwrap();
        assert!(second.is_ours() && !first.is_ours());
    }
}
