//! Checks an archive against its digest and unpacks it, trusting nothing that it says about paths.

use std::io::{self, BufReader, Read, Seek};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::EntryType;

use crate::{digest, publish};

pub const ENTRIES_MAX: usize = 1_000_000;
pub const UNPACKED_BYTES_MAX: u64 = 64 * 1024 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the archive")]
    Io(#[from] io::Error),
    #[error("the archive's digest is {found}, not {expected}")]
    DigestMismatch { expected: String, found: String },
    #[error("the archive has an entry {path:?} that leaves its root")]
    PathEscapes { path: PathBuf },
    #[error("the archive has an entry {path:?} that is neither a file nor a directory")]
    UnsupportedEntry { path: PathBuf },
    #[error("the archive has more than {ENTRIES_MAX} entries")]
    TooManyEntries,
    #[error("the archive unpacks to more than {UNPACKED_BYTES_MAX} bytes")]
    TooLarge,
}

/// Whether the file at `archive` is the artifact named `expected` (64 hex digits).
pub fn verify(archive: &Path, expected: &str) -> Result<(), Error> {
    verify_open(&mut fs_err::File::open(archive)?, expected)
}

/// Verifies `archive` and unpacks it to `destination`, which appears complete or not at all. One that exists is
/// returned as it is: name it by the digest.
pub fn unpack(archive: &Path, expected: &str, destination: &Path) -> Result<PathBuf, Error> {
    publish::directory(destination, |directory| {
        // What is unpacked is the open file that was verified, whatever happens to its name meanwhile.
        let mut file = fs_err::File::open(archive)?;
        verify_open(&mut file, expected)?;
        file.rewind()?;
        unpack_entries(BufReader::new(file), directory)
    })
}

fn verify_open(file: &mut fs_err::File, expected: &str) -> Result<(), Error> {
    let found = digest::of_reader(file)?;
    if found.eq_ignore_ascii_case(expected) {
        Ok(())
    } else {
        Err(Error::DigestMismatch { expected: expected.to_owned(), found })
    }
}

fn unpack_entries(reader: impl Read, root: &Path) -> Result<(), Error> {
    let mut archive = tar::Archive::new(MultiGzDecoder::new(reader));
    let mut left_bytes = UNPACKED_BYTES_MAX;
    for (index, entry) in archive.entries()?.enumerate() {
        if index >= ENTRIES_MAX {
            return Err(Error::TooManyEntries);
        }
        let mut entry = entry?;
        let relative = entry.path()?.into_owned();
        let target = inside(root, &relative)?;
        match entry.header().entry_type() {
            EntryType::Directory => fs_err::create_dir_all(&target)?,
            EntryType::Regular => {
                left_bytes = left_bytes.checked_sub(entry.size()).ok_or(Error::TooLarge)?;
                let executable = entry.header().mode()? & 0o111 != 0;
                if let Some(parent) = target.parent() {
                    fs_err::create_dir_all(parent)?;
                }
                write_file(&mut entry, &target, executable)?;
            }
            _ => return Err(Error::UnsupportedEntry { path: relative }),
        }
    }
    Ok(())
}

fn inside(root: &Path, relative: &Path) -> Result<PathBuf, Error> {
    let mut target = root.to_owned();
    for component in relative.components() {
        match component {
            Component::Normal(segment) => target.push(segment),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(Error::PathEscapes { path: relative.to_owned() });
            }
        }
    }
    Ok(target)
}

/// Refuses to write one file twice.
fn write_file(content: &mut impl Read, target: &Path, executable: bool) -> io::Result<()> {
    let mut options = fs_err::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use fs_err::os::unix::fs::OpenOptionsExt as _;
        options.mode(if executable { 0o755 } else { 0o644 });
    }
    #[cfg(not(unix))]
    let _ = executable;
    let mut file = options.open(target)?;
    io::copy(content, &mut file)?;
    Ok(())
}
