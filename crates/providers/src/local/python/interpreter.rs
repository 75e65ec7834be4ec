//! Finds the Python that worker environments are made from, and asks it what it is.

use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The oldest version that the SDK runs on.
pub const VERSION_MIN: (u32, u32) = (3, 10);

/// In order of preference: what the user gets by typing `python3` first.
const NAMES: [&str; 7] =
    ["python3", "python3.13", "python3.12", "python3.11", "python3.10", "python3.14", "python"];

const PROJECT_PYTHON: &str = ".venv/bin/python";

const ANSWER_SECONDS_MAX: u64 = 20;
const ANSWER_POLL_MS: u64 = 2;
const ANSWER_BYTES_MAX: u64 = 16 * 1024;

/// One line each: version, platform with the ABI, executable (the last, as it may hold anything).
const QUESTION: &str = "import os, sys
print('%d.%d.%d' % sys.version_info[:3])
print(sys.platform, os.uname().machine, sys.implementation.cache_tag)
print(sys.executable)";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "{} is Python {found}; {}.{} or newer is needed",
        path.display(), VERSION_MIN.0, VERSION_MIN.1
    )]
    TooOld { path: PathBuf, found: String },
    #[error("no Python found; looked for {}", shown(searched))]
    NotFound { searched: Vec<PathBuf> },
    /// Only for an interpreter that was asked for by name.
    #[error("{} does not work as a Python interpreter: {reason}", path.display())]
    Unusable { path: PathBuf, reason: String },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Interpreter {
    /// The real executable, behind shims.
    pub path: PathBuf,
    pub version: (u32, u32, u32),
    /// Operating system, machine and ABI (`linux x86_64 cpython-312`): what compiled packages depend on.
    pub platform: String,
}

/// Asks `explicit` if given, and nothing else; otherwise the project's `.venv`, then the usual names on `search_path` (a
/// `PATH` value), and takes the first that works and is new enough. Runs them in `project_root`, where version
/// managers look for their settings.
pub fn find(explicit: Option<&Path>, project_root: &Path, search_path: &OsStr) -> Result<Interpreter, Error> {
    if let Some(wanted) = explicit {
        let path = located(wanted, project_root, search_path)?;
        let interpreter = ask(&path, project_root)
            .map_err(|error| Error::Unusable { path: path.clone(), reason: error.to_string() })?;
        return new_enough(interpreter);
    }

    let project = project_root.join(PROJECT_PYTHON);
    let on_path = NAMES.iter().filter_map(|name| on_search_path(OsStr::new(name), search_path));
    let candidates = project.is_file().then_some(project).into_iter().chain(on_path);
    let mut too_old = None;
    for path in candidates {
        match ask(&path, project_root).map(new_enough) {
            Ok(Ok(interpreter)) => return Ok(interpreter),
            Ok(Err(error)) => too_old = too_old.or(Some(error)),
            Err(reason) => tracing::debug!(path = %path.display(), %reason, "not a usable Python"),
        }
    }
    Err(too_old.unwrap_or_else(|| Error::NotFound { searched: searched(project_root) }))
}

/// First file of that name that may be executed.
pub(super) fn on_search_path(name: &OsStr, search_path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(search_path).map(|folder| folder.join(name)).find(|path| is_executable(path))
}

fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// A bare name is looked up, as a shell does; anything else is a path from the project.
fn located(wanted: &Path, project_root: &Path, search_path: &OsStr) -> Result<PathBuf, Error> {
    let is_bare = wanted.components().count() == 1 && !wanted.starts_with(".");
    if is_bare {
        return on_search_path(wanted.as_os_str(), search_path)
            .ok_or_else(|| Error::NotFound { searched: vec![wanted.to_owned()] });
    }
    let path = project_root.join(wanted);
    if path.is_file() { Ok(path) } else { Err(Error::NotFound { searched: vec![path] }) }
}

fn new_enough(interpreter: Interpreter) -> Result<Interpreter, Error> {
    let (major, minor, patch) = interpreter.version;
    if (major, minor) >= VERSION_MIN {
        Ok(interpreter)
    } else {
        Err(Error::TooOld { path: interpreter.path, found: format!("{major}.{minor}.{patch}") })
    }
}

fn ask(path: &Path, project_root: &Path) -> io::Result<Interpreter> {
    // Isolated and without `site`: nobody's start-up code runs, and the answer comes twice as fast.
    let mut child = Command::new(path)
        .args(["-I", "-S", "-c", QUESTION])
        .current_dir(project_root)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let deadline = Instant::now() + Duration::from_secs(ANSWER_SECONDS_MAX);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            return Err(io::Error::new(io::ErrorKind::TimedOut, "it did not answer in time"));
        }
        std::thread::sleep(Duration::from_millis(ANSWER_POLL_MS));
    };
    if !status.success() {
        return Err(io::Error::other(format!("it ended with {status}")));
    }
    let mut answer = String::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    }
    understood(&answer)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its answer cannot be understood"))
}

fn understood(answer: &str) -> Option<Interpreter> {
    let mut lines = answer.splitn(3, '\n');
    let mut numbers = lines.next()?.trim().split('.').map(|number| number.parse::<u32>().ok());
    let version = (numbers.next()??, numbers.next()??, numbers.next()??);
    let platform = lines.next()?.trim().to_owned();
    let path = PathBuf::from(lines.next()?.trim_end_matches('\n'));
    path.is_absolute().then_some(Interpreter { path, version, platform })
}

fn searched(project_root: &Path) -> Vec<PathBuf> {
    let mut searched = vec![project_root.join(PROJECT_PYTHON)];
    searched.extend(NAMES.iter().map(PathBuf::from));
    searched
}

fn shown(searched: &[PathBuf]) -> String {
    searched.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
