//! Which files of a project belong to it: `.gitignore` and `.flashignore` semantics, minus what must never travel.

mod include;
mod protected;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ignore::{DirEntry, WalkBuilder, WalkState};

pub use self::include::Include;
pub use self::protected::Protection;
use self::protected::{OWN_FOLDER, protection};

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
    #[error("{pattern:?} cannot be included: {reason}")]
    Pattern { pattern: String, reason: String },
    #[error("cannot list the project's files")]
    Walk(#[source] ignore::Error),
}

/// The files of a project, sorted by path.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Absolute, without symbolic links.
    pub root: PathBuf,
    pub files: Vec<SelectedFile>,
    /// Left out as secrets, though no ignore file names them; relative paths, sorted.
    pub secrets: Vec<String>,
    /// What only an [`Include`] brought in, in order.
    pub forced: Vec<Forced>,
    /// Patterns of the [`Include`] that no file matches.
    pub unmatched: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectedFile {
    /// Relative to the root, with `/`.
    pub path: String,
    pub absolute: PathBuf,
    pub executable: bool,
    pub size_bytes: u64,
}

/// A file that was left out by a rule, and taken all the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forced {
    pub path: String,
    /// `None`: an ignore file names it.
    pub overrides: Option<Protection>,
}

impl Selection {
    pub fn contains(&self, path: &str) -> bool {
        self.files.binary_search_by(|file| file.path.as_str().cmp(path)).is_ok()
    }

    /// Whether `path` (relative, with `/`) is a file on disk that was left out: where an import leads nowhere, this is
    /// why. Costs one look at the disk.
    pub fn left_out(&self, path: &str) -> bool {
        let stays_inside = path.split('/').all(|segment| !matches!(segment, "" | "." | ".."));
        stays_inside && !self.contains(path) && self.root.join(path).is_file()
    }

