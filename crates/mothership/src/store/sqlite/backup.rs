//! A copy of the whole file while others go on writing to it.

use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::backup::Backup;
use rusqlite::{Connection, OpenFlags};

use super::Error;
use super::database::BUSY_TIMEOUT;

const OWNER_ONLY: u32 = 0o600;
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
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    let partial = to.with_file_name(name);
    let written = write(from, &partial).and_then(|()| {
        File::open(&partial).and_then(|file| file.sync_all()).map_err(Error::Copy)?;
        // A link fails if somebody made `to` meanwhile; a rename would replace it.
        std::fs::hard_link(&partial, to).map_err(Error::Copy)
    });
    let _ = std::fs::remove_file(&partial);
    written
}

fn write(source: &Connection, partial: &Path) -> Result<(), Error> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(OWNER_ONLY).open(partial).map_err(Error::Copy)?;
    let mut target = Connection::open(partial)?;
    Backup::new(source, &mut target)?.step(ALL_PAGES)?;
    // The copy is one file, not one with a log beside it.
    target.pragma_update(None, "journal_mode", "DELETE")?;
    Ok(())
}
