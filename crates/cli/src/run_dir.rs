//! `.flash/` of a project: what running it leaves on disk.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flash_model::wire::MothershipAnnouncement;
use flash_model::{Code, Secret};
use fs_err as fs;

use crate::error::Failure;

const LOCK_TRIES: usize = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(10);
const TOKEN_BYTES: usize = 32;
const OWNER_ONLY: u32 = 0o600;
const OWNER_ONLY_FOLDER: u32 = 0o700;

#[derive(Debug, Clone)]
pub(crate) struct RunDir {
    root: PathBuf,
    /// State, token, lock and endpoints.
    run: PathBuf,
}

/// Held until dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

/// An announcement that is withdrawn when dropped.
#[derive(Debug)]
pub(crate) struct Joined {
    _file: File,
    path: PathBuf,
}

impl RunDir {
    pub(crate) fn of(project_root: &Path) -> Self {
        let root = project_root.join(".flash");
        Self { run: root.join("run"), root }
    }

    /// Beside the project's own, with a state, a token, a lock and endpoints of its own.
    pub(crate) fn throw_away(&self, name: &str) -> Self {
        Self { root: self.root.clone(), run: self.throw_away_dir().join(name) }
    }

    /// Names of those that exist.
    pub(crate) fn thrown_away(&self) -> Vec<String> {
        let entries = fs::read_dir(self.throw_away_dir()).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn throw_away_dir(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// All of it but what is shared with others of the project.
    pub(crate) fn remove(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.run)?;
        // Goes with the last of them.
        let _ = fs::remove_dir(self.throw_away_dir());
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.run
    }

    /// Of the nearest project that was ever run, from `start` upward, with its folder.
    pub(crate) fn find(start: &Path) -> Option<(PathBuf, Self)> {
        let mut dirs = start.ancestors().map(|folder| (folder.to_owned(), Self::of(folder)));
        dirs.find(|(_, dir)| dir.run.is_dir())
    }

    /// Of the nearest project with a running mothership, from `start` upward. Empty if there is none.
    pub(crate) fn find_running(start: &Path) -> Vec<MothershipAnnouncement> {
        let running = start.ancestors().map(|folder| Self::of(folder).running());
        running.into_iter().find(|running| !running.is_empty()).unwrap_or_default()
    }

    /// Motherships of this project that run: the one that holds the lock, then those that only joined. An announcement is
    /// believed only while its lock is held: after a crash somebody else may listen on that port, and would be sent our
    /// token.
    pub(crate) fn running(&self) -> Vec<MothershipAnnouncement> {
        let holder = if self.is_locked() { self.announcement() } else { None };
        let entries = fs::read_dir(self.joined_dir()).into_iter().flatten().flatten();
        let mut joined: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        joined.sort();
        let read = |path: PathBuf| {
            let is_json = path.extension().is_some_and(|extension| extension == "json");
            let held = is_json && is_held(&path);
            held.then(|| serde_json::from_slice(&fs::read(&path).ok()?).ok()).flatten()
        };
        holder.into_iter().chain(joined.into_iter().filter_map(read)).collect()
    }

    pub(crate) fn is_locked(&self) -> bool {
        is_held(&self.lock_path())
    }

    /// Makes the folders, out of git's sight.
    pub(crate) fn create(&self) -> Result<(), Failure> {
        let make = || -> io::Result<()> {
            // Jobs, logs and state hold what users' functions were given: for their owner only.
            fs::create_dir_all(&self.root)?;
            if !self.run.exists() {
                std::fs::DirBuilder::new().recursive(true).mode(OWNER_ONLY_FOLDER).create(&self.run)?;
            }
            let ignore = self.root.join(".gitignore");
            if !ignore.exists() {
                fs::write(ignore, "*\n")?;
            }
            Ok(())
        };
        make().map_err(|error| Failure::because("the project's .flash folder cannot be written", &error))
    }

    pub(crate) fn manifest_path(&self) -> PathBuf {
        self.root.join("flash_manifest.json")
    }

    pub(crate) fn archive_path(&self) -> PathBuf {
        self.root.join("archive.tar.gz")
    }

    pub(crate) fn packages_dir(&self) -> PathBuf {
        self.root.join("packages")
    }

    /// What `flash build --keep-build` leaves: the artifact's content as files.
    pub(crate) fn build_tree(&self) -> PathBuf {
        self.root.join(".build")
    }

    /// Held for as long as this process builds. Waits for another build of this project, after saying so; what an
    /// interrupted one left goes.
    pub(crate) fn lock_build(&self, waiting: impl FnOnce()) -> Result<Lock, Failure> {
        let path = self.root.join("build.lock");
        let lock = || -> io::Result<File> {
            let file = File::create(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    waiting();
                    file.lock()?;
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
            for entry in fs::read_dir(&self.root)?.flatten() {
                if entry.file_name().to_string_lossy().starts_with(".incomplete-") {
                    let _ = fs::remove_file(entry.path());
                }
            }
            Ok(file)
        };
        lock()
            .map(|file| Lock { _file: file })
            .map_err(|error| Failure::because(format!("{} cannot be locked", path.display()), &error))
    }

    pub(crate) fn state_path(&self) -> PathBuf {
        self.run.join("state.sqlite")
    }

    pub(crate) fn environments_dir(&self) -> PathBuf {
        self.root.join("envs")
    }

    pub(crate) fn sdk_dir(&self) -> PathBuf {
        self.root.join("sdk")
    }

    pub(crate) fn endpoints_dir(&self) -> PathBuf {
        self.run.join("endpoints")
    }

    /// Fails if another mothership of this project runs.
    pub(crate) fn lock(&self) -> Result<Lock, Failure> {
        let path = self.lock_path();
        let file = File::create(&path)
            .map_err(|error| Failure::because(format!("{} cannot be written", path.display()), &error))?;
        match lock_soon(&file) {
            Ok(()) => {
                // What an earlier mothership left must not be believed beside our lock.
                self.withdraw_announcement();
                Ok(Lock { _file: file })
            }
            Err(TryLockError::WouldBlock) => {
                let place = self.announcement().map_or_else(
                    || "it is starting or stopping".to_owned(),
                    |running| format!("at {} (process {})", running.url, running.pid),
                );
                Err(Failure::coded(Code::AlreadyRunning, format!("this project is running already: {place}"))
                    .hint("use it (`flash status`), or stop it with Ctrl+C in its terminal"))
            }
            Err(TryLockError::Error(error)) => {
                Err(Failure::because(format!("{} cannot be locked", path.display()), &error))
            }
        }
    }

    /// The token of this project's development environment, made once.
    pub(crate) fn token(&self) -> Result<Secret, Failure> {
        token(&self.token_path())
    }

    pub(crate) fn token_path(&self) -> PathBuf {
        self.run.join("token")
    }

    pub(crate) fn announce(&self, announcement: &MothershipAnnouncement) -> Result<(), Failure> {
        let failed =
            |error: &dyn std::error::Error| Failure::because("the mothership cannot be announced", error);
        let bytes = serde_json::to_vec_pretty(announcement).map_err(|error| failed(&error))?;
        write_private(&self.announcement_path(), &bytes).map_err(|error| failed(&error))
    }

    pub(crate) fn withdraw_announcement(&self) {
        let _ = fs::remove_file(self.announcement_path());
    }

    /// Announces a mothership beside others, for as long as the result is held. What dead ones left goes.
    pub(crate) fn join(&self, announcement: &MothershipAnnouncement) -> Result<Joined, Failure> {
        let failed =
            |error: &dyn std::error::Error| Failure::because("the mothership cannot be announced", error);
        let dir = self.joined_dir();
        fs::create_dir_all(&dir).map_err(|error| failed(&error))?;
        for entry in fs::read_dir(&dir).map_err(|error| failed(&error))?.flatten() {
            let is_json = entry.path().extension().is_some_and(|extension| extension == "json");
            if is_json && !is_held(&entry.path()) {
                let _ = fs::remove_file(entry.path());
            }
        }
        let bytes = serde_json::to_vec_pretty(announcement).map_err(|error| failed(&error))?;
        let path = dir.join(format!("{}.json", announcement.pid));
        let lock = || -> io::Result<File> {
            // Locked before it has its name, so that nobody takes it for a dead one's.
            let temporary = path.with_extension("joining");
            write_private(&temporary, &bytes)?;
            let file = File::open(&temporary)?;
            file.try_lock().map_err(io::Error::from)?;
            fs::rename(&temporary, &path)?;
            Ok(file)
        };
        Ok(Joined { _file: lock().map_err(|error| failed(&error))?, path: path.clone() })
    }

    fn joined_dir(&self) -> PathBuf {
        self.run.join("motherships")
    }

    fn announcement(&self) -> Option<MothershipAnnouncement> {
        serde_json::from_slice(&fs::read(self.announcement_path()).ok()?).ok()
    }

    fn lock_path(&self) -> PathBuf {
        self.run.join("mothership.lock")
    }

    fn announcement_path(&self) -> PathBuf {
        self.run.join("mothership.json")
    }
}

/// The token in the file, made if there is none: 256 random bits, readable by its owner only.
pub(crate) fn token(path: &Path) -> Result<Secret, Failure> {
    let failed = |error: &dyn std::error::Error| {
        Failure::because(format!("the token at {} cannot be made", path.display()), error)
    };
    match fs::read_to_string(path) {
        Ok(token) if token.trim().len() == 2 * TOKEN_BYTES => return Ok(Secret::new(token.trim())),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&error)),
        _ => {}
    }
    let mut bytes = [0; TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| failed(&error))?;
    let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    write_private(path, token.as_bytes()).map_err(|error| failed(&error))?;
    Ok(Secret::new(token))
}

impl Drop for Joined {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn is_held(path: &Path) -> bool {
    let held = |file: File| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
    File::open(path).is_ok_and(held)
}

/// Somebody who only looks whether a mothership runs holds the lock for a moment too.
fn lock_soon(file: &File) -> Result<(), TryLockError> {
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            done => return done,
        }
    }
    file.try_lock()
}

/// Whole or not at all, and never readable by others, not even for a moment.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options().write(true).create_new(true).mode(OWNER_ONLY).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}