    /// Paths and contents of all `*.py`, in order. Reads on all cores.
    pub fn python_sources(&self) -> Result<Vec<(String, Vec<u8>)>, Error> {
        let files: Vec<&SelectedFile> = self.files.iter().filter(|file| file.path.ends_with(".py")).collect();
        let part = files.len().div_ceil(threads()).max(1);
        let parts = std::thread::scope(|scope| {
            let readers: Vec<_> = files.chunks(part).map(|files| scope.spawn(|| read_all(files))).collect();
            readers.into_iter().map(|reader| reader.join()).collect::<Vec<_>>()
        });
        let mut sources = Vec::with_capacity(files.len());
        for part in parts {
            // A reader panics only where reading inline would have.
            sources.extend(part.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(sources)
    }
}

fn read_all(files: &[&SelectedFile]) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let read = |file: &&SelectedFile| {
        let bytes = std::fs::read(&file.absolute)
            .map_err(|source| Error::Unreadable { path: file.absolute.clone(), source })?;
        Ok((file.path.clone(), bytes))
    };
    files.iter().map(read).collect()
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Nothing outside `root` is read: neither ignore files of parent folders nor the user's own, so that one tree gives one
/// selection on every machine. Symbolic links are followed to places inside `root` only.
pub fn select(root: &Path) -> Result<Selection, Error> {
    let root = canonical(root)?;
    let secrets = Mutex::new(Vec::new());
    let mut walk = WalkBuilder::new(&root);
    walk.standard_filters(false)
        .git_ignore(true)
        .require_git(false)
        .add_custom_ignore_filename(IGNORE_FILE)
        .follow_links(true);
    let mut files = files_of(&root, &walk, &|entry| match own_protection(entry) {
        Some(Protection::Secret) => {
            locked(&secrets).extend(relative_of(&root, entry.path()));
            false
        }
        Some(Protection::Clutter) => false,
        None => true,
    })?;
    files.sort_by(|left, right| left.path.cmp(&right.path));
    let mut secrets = secrets.into_inner().unwrap_or_else(PoisonError::into_inner);
    secrets.sort();
    Ok(Selection { root, files, secrets, forced: Vec::new(), unmatched: Vec::new() })
}

/// [`select`], and the files that `include` names. What is protected is found by its own name (`*.pem`), and in a
/// protected directory only if a pattern names that directory.
pub fn select_with(root: &Path, include: &Include) -> Result<Selection, Error> {
    let mut selection = select(root)?;
    if include.is_empty() {
        return Ok(selection);
    }
    let root = selection.root.clone();
    let matcher = include.matcher(&root)?;
    let mut walk = WalkBuilder::new(&root);
    walk.standard_filters(false).follow_links(true);
    let candidates = files_of(&root, &walk, &|entry| {
        let name = entry.file_name().to_string_lossy();
        let is_directory = entry.file_type().is_some_and(|kind| kind.is_dir());
        name != OWN_FOLDER && (!is_directory || own_protection(entry).is_none() || include.names(&name))
    })?;

    let mut matched = vec![false; include.patterns().len()];
    for file in candidates {
        let ignore::Match::Ignore(glob) = matcher.matched_path_or_any_parents(&file.path, false) else {
            continue;
        };
        for (pattern, matched) in include.patterns().iter().zip(&mut matched) {
            *matched |= pattern == glob.original();
        }
        if !selection.contains(&file.path) {
            let overrides = protection_inside(&root, &file.path);
            selection.forced.push(Forced { path: file.path.clone(), overrides });
            let at = selection.files.partition_point(|other| other.path < file.path);
            selection.files.insert(at, file);
        }
    }
    selection.forced.sort_by(|left, right| left.path.cmp(&right.path));
    selection.secrets.retain(|secret| {
        let below = format!("{secret}/");
        !selection.forced.iter().any(|forced| forced.path == *secret || forced.path.starts_with(&below))
    });
    let unmatched = include.patterns().iter().zip(matched).filter(|(_, matched)| !matched);
    selection.unmatched = unmatched.map(|(pattern, _)| pattern.clone()).collect();
    Ok(selection)
}

fn canonical(root: &Path) -> Result<PathBuf, Error> {
    let canonical =
        root.canonicalize().map_err(|source| Error::Unreadable { path: root.to_owned(), source })?;
    if canonical.is_dir() { Ok(canonical) } else { Err(Error::NotADirectory { path: canonical }) }
}

/// Regular files, in no order. `belongs` decides on each entry below the root that no ignore file names.
fn files_of(
    root: &Path,
    walk: &WalkBuilder,
    belongs: &(dyn Fn(&DirEntry) -> bool + Sync),
) -> Result<Vec<SelectedFile>, Error> {
    let found = Mutex::new((Vec::new(), Vec::new()));
    walk.clone().threads(threads()).build_parallel().run(|| {
        Box::new(|entry| {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) if is_loop(&error) || is_dangling_link(&error) => return WalkState::Continue,
                Err(error) => {
                    locked(&found).1.push(walk_error(error));
                    return WalkState::Continue;
                }
            };
            if entry.depth() == 0 {
                return WalkState::Continue;
            }
            if !belongs(&entry) || (entry.path_is_symlink() && !is_followed(root, &entry)) {
                return WalkState::Skip;
            }
            if entry.file_type().is_some_and(|kind| kind.is_file()) {
                match selected(root, &entry) {
                    Ok(file) => locked(&found).0.push(file),
                    Err(error) => locked(&found).1.push(error),
                }
            }
            WalkState::Continue
        })
    });
    let (files, mut errors) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    // The same one on every machine.
    errors.sort_by_cached_key(ToString::to_string);
    errors.into_iter().next().map_or(Ok(files), Err)
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn selected(root: &Path, entry: &DirEntry) -> Result<SelectedFile, Error> {
    let absolute = entry.path().to_owned();
    let path = relative_of(root, &absolute).ok_or_else(|| Error::NotUnicode { path: absolute.clone() })?;
    let metadata = entry.metadata().map_err(walk_error)?;
    Ok(SelectedFile { path, absolute, executable: is_executable(&metadata), size_bytes: metadata.len() })
}

/// With `/`; `None` if it is not UTF-8.
fn relative_of(root: &Path, path: &Path) -> Option<String> {
    let segments = path.strip_prefix(root).ok()?.components().map(|segment| segment.as_os_str().to_str());
    Some(segments.collect::<Option<Vec<&str>>>()?.join("/"))
}

#[cfg(unix)]
pub(crate) fn is_executable(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o111 != 0
}

#[cfg(not(unix))]
pub(crate) fn is_executable(_: &std::fs::Metadata) -> bool {
    false
}

/// Of an entry of the walk; a link is judged by its own name and by what it leads to, so that none hides a secret.
fn own_protection(entry: &DirEntry) -> Option<Protection> {
    let is_directory = entry.file_type().is_some_and(|kind| kind.is_dir());
    protection(entry.path(), is_directory)
}

/// Of a file by its own name or by that of a directory above it.
fn protection_inside(root: &Path, path: &str) -> Option<Protection> {
    let path = Path::new(path);
    let directories = path.ancestors().skip(1).filter(|ancestor| !ancestor.as_os_str().is_empty());
    let of_directories = directories.filter_map(|directory| protection(&root.join(directory), true));
    protection(&root.join(path), false).into_iter().chain(of_directories).min()
}

/// Links lead to places inside the root that are not protected. Directory links below a directory link are left out:
/// without loops even so, but links that lead to each other would multiply.
fn is_followed(root: &Path, entry: &DirEntry) -> bool {
    let is_directory = entry.file_type().is_some_and(|kind| kind.is_dir());
    let Ok(target) = entry.path().canonicalize() else { return false };
    let Ok(inside) = target.strip_prefix(root) else { return false };
    let mut directories = inside.ancestors().skip(1).filter(|ancestor| !ancestor.as_os_str().is_empty());
    let allowed = protection(&target, is_directory).is_none()
        && !directories.any(|directory| protection(&root.join(directory), true).is_some());
    let is_nested = || {
        let parent = entry.path().parent();
        parent.is_none_or(|parent| !parent.canonicalize().is_ok_and(|real| real == parent))
    };
    allowed && !(is_directory && is_nested())
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
