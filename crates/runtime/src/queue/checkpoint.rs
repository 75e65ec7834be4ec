//! Brings what the write-ahead log holds into the database on a thread of its own: a transaction that did it, as SQLite's do by
//! themselves, would keep everybody waiting who submits at that moment.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use rusqlite::Connection;

/// Transactions between two checkpoints: about as many pages as SQLite has between its own.
const TRANSACTIONS: u32 = 64;
/// A log of so many pages (32 MiB) is checkpointed by the transaction that finds it, which bounds it: where others never stop
/// writing it has no other end.
pub(super) const LOG_PAGES_MAX: u32 = 8 * 1024;

/// Belongs to the thread that writes. Its own begins with the first checkpoint, so that a queue without work has none.
#[derive(Debug)]
pub(super) struct Checkpoints {
    database: PathBuf,
    transactions: u32,
    thread: Option<SyncSender<()>>,
}

impl Checkpoints {
    pub(super) fn of(database: PathBuf) -> Self {
        Self { database, transactions: 0, thread: None }
    }

    /// A transaction is on disk.
    pub(super) fn committed(&mut self) {
        self.transactions += 1;
        if self.transactions < TRANSACTIONS {
            return;
        }
        self.transactions = 0;
        if self.thread.is_none() {
            let (wake, due) = sync_channel(1);
            let database = self.database.clone();
            let thread = std::thread::Builder::new().name("flash-checkpoint".to_owned());
            match thread.spawn(move || checkpoint(&database, &due)) {
                Ok(_) => self.thread = Some(wake),
                Err(error) => tracing::warn!(%error, "the log of jobs is kept small by those who write it"),
            }
        }
        if let Some(thread) = &self.thread {
            // One that is under way takes in most of this, and the next one the rest.
            let _ = thread.try_send(());
        }
    }
}

/// Until nobody writes any more.
fn checkpoint(database: &Path, due: &Receiver<()>) {
    let mut connection = None;
    while due.recv().is_ok() {
        let done = match &connection {
            Some(connection) => passive(connection),
            None => Connection::open(database).and_then(|opened| passive(connection.insert(opened))),
        };
        if let Err(error) = done {
            tracing::warn!(%error, "the log of jobs cannot be checkpointed; it is tried again");
            connection = None;
        }
    }
}

/// As far as it can without anybody waiting for it.
fn passive(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn what_was_written_gets_into_the_database_while_nobody_waits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.sqlite");
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES_MAX).unwrap();
        connection.execute("CREATE TABLE t (x)", []).unwrap();
        let size = || std::fs::metadata(&path).unwrap().len();
        let before = size();
        let mut checkpoints = Checkpoints::of(path.clone());
        for _ in 0..TRANSACTIONS {
            assert_eq!(size(), before, "the table is in the log");
            connection.execute("INSERT INTO t VALUES (1)", []).unwrap();
            checkpoints.committed();
        }
        let begun = Instant::now();
        while size() == before {
            assert!(begun.elapsed() < Duration::from_secs(30));
            std::thread::yield_now();
        }
    }
}
