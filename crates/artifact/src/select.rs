//! Which files of a project belong to it: `.gitignore` and `.flashignore` semantics, minus what must never travel.

use std::io;
use std::path::{Path, PathBuf};

use ignore::{DirEntry, WalkBuilder};

/// Directories that are never entered, at any depth. Virtual environments are also recognised by their `pyvenv.cfg`.
const NEVER_DIRECTORIES: [&str; 18] = [
    ".aws",
    ".flash",
    ".git",
    ".gnupg",
    ".hg",
    ".mypy_cache",
    ".nox",
    ".pytest_cache",
    ".ruff_cache",
    ".runpod",
    ".ssh",
    ".svn",
    ".tetra",
    ".tox",
    ".venv",
    "__pycache__",
    "node_modules",
    "site-packages",
];

/// Files that are never taken, by their whole name. `.git` is a file in a worktree or submodule.
const NEVER_FILES: [&str; 6] = [".DS_Store", ".git", ".git-credentials", ".netrc", ".pypirc", "pyvenv.cfg"];

/// Byte code, and private keys and key stores.
const NEVER_EXTENSIONS: [&str; 9] = ["jks", "key", "keystore", "p12", "pem", "pfx", "ppk", "pyc", "pyo"];

const PRIVATE_KEY_NAMES: [&str; 4] = ["id_dsa", "id_ecdsa", "id_ed25519", "id_rsa"];

const IGNORE_FILE: &str = ".flashignore";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path} is not a directory")]
    NotADirectory { path: PathBuf },
    #[error("cannot read {path}; name it in {IGNORE_FILE} if it does not belong to the project")]
    Unreadable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("file name {path:?} is not UTF-8; rename it or name its folder in {IGNORE_FILE}")]
    NotUnicode { path: PathBuf },
    #[error("cannot list the project's files")]
    Walk(#[source] ignore::Error),
}

/// The files of a project, sorted by path.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Absolute, without symbolic links.
    pub root: PathBuf,
    pub files: Vec<SelectedFile>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectedFile {
    /// Relative to the root, with `/`.
    pub path: String,
    pub absolute: PathBuf,
    pub executable: bool,
    pub size_bytes: u64,
}

impl Selection {
    /// Paths and contents of all `*.py`, in order.
    pub fn python_sources(&self) -> Result<Vec<(String, Vec<u8>)>, Error> {
        self.files
            .iter()
            .filter(|file| file.path.ends_with(".py"))
            .map(|file| {
                let bytes = std::fs::read(&file.absolute)
                    .map_err(|source| Error::Unreadable { path: file.absolute.clone(), source })?;
                Ok((file.path.clone(), bytes))
            })
            .collect()
    }
}

/// Nothing outside `root` is read: neither ignore files of parent folders nor the user's own, so that one tree gives one
/// selection on every machine. Symbolic links are followed to places inside `root` only.
pub fn select(root: &Path) -> Result<Selection, Error> {
    let canonical =
        root.canonicalize().map_err(|source| Error::Unreadable { path: root.to_owned(), source })?;
    if !canonical.is_dir() {
        return Err(Error::NotADirectory { path: canonical });
    }

    let filter_root = canonical.clone();
    let walk = WalkBuilder::new(&canonical)
        .standard_filters(false)
        .git_ignore(true)
        .require_git(false)
        .add_custom_ignore_filename(IGNORE_FILE)
        .follow_links(true)
        .filter_entry(move |entry| belongs(&filter_root, entry))
        .build();

    let mut files = Vec::new();
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if is_loop(&error) || is_dangling_link(&error) => continue,
            Err(error) => return Err(walk_error(error)),
        };
        if entry.file_type().is_some_and(|kind| kind.is_file()) {
            files.push(selected(&canonical, &entry)?);
        }
    }
    files.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(Selection { root: canonical, files })
}

