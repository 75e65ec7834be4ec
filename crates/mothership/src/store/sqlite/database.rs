//! One connection, and the ways to run work in a transaction of it. Knows no threads and waits for nobody but another
//! process that writes.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flash_model::Scope;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use super::migrate;
use super::scoped::Scoped;
use crate::store::{Clock, Error};

pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
pub(super) const OWNER_ONLY: u32 = 0o600;
/// Of prepared statements: more than there are.
const STATEMENTS_CACHED_MAX: usize = 64;

#[derive(Debug)]
pub(super) struct Database {
    pub(super) connection: Connection,
    clock: Arc<dyn Clock>,
}

/// A write, as one of several that are committed together.
pub(super) trait Operation {
    /// False if it failed, and what it has written must go.
    fn run(&mut self, connection: &Connection, clock: &dyn Clock) -> bool;
}

impl Database {
    /// Makes the file, readable by its owner only, and its tables if needed.
    pub(super) fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        // SQLite gives the files beside it the same mode. Why it cannot be made, if so, SQLite says as well.
        let _ = File::options().write(true).create_new(true).mode(OWNER_ONLY).open(path);
        let connection = connect(path, OpenFlags::default())?;
        // The journal's mode is written to the file, and it may not be ours.
        migrate::version(&connection)?;
        let mut database = Self::over(connection, clock)?;
        migrate::migrate(&mut database.connection)?;
        Ok(database)
    }

    /// Another connection to a file that has its tables.
    pub(super) fn open_again(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        Self::over(connect(path, OpenFlags::default())?, clock)
    }

    /// Whether there is a file, and anything in it. Writes nothing.
    pub(super) fn is_there(path: &Path) -> Result<bool, Error> {
        if !path.exists() {
            return Ok(false);
        }
        Ok(migrate::version(&connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?)? > 0)
    }

    fn over(connection: Connection, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // On macOS a plain sync stops at the disk's own cache.
        connection.pragma_update(None, "fullfsync", true)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED_MAX);
        Ok(Self { connection, clock })
    }

    pub(super) fn in_memory(clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let mut connection = Connection::open_in_memory()?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED_MAX);
        migrate::migrate(&mut connection)?;
        Ok(Self { connection, clock })
    }

    /// Runs `work` at one moment of the file.
    pub(super) fn read<T>(
        &mut self,
        work: impl FnOnce(&Connection, &dyn Clock) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let transaction = self.connection.transaction()?;
        work(&transaction, &*self.clock)
    }

    /// Runs `work` in a write transaction of its own.
    pub(super) fn write<T>(
        &mut self,
        scope: &Scope,
        work: impl FnOnce(&Scoped<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let result = work(&Scoped::to_write(&transaction, scope, self.clock.now_ms())?)?;
        transaction.commit()?;
        Ok(result)
    }

    /// Runs all operations in one transaction and commits it once. What one of them has written goes if it fails, and
    /// the others stay. An error is everyone's: nothing was written.
    pub(super) fn write_together<'a>(
        &mut self,
        operations: impl Iterator<Item = &'a mut (dyn Operation + Send + 'static)>,
    ) -> Result<(), Error> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for operation in operations {
            transaction.prepare_cached("SAVEPOINT operation")?.execute([])?;
            let succeeded = operation.run(&transaction, &*self.clock);
            end(&transaction, succeeded)?;
        }
        Ok(transaction.commit()?)
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Error> {
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    Ok(connection)
}

fn end(transaction: &Transaction<'_>, succeeded: bool) -> Result<(), Error> {
    // A full disk makes SQLite undo the whole transaction, savepoints and all. What follows would each be written by
    // itself, which is not what anybody was promised.
    if transaction.is_autocommit() {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL),
            Some("the transaction was undone".to_owned()),
        )
        .into());
    }
    if !succeeded {
        transaction.prepare_cached("ROLLBACK TO operation")?.execute([])?;
    }
    transaction.prepare_cached("RELEASE operation")?.execute([])?;
    Ok(())
}
