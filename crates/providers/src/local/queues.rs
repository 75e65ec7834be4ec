//! The folders of the queues: one for each resource of an app+environment, which its endpoints share and which outlives
//! them. It goes with the resource's last endpoint.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use flash_model::{EndpointId, Owner, sha256_hex};
use fs_err as fs;

use super::folder::Folder;
use crate::Error;

/// Jobs are their owner's.
const MODE: u32 = 0o700;
const LOCK: &str = "lock";
const LABEL_LENGTH_MAX: usize = 40;
const DIGEST_LENGTH: usize = 10;

#[derive(Debug, Clone)]
pub(super) struct Queues {
    endpoints_dir: PathBuf,
    dir: PathBuf,
}

impl Queues {
    pub(super) fn beside(endpoints_dir: &Path) -> Self {
        Self { endpoints_dir: endpoints_dir.to_owned(), dir: endpoints_dir.with_file_name("queues") }
    }

    pub(super) fn folder(&self, owner: &Owner) -> PathBuf {
        let resource = owner.resource.as_str();
        let label: String = resource.chars().take(LABEL_LENGTH_MAX).collect();
        let digest = sha256_hex(format!("{}/{resource}", owner.scope).as_bytes());
        self.dir.join(format!("{label}-{}", &digest[..DIGEST_LENGTH]))
    }

    /// Whoever makes an endpoint and whoever removes one take turns: a queue that goes with a resource's last endpoint must
    /// not go under the hands of one that is just being made. Held for a moment, never while something is waited for.
    pub(super) fn lock(&self) -> Result<Guard, Error> {
        let path = self.dir.join(LOCK);
        let lock = || {
            DirBuilder::new().recursive(true).mode(MODE).create(&self.dir)?;
            let file = File::options().write(true).create(true).truncate(false).open(&path)?;
            file.lock()?;
            Ok(Guard { _file: file })
        };
        lock().map_err(|source| Error::Files { path, source })
    }

    /// Endpoints of `owner` whose jobs lie in their own folders, as all did in earlier versions.
    pub(super) fn earlier(&self, owner: &Owner) -> Result<Vec<(Folder, EndpointId)>, Error> {
        let mut found = Vec::new();
        for folder in Folder::all(&self.endpoints_dir)? {
            // What cannot be read stops nobody else, and keeps its jobs.
            if folder.jobs_path().exists()
                && let Ok(Some(record)) = folder.record()
                && record.owner == *owner
            {
                found.push((folder, record.endpoint_id));
            }
        }
        Ok(found)
    }

    /// Moves the jobs of a folder in which no process runs to where the next endpoint of the resource takes them in.
    /// The log goes first: without its database it means nothing, and the database without it would lack jobs.
    pub(super) fn take_over(
        &self,
        _: &Guard,
        owner: &Owner,
        folder: &Folder,
        id: &EndpointId,
    ) -> Result<(), Error> {
        let queue = self.folder(owner);
        let failed = |path: PathBuf| move |source| Error::Files { path, source };
        DirBuilder::new().recursive(true).mode(MODE).create(&queue).map_err(failed(queue.clone()))?;
        let named = |path: &Path, suffix: &str| {
            let mut path = path.as_os_str().to_owned();
            path.push(suffix);
            PathBuf::from(path)
        };
        // One that was not taken in yet is not written over.
        let mut targets = (0_u32..).map(|count| match count {
            0 => queue.join(format!("earlier-{id}.sqlite")),
            _ => queue.join(format!("earlier-{id}.{count}.sqlite")),
        });
        let Some(target) = targets.find(|target| !target.exists()) else { return Ok(()) };
        for suffix in ["-wal", ""] {
            let from = named(&folder.jobs_path(), suffix);
            match fs::rename(&from, named(&target, suffix)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(from)(error)),
                _ => {}
            }
        }
        // Made anew by whoever opens the database.
        let _ = fs::remove_file(named(&folder.jobs_path(), "-shm"));
        tracing::info!(endpoint_id = %id, queue = %queue.display(), "the endpoint's jobs are moved to the resource's queue");
        Ok(())
    }

    /// Removes what there is of an endpoint; with the resource's last one goes its queue. The queue goes first: if this is
    /// cut off, the endpoint is still there to be removed again.
    pub(super) fn remove(&self, guard: &Guard, folder: &Folder) -> Result<(), Error> {
        // Whoever deletes an endpoint and whoever clears away what was deleted may both come to it.
        if !folder.exists() {
            return Ok(());
        }
        if let Some(record) = folder.record()? {
            if !self.has_others(&record.owner, folder)? {
                remove_all(&self.folder(&record.owner))?;
            } else if folder.jobs_path().exists() {
                self.take_over(guard, &record.owner, folder, &record.endpoint_id)?;
            }
        }
        folder.remove()
    }

    /// In doubt, a folder that cannot be read is one.
    fn has_others(&self, owner: &Owner, folder: &Folder) -> Result<bool, Error> {
        let others = Folder::all(&self.endpoints_dir)?;
        let is_one = |other: &Folder| match other.record() {
            Ok(record) => record.is_some_and(|record| record.owner == *owner),
            Err(_) => true,
        };
        Ok(others.iter().filter(|other| other.path() != folder.path()).any(is_one))
    }
}

#[derive(Debug)]
pub(super) struct Guard {
    _file: File,
}

