//! Dead letters: jobs that failed for good although they were to be tried again, and those that took their endpoint down.

use flash_model::wire::{DeadLetter, DeadLetters, JobStatus};
use rusqlite::{OptionalExtension, params};

use super::{AFRESH, Store, parse};

/// A traceback may have much more.
const ERROR_SHOWN_CHARS_MAX: u32 = 2000;
/// An endpoint of an earlier version may have run one again, and knows nothing of the mark.
const IS_DEAD: &str = "dead = 1 AND finished_ms IS NOT NULL AND status IN ('FAILED', 'TIMED_OUT')";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Redrive {
    Queued,
    NotDead(JobStatus),
    Unknown,
}

impl Store {
    /// The newest first.
    pub(in crate::queue) fn dead(&self, limit: u64, now_ms: u64) -> rusqlite::Result<DeadLetters> {
        let there = format!("FROM job WHERE {IS_DEAD} AND (expires_ms IS NULL OR expires_ms > ?1)");
        let mut letters = self.connection.prepare_cached(&format!(
            "SELECT id, status, finished_ms, attempts, octet_length(input), substr(error, -?3) {there} \
             ORDER BY finished_ms DESC, seq DESC LIMIT ?2"
        ))?;
        let rows = letters.query_map(params![now_ms, limit, ERROR_SHOWN_CHARS_MAX], |row| {
            Ok(DeadLetter {
                id: row.get(0)?,
                status: parse(&row.get::<_, String>(1)?),
                died_at_ms: row.get(2)?,
                attempts: row.get(3)?,
                input_bytes: row.get(4)?,
                error: row.get(5)?,
            })
        })?;
        let dead = rows.collect::<rusqlite::Result<_>>()?;
        let mut count = self.connection.prepare_cached(&format!("SELECT COUNT(*) {there}"))?;
        Ok(DeadLetters { total: count.query_row([now_ms], |row| row.get(0))?, dead })
    }

    pub(in crate::queue) fn redrive(&self, id: &str, now_ms: u64) -> rusqlite::Result<Redrive> {
        let query = format!(
            "SELECT status, {IS_DEAD} FROM job WHERE id = ?1 AND (expires_ms IS NULL OR expires_ms > ?2)"
        );
        let mut query = self.connection.prepare_cached(&query)?;
        let found = query
            .query_row(params![id, now_ms], |row| Ok((parse(&row.get::<_, String>(0)?), row.get(1)?)))
            .optional()?;
        match found {
            None => return Ok(Redrive::Unknown),
            Some((status, false)) => return Ok(Redrive::NotDead(status)),
            Some((_, true)) => {}
        }
        // At the end of the queue: whoever waits now waits no longer for what failed before.
        let update = format!(
            "UPDATE job SET {AFRESH}, created_ms = ?2, seq = (SELECT MAX(seq) + 1 FROM job) WHERE id = ?1 \
             RETURNING low_priority, bytes"
        );
        self.requeued(&update, params![id, now_ms])?;
        Ok(Redrive::Queued)
    }

    /// Some of those that died before `until_ms`, the oldest first; gives how many.
    pub(in crate::queue) fn redrive_some(
        &self,
        until_ms: u64,
        step: u64,
        now_ms: u64,
    ) -> rusqlite::Result<u64> {
        let query = format!(
            "SELECT id FROM job WHERE {IS_DEAD} AND finished_ms < ?1 AND (expires_ms IS NULL OR expires_ms > ?3) \
             ORDER BY finished_ms, seq LIMIT ?2"
        );
        let mut oldest = self.connection.prepare_cached(&query)?;
        let ids = oldest.query_map([until_ms, step, now_ms], |row| row.get(0))?;
        let ids = ids.collect::<rusqlite::Result<Vec<String>>>()?;
        for id in &ids {
            self.redrive(id, now_ms)?;
        }
        Ok(ids.len() as u64)
    }
}
