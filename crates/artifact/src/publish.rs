//! A directory appears complete or not at all.

use std::io;
use std::path::{Path, PathBuf};

/// Fills a temporary sibling of `destination` and renames it into place. A `destination` that exists is complete, by
/// this very function, and is left as it is. Of two processes that do this at once, the slower drops its work.
pub(crate) fn directory<E: From<io::Error>>(
    destination: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<PathBuf, E> {
    if destination.is_dir() {
        return Ok(destination.to_owned());
    }
    let parent = destination.parent().unwrap_or(Path::new("."));
    fs_err::create_dir_all(parent)?;
    let temporary = tempfile::Builder::new().prefix(".incomplete-").tempdir_in(parent)?;
    // One level down, because the temporary directory itself is private to its owner.
    let content = temporary.path().join("content");
    fs_err::create_dir(&content)?;
    fill(&content)?;
    match fs_err::rename(&content, destination) {
        Ok(()) => Ok(destination.to_owned()),
        // Renaming over a directory that has files fails: somebody else was first.
        Err(_) if destination.is_dir() => Ok(destination.to_owned()),
        Err(error) => Err(error.into()),
    }
}
