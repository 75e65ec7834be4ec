//! Jobs that failed and are tried again: in the queue, but no part of what can be run before they are due.

use rusqlite::{OptionalExtension, params};

use super::{Backlog, Store};

impl Store {
    /// An attempt failed, the next is due at `due_ms`. Without effect if the job has come to an end meanwhile.
    pub(in crate::queue) fn try_again(
        &self,
        id: &str,
        attempt: u32,
        error: Option<&str>,
        due_ms: u64,
    ) -> rusqlite::Result<()> {
        let bytes: Option<u64> = self
            .connection
            .prepare_cached(
                "UPDATE job SET status = 'IN_QUEUE', failures = failures + 1, retries = retries + 1, due_ms = ?4, \
                 error = ?3, started_ms = NULL, worker = NULL WHERE id = ?1 AND status = 'IN_PROGRESS' AND attempts = ?2 \
                 RETURNING bytes",
            )?
            .query_row(params![id, attempt, error, due_ms], |row| row.get(0))
            .optional()?;
        if let Some(bytes) = bytes {
            let now = self.backlog.get();
            self.backlog.set(Backlog { later: now.later + 1, bytes: now.bytes + bytes, ..now });
        }
        Ok(())
    }

    /// When the next of these jobs is due, or the time to live of any job is over.
    pub(in crate::queue) fn next_due(&self) -> rusqlite::Result<Option<u64>> {
        self.connection
            .prepare_cached(
                "SELECT MIN(due) FROM \
                 (SELECT MIN(due_ms) AS due FROM job WHERE status = 'IN_QUEUE' AND due_ms IS NOT NULL \
                 UNION ALL SELECT MIN(expires_ms) FROM job WHERE expires_ms IS NOT NULL)",
            )?
            .query_row([], |row| row.get(0))
    }

    /// Those that are due can be run; gives how many.
    pub(in crate::queue) fn ripen(&self, now_ms: u64) -> rusqlite::Result<usize> {
        let ripe = self
            .connection
            .prepare_cached("UPDATE job SET due_ms = NULL WHERE status = 'IN_QUEUE' AND due_ms <= ?1")?
            .execute([now_ms])?;
        if ripe > 0 {
            self.recount()?;
        }
        Ok(ripe)
    }
}
