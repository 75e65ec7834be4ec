//! A copy of the whole file while others go on writing to it.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::Error;
use super::database::{BUSY_TIMEOUT, OWNER_ONLY};

/// In one step: what is copied is one moment's state, however much is written meanwhile.
const ALL_PAGES: std::ffi::c_int = -1;

pub(super) fn copy_file(from: &Path, to: &Path) -> Result<(), Error> {
    let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    source.busy_timeout(BUSY_TIMEOUT)?;
    copy(&source, to)
}

/// `to` appears whole or not at all, and nothing that is there already is overwritten.
pub(super) fn copy(from: &Connection, to: &Path) -> Result<(), Error> {
    if to.exists() {
        return Err(Error::Copy(io::Error::new(io::ErrorKind::AlreadyExists, "a file is there already")));
    }
    let partial = beside(to, ".partial");
    let written = write(from, &partial).and_then(|()| publish(&partial, to));
    let _ = std::fs::remove_file(&partial);
    written
}

/// Makes `to` of a file that is complete.
pub(super) fn publish(partial: &Path, to: &Path) -> Result<(), Error> {
    File::open(partial).and_then(|file| file.sync_all()).map_err(Error::Copy)?;
    // A link fails if somebody made `to` meanwhile; a rename would replace it.
    std::fs::hard_link(partial, to).map_err(Error::Copy)
}

/// Makes `partial` anew, readable by its owner only.
pub(super) fn write(source: &Connection, partial: &Path) -> Result<(), Error> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(OWNER_ONLY).open(partial).map_err(Error::Copy)?;
    let mut target = Connection::open(partial)?;
    overwrite(source, &mut target)?;
    // The copy is one file, not one with a log beside it.
    target.pragma_update(None, "journal_mode", "DELETE")?;
    Ok(())
}

/// Everything in `target` is what is in `source` then, for others who have it open too, in one moment.
pub(super) fn overwrite(source: &Connection, target: &mut Connection) -> Result<(), Error> {
    match Backup::new(source, target)?.step(ALL_PAGES)? {
        StepResult::Done => Ok(()),
        _ => Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
            Some("another process writes to the file".to_owned()),
        )
        .into()),
    }
}

pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    path.with_file_name(name)
}
