//! The folder that is an endpoint.

use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flash_model::wire::EndpointAnnouncement;
use flash_model::{EndpointId, IdempotencyKey, Manifest, Owner};
use fs_err as fs;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Error;

/// `request.json`: what the endpoint was last started for. Holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FolderRecord {
    pub(super) endpoint_id: EndpointId,
    pub(super) owner: Owner,
    pub(super) idempotency_key: IdempotencyKey,
    pub(super) config_hash: String,
    /// Where its process was told that the mothership is. Folders of earlier versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mothership_url: Option<String>,
}

/// `retired.json`: the endpoint was deleted, and its process ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Retirement {
    /// When it is made to end, if it has not.
    pub(super) until_ms: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Every folder below `parent`, by name. None if there is no parent yet.
    pub(super) fn all(parent: &Path) -> Result<Vec<Self>, Error> {
        let entries = match fs::read_dir(parent) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(Error::Files { path: parent.to_owned(), source }),
        };
        let mut folders = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|source| Error::Files { path: parent.to_owned(), source })?;
            folders.push(Self::new(entry.path()));
        }
        folders.sort_by(|left, right| left.path.cmp(&right.path));
        Ok(folders)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn manifest_path(&self) -> PathBuf {
        self.path.join("manifest.json")
    }

    pub(super) fn log_path(&self) -> PathBuf {
        self.path.join("endpoint.log")
    }

    /// Where earlier versions kept the jobs of a queue endpoint.
    pub(super) fn jobs_path(&self) -> PathBuf {
        self.path.join("jobs.sqlite")
    }

    pub(super) fn exists(&self) -> bool {
        self.path.is_dir()
    }

    pub(super) fn note_mothership(&self, url: &str) -> Result<(), Error> {
        let Some(record) = self.record()? else { return Ok(()) };
        self.write_json("request.json", &FolderRecord { mothership_url: Some(url.to_owned()), ..record })
    }

    /// When the endpoint's request was written, which every start does.
    pub(super) fn written_at(&self) -> Option<SystemTime> {
        fs::metadata(self.path.join("request.json")).ok()?.modified().ok()
    }

    pub(super) fn manifest(&self) -> Result<Option<Manifest>, Error> {
        self.read("manifest.json")
    }

    pub(super) fn record(&self) -> Result<Option<FolderRecord>, Error> {
        self.read("request.json")
    }

    /// `None` until the process has opened its port.
    pub(super) fn announcement(&self) -> Result<Option<EndpointAnnouncement>, Error> {
        self.read("endpoint.json")
    }

    pub(super) fn retirement(&self) -> Result<Option<Retirement>, Error> {
        self.read("retired.json")
    }

    /// For good.
    pub(super) fn retire(&self, retirement: Retirement) -> Result<(), Error> {
        self.write_json("retired.json", &retirement)
    }

    /// Creates the folder if needed. The record is written last: a folder without one was never an endpoint.
    pub(super) fn write(&self, record: &FolderRecord, manifest: &Manifest) -> Result<(), Error> {
        fs::create_dir_all(&self.path).map_err(|source| Error::Files { path: self.path.clone(), source })?;
        self.write_json("manifest.json", manifest)?;
        self.write_json("request.json", record)
    }

    /// Whether a process holds the folder's lock, which it does for its whole life.
    pub(super) fn is_locked(&self) -> Result<bool, Error> {
        let path = self.path.join("endpoint.lock");
        let file = match fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(Error::Files { path, source }),
        };
        match file.file().try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(Error::Files { path, source }),
        }
    }

    /// What an earlier process said must not be taken for what the next one says.
    pub(super) fn forget_announcement(&self) -> Result<(), Error> {
        let path = self.path.join("endpoint.json");
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::Files { path, source: error })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn remove(&self) -> Result<(), Error> {
        fs::remove_dir_all(&self.path).map_err(|source| Error::Files { path: self.path.clone(), source })
    }

    pub(super) fn log_tail(&self, lines: usize) -> String {
        let log = fs::read(self.log_path()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let mut tail: Vec<&str> = log.lines().rev().take(lines).collect();
        tail.reverse();
        tail.join("\n")
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, Error> {
        let path = self.path.join(name);
        match fs::read(&path) {
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map(Some).map_err(|source| Error::Document { path, source })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Files { path, source }),
        }
    }

    fn write_json<T: Serialize>(&self, name: &str, value: &T) -> Result<(), Error> {
        let path = self.path.join(name);
        let temporary = self.path.join(format!("{name}.new"));
        let bytes = serde_json::to_vec_pretty(value)
            .map_err(|source| Error::Document { path: path.clone(), source })?;
        fs::write(&temporary, bytes)
            .and_then(|()| fs::rename(&temporary, &path))
            .map_err(|source| Error::Files { path, source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_held_elsewhere_is_seen_and_a_stale_file_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::new(parent.path().join("x"));
        assert!(!folder.is_locked().unwrap(), "no folder, no process");
        fs::create_dir_all(folder.path()).unwrap();
        let lock = fs::File::create(folder.path().join("endpoint.lock")).unwrap();
        assert!(!folder.is_locked().unwrap(), "a file that nobody locks");
        lock.file().lock().unwrap();
        assert!(folder.is_locked().unwrap());
        drop(lock);
        // A process that another test is starting holds a copy of every open file until it runs its program.
        while folder.is_locked().unwrap() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_folder_without_a_record_is_not_an_endpoint() {
        let parent = tempfile::tempdir().unwrap();
        fs::create_dir_all(parent.path().join("half-made")).unwrap();
        let folders = Folder::all(parent.path()).unwrap();
        assert_eq!(folders.len(), 1);
        assert_eq!(folders[0].record().unwrap(), None);
        assert!(Folder::all(&parent.path().join("missing")).unwrap().is_empty());
    }
}