fn remove_all(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::Files { path: path.to_owned(), source: error })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use flash_model::{AppName, EnvironmentName, IdempotencyKey, Manifest, ResourceName, Scope};

    use super::super::folder::FolderRecord;
    use super::*;

    fn owner(environment: &str, resource: &str) -> Owner {
        let (app, environment) = (AppName::new("p").unwrap(), EnvironmentName::new(environment).unwrap());
        Owner { scope: Scope { app, environment }, resource: ResourceName::new(resource).unwrap() }
    }

    fn endpoint(parent: &Path, id: &str, owner: &Owner) -> Folder {
        let folder = Folder::new(parent.join("endpoints").join(id));
        let record = FolderRecord {
            endpoint_id: EndpointId::new(id).unwrap(),
            owner: owner.clone(),
            idempotency_key: IdempotencyKey::new(id).unwrap(),
            config_hash: String::new(),
            mothership_url: None,
        };
        folder.write(&record, &Manifest::empty("p")).unwrap();
        folder
    }

    #[test]
    fn every_resource_of_every_environment_has_its_own() {
        let queues = Queues::beside(Path::new("run/endpoints"));
        let folders = [("dev", "a"), ("dev", "A"), ("dev", "b"), ("prod", "a")]
            .map(|(environment, resource)| queues.folder(&owner(environment, resource)));
        let mut distinct: Vec<_> = folders.iter().map(|path| path.to_str().unwrap().to_lowercase()).collect();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), folders.len(), "{folders:?}");
        assert!(folders[0].starts_with("run/queues/"));
        let long = queues.folder(&owner("dev", &"x".repeat(128)));
        assert!(long.file_name().unwrap().len() < 64);
    }

    #[test]
    fn a_queue_goes_with_the_last_endpoint_of_its_resource() {
        let parent = tempfile::tempdir().unwrap();
        let queues = Queues::beside(&parent.path().join("endpoints"));
        let guard = queues.lock().unwrap();
        let (a, b) = (owner("dev", "a"), owner("dev", "b"));
        let (old, new) = (endpoint(parent.path(), "a-1", &a), endpoint(parent.path(), "a-2", &a));
        endpoint(parent.path(), "b-1", &b);
        for owner in [&a, &b] {
            fs::create_dir_all(queues.folder(owner)).unwrap();
            fs::write(queues.folder(owner).join("jobs.sqlite"), "").unwrap();
        }
        queues.remove(&guard, &old).unwrap();
        assert!(!old.exists() && queues.folder(&a).exists(), "the other one has its jobs there");
        queues.remove(&guard, &new).unwrap();
        assert!(!new.exists() && !queues.folder(&a).exists());
        assert!(queues.folder(&b).exists());
        // As it is after a removal that was cut off: the queue is gone, the endpoint is not.
        let again = endpoint(parent.path(), "a-2", &a);
        queues.remove(&guard, &again).unwrap();
        assert!(!again.exists());
        queues.remove(&guard, &again).unwrap();
        drop(guard);
        let mode = fs::metadata(parent.path().join("queues")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
    }

    #[test]
    fn a_folder_that_cannot_be_read_may_be_another_endpoint_of_the_resource() {
        let parent = tempfile::tempdir().unwrap();
        let queues = Queues::beside(&parent.path().join("endpoints"));
        let a = owner("dev", "a");
        let (last, unreadable) = (endpoint(parent.path(), "a-1", &a), endpoint(parent.path(), "x-1", &a));
        fs::write(unreadable.path().join("request.json"), "{").unwrap();
        fs::create_dir_all(queues.folder(&a)).unwrap();
        queues.remove(&queues.lock().unwrap(), &last).unwrap();
        assert!(queues.folder(&a).exists());
    }

    #[test]
    fn jobs_in_an_endpoint_s_own_folder_are_moved_however_often_that_is_cut_off() {
        let parent = tempfile::tempdir().unwrap();
        let queues = Queues::beside(&parent.path().join("endpoints"));
        let (a, b) = (owner("dev", "a"), owner("dev", "b"));
        let (one, other) = (endpoint(parent.path(), "a-1", &a), endpoint(parent.path(), "b-1", &b));
        for folder in [&one, &other] {
            fs::write(folder.jobs_path(), "jobs").unwrap();
        }
        fs::create_dir_all(queues.folder(&a)).unwrap();
        // The log was moved, the database not yet.
        fs::write(queues.folder(&a).join("earlier-a-1.sqlite-wal"), "log").unwrap();
        let found = queues.earlier(&a).unwrap();
        assert_eq!(found.len(), 1);
        let guard = queues.lock().unwrap();
        for (folder, id) in &found {
            queues.take_over(&guard, &a, folder, id).unwrap();
        }
        let at = |name: &str| fs::read_to_string(queues.folder(&a).join(name)).unwrap();
        assert_eq!(at("earlier-a-1.sqlite"), "jobs");
        assert_eq!(at("earlier-a-1.sqlite-wal"), "log");
        assert!(queues.earlier(&a).unwrap().is_empty());
        assert!(other.jobs_path().exists());
        // An endpoint of the earlier kind that is removed beside another leaves its jobs to that.
        let surplus = endpoint(parent.path(), "a-2", &a);
        fs::write(surplus.jobs_path(), "more").unwrap();
        queues.remove(&guard, &surplus).unwrap();
        assert_eq!(at("earlier-a-2.sqlite"), "more");
        // And what is waiting to be taken in is not written over.
        let again = endpoint(parent.path(), "a-2", &a);
        fs::write(again.jobs_path(), "even more").unwrap();
        queues.remove(&guard, &again).unwrap();
        assert_eq!(
            (at("earlier-a-2.sqlite"), at("earlier-a-2.1.sqlite")),
            ("more".into(), "even more".into())
        );
    }
}