fn selected(root: &Path, entry: &DirEntry) -> Result<SelectedFile, Error> {
    let absolute = entry.path().to_owned();
    let not_unicode = || Error::NotUnicode { path: absolute.clone() };
    let segments: Option<Vec<&str>> = absolute
        .strip_prefix(root)
        .map_err(|_| not_unicode())?
        .components()
        .map(|segment| segment.as_os_str().to_str())
        .collect();
    let path = segments.ok_or_else(not_unicode)?.join("/");
    let metadata = entry.metadata().map_err(walk_error)?;
    Ok(SelectedFile { path, absolute, executable: is_executable(&metadata), size_bytes: metadata.len() })
}

#[cfg(unix)]
fn is_executable(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &std::fs::Metadata) -> bool {
    false
}

fn belongs(root: &Path, entry: &DirEntry) -> bool {
    if entry.depth() == 0 {
        return true;
    }
    let is_directory = entry.file_type().is_some_and(|kind| kind.is_dir());
    !is_never(entry.path(), is_directory)
        && (!entry.path_is_symlink() || is_followed(root, entry, is_directory))
}

/// Directory links below a directory link are left out: without loops even so, but links that lead to each other
/// would multiply. What a link leads to obeys the same rules as its name, so that none of them hides a secret.
fn is_followed(root: &Path, entry: &DirEntry, is_directory: bool) -> bool {
    let Ok(target) = entry.path().canonicalize() else { return false };
    let Ok(inside) = target.strip_prefix(root) else { return false };
    let mut directories = inside.ancestors().skip(1).filter(|ancestor| !ancestor.as_os_str().is_empty());
    let allowed = !is_never(&target, is_directory)
        && !directories.any(|directory| is_never(&root.join(directory), true));
    let is_nested = || {
        let parent = entry.path().parent();
        parent.is_none_or(|parent| !parent.canonicalize().is_ok_and(|real| real == parent))
    };
    allowed && !(is_directory && is_nested())
}

fn is_never(path: &Path, is_directory: bool) -> bool {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return false };
    if is_environment_name(name) {
        return true;
    }
    if is_directory {
        return NEVER_DIRECTORIES.contains(&name) || path.join("pyvenv.cfg").exists();
    }
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    NEVER_FILES.contains(&name)
        || NEVER_EXTENSIONS.iter().any(|never| never.eq_ignore_ascii_case(extension))
        || is_private_key_name(name)
}

/// `.env`, `.env.local`, `.env-prod`, `.envrc`: files of values, or an environment named so.
fn is_environment_name(name: &str) -> bool {
    name.strip_prefix(".env")
        .is_some_and(|rest| rest.is_empty() || rest == "rc" || rest.starts_with(['.', '-', '_']))
        && name != ".env.example"
}

fn is_private_key_name(name: &str) -> bool {
    PRIVATE_KEY_NAMES.iter().any(|key| {
        name.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '_']))
    }) && !name.ends_with(".py")
}

fn is_loop(error: &ignore::Error) -> bool {
    match error {
        ignore::Error::WithPath { err, .. } | ignore::Error::WithDepth { err, .. } => is_loop(err),
        ignore::Error::Loop { .. } => true,
        _ => false,
    }
}

fn is_dangling_link(error: &ignore::Error) -> bool {
    error_path(error).is_some_and(|path| path.is_symlink() && !path.exists())
}

fn error_path(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path),
        ignore::Error::WithDepth { err, .. } => error_path(err),
        _ => None,
    }
}

fn walk_error(error: ignore::Error) -> Error {
    let path = error_path(&error).map(Path::to_owned);
    let kind = error.io_error().map(io::Error::kind);
    match (path, kind) {
        (Some(path), Some(kind)) => match error.into_io_error() {
            Some(source) => Error::Unreadable { path, source },
            None => Error::Unreadable { path, source: kind.into() },
        },
        _ => Error::Walk(error),
    }
}
