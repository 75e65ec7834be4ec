//! One folder of installed packages per interpreter and requirement set, built once, shared by all who want the same.

use std::ffi::{OsStr, OsString};
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use flash_artifact::RequirementSet;
use flash_artifact::requirements::redacted;
use flash_model::{Retry, sha256_hex};

use super::command::Cancel;
use super::install::{Installer, python_of};
use super::interpreter::{self, Interpreter};

const KEY_DIGITS: usize = 16;

/// Written last; a folder without it is what an interrupted build left.
const MARKER_FILE: &str = ".complete";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{command} failed: {status}")]
    InstallFailed {
        command: String,
        status: String,
        /// The last lines that it wrote, without credentials.
        output: String,
    },
    #[error("cannot run {command}")]
    CannotRun {
        command: String,
        #[source]
        source: io::Error,
    },
    /// Only where packages are installed for another machine.
    #[error(transparent)]
    NoInterpreter(interpreter::Error),
    #[error("cannot read or write the environment's files")]
    Io(#[from] io::Error),
}

impl Error {
    /// An installer that failed may have had no network.
    pub fn retry(&self) -> Retry {
        match self {
            Self::InstallFailed { .. } | Self::Io(_) => Retry::Backoff,
            Self::CannotRun { .. } | Self::NoInterpreter(_) => Retry::Never,
        }
    }
}

/// In this order; `Waiting` only when another process builds the same environment, `Installing` once or twice.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    Waiting,
    Creating,
    Installing {
        count: usize,
    },
    /// A line of an installer's own output.
    Line(String),
    Ready {
        seconds: f64,
    },
}

#[derive(Debug, Clone)]
pub struct Environments {
    root: PathBuf,
    interpreter: Interpreter,
    search_path: OsString,
    cancel: Cancel,
}

impl Environments {
    /// `root` is where the environments lie (`.flash/envs`), absolute; `uv` is looked for on `search_path`.
    pub fn new(root: PathBuf, interpreter: Interpreter, search_path: &OsStr) -> Self {
        Self { root, interpreter, search_path: search_path.to_owned(), cancel: Cancel::default() }
    }

    /// Installations end when `cancel` says so.
    #[must_use]
    pub fn cancelled_by(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self
    }

    pub fn interpreter(&self) -> &Interpreter {
        &self.interpreter
    }

    /// The Python of the environment for `set`, whether it exists yet or not.
    pub fn python_for(&self, set: &RequirementSet) -> PathBuf {
        python_of(&self.folder(set))
    }

    pub fn is_ready(&self, set: &RequirementSet) -> bool {
        let folder = self.folder(set);
        // The Python is a link to the interpreter, which may have been uninstalled since.
        folder.join(MARKER_FILE).is_file() && python_of(&folder).exists()
    }

    /// Makes the environment unless it is ready, and returns its Python. Of several processes that want the same one,
    /// one builds and the others wait for it.
    pub fn ensure(&self, set: &RequirementSet, progress: &dyn Fn(Progress)) -> Result<PathBuf, Error> {
        let python = self.python_for(set);
        if self.is_ready(set) {
            return Ok(python);
        }
        let start = Instant::now();
        let folder = self.folder(set);
        fs_err::create_dir_all(&self.root)?;
        let lock = locked(&folder.with_extension("lock"), progress)?;
        if !self.is_ready(set) {
            self.build(&folder, set, &lock, progress)?;
        }
        progress(Progress::Ready { seconds: start.elapsed().as_secs_f64() });
        Ok(python)
    }

    fn build(
        &self,
        folder: &Path,
        set: &RequirementSet,
        lock: &File,
        progress: &dyn Fn(Progress),
    ) -> Result<(), Error> {
        if folder.symlink_metadata().is_ok() {
            fs_err::remove_dir_all(folder)?;
        }
        let installer = Installer {
            interpreter: &self.interpreter,
            search_path: &self.search_path,
            environment: folder,
            lock,
            cancel: &self.cancel,
            progress,
        };
        installer.install(set)?;
        fs_err::write(folder.join(MARKER_FILE), redacted(&set.requirements.join("\n")))?;
        Ok(())
    }

    fn folder(&self, set: &RequirementSet) -> PathBuf {
        let Interpreter { version: (major, minor, patch), platform, .. } = &self.interpreter;
        let identity = format!("python {major}.{minor}.{patch} {platform}\n{}", set.digest());
        self.root.join(&sha256_hex(identity.as_bytes())[..KEY_DIGITS])
    }
}

/// The lock file stays: removing it would let two processes hold locks on two files of one name.
pub(super) fn locked(path: &Path, progress: &dyn Fn(Progress)) -> io::Result<File> {
    let mut options = fs_err::OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).open(path)?.into_parts().0;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            progress(Progress::Waiting);
            file.lock()?;
        }
        Err(TryLockError::Error(error)) => return Err(error),
    }
    Ok(file)
}
