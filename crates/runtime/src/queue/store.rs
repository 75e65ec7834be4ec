//! What a job may become, in SQL. Called by one thread, inside its transaction; other endpoints of the resource may write
//! between two of them.

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use flash_model::wire::{JobCounts, JobStatus, JobView};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use serde_json::value::RawValue;

use super::End;

/// A job that took the process down this often is not tried again.
const ATTEMPTS_MAX: u32 = 3;
/// Endpoints of two versions of Flash may have the database open at the same time.
const SCHEMA_VERSION: i64 = 1;
/// Another process writes for as long as a flush to disk takes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS job (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        status TEXT NOT NULL,
        input TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        retries INTEGER NOT NULL DEFAULT 0,
        created_ms INTEGER NOT NULL,
        started_ms INTEGER,
        finished_ms INTEGER,
        output TEXT,
        error TEXT,
        worker TEXT
    ) STRICT;
    CREATE INDEX IF NOT EXISTS job_by_status ON job (status, seq);
    CREATE INDEX IF NOT EXISTS job_by_end ON job (finished_ms) WHERE finished_ms IS NOT NULL;
";

/// A job that a worker is to run now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claimed {
    pub(crate) id: String,
    /// Counts from 1; the fence of [`Store::finish`].
    pub(crate) attempt: u32,
    pub(crate) input: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) end: End,
    /// JSON text.
    pub(crate) output: Option<String>,
    pub(crate) error: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cancelled {
    pub(crate) status: JobStatus,
    /// Whether a worker was running it.
    pub(crate) was_running: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retried {
    Queued,
    /// Only jobs that failed or timed out can be run again.
    Refused(JobStatus),
    Unknown,
}

#[derive(Debug)]
pub(super) struct Store {
    connection: Connection,
    depth: Cell<u64>,
    /// SQLite's count of what others wrote, as of the last transaction.
    data_version: Cell<i64>,
}

impl Store {
    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(SCHEMA)?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version != SCHEMA_VERSION {
            connection.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        }
        let store = Self { connection, depth: Cell::new(0), data_version: Cell::new(i64::MIN) };
        store.notice_others()?;
        Ok(store)
    }

    /// Jobs in progress are nobody's: whoever ran them is gone. They are queued again.
    pub(super) fn recover(&self, now_ms: u64) -> rusqlite::Result<()> {
        self.connection.execute(
            "UPDATE job SET status = 'FAILED', finished_ms = ?1, error = 'the endpoint ended ' || attempts || \
             ' times while this job was running; it is not tried again' \
             WHERE status = 'IN_PROGRESS' AND attempts >= ?2",
            params![now_ms, ATTEMPTS_MAX],
        )?;
        self.connection.execute(
            "UPDATE job SET status = 'IN_QUEUE', started_ms = NULL, worker = NULL WHERE status = 'IN_PROGRESS'",
            [],
        )?;
        self.recount()
    }

    /// Takes in the jobs of another database, those that ran as waiting. Those that are here already stay as they are.
    pub(super) fn take_in(&self, path: &Path) -> rusqlite::Result<usize> {
        let other = Connection::open(path)?;
        let mut jobs = other.prepare(
            "SELECT id, CASE status WHEN 'IN_PROGRESS' THEN 'IN_QUEUE' ELSE status END, input, attempts, retries, \
             created_ms, CASE status WHEN 'IN_PROGRESS' THEN NULL ELSE started_ms END, finished_ms, output, error, \
             CASE status WHEN 'IN_PROGRESS' THEN NULL ELSE worker END FROM job ORDER BY seq",
        )?;
        let mut insert = self.connection.prepare(
            "INSERT OR IGNORE INTO job (id, status, input, attempts, retries, created_ms, started_ms, finished_ms, \
             output, error, worker) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?;
        let mut rows = jobs.query([])?;
        let mut taken = 0;
        while let Some(row) = rows.next()? {
            let values: Vec<Value> = (0..11).map(|index| row.get(index)).collect::<rusqlite::Result<_>>()?;
            taken += insert.execute(params_from_iter(values))?;
        }
        self.recount()?;
        Ok(taken)
    }

    /// Jobs that wait.
    pub(super) fn depth(&self) -> u64 {
        self.depth.get()
    }

    /// Of `ids`, those whose job has ended or is not there, if others wrote since `seen`; and how to ask next time.
    pub(super) fn ended_elsewhere(&self, ids: &[String], seen: i64) -> rusqlite::Result<(Vec<String>, i64)> {
        let now = self.data_version.get();
        let mut ended = Vec::new();
        if now != seen {
            for id in ids {
                if self.status(id)?.is_none_or(JobStatus::is_terminal) {
                    ended.push(id.clone());
                }
            }
        }
        Ok((ended, now))
    }

    fn recount(&self) -> rusqlite::Result<()> {
        let query = "SELECT COUNT(*) FROM job WHERE status = 'IN_QUEUE'";
        self.depth.set(self.connection.query_row(query, [], |row| row.get(0))?);
        Ok(())
    }

    fn notice_others(&self) -> rusqlite::Result<()> {
        let mut pragma = self.connection.prepare_cached("PRAGMA data_version")?;
        let version = pragma.query_row([], |row| row.get(0))?;
        if self.data_version.replace(version) != version { self.recount() } else { Ok(()) }
    }

    pub(super) fn begin(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        self.notice_others()
    }

    pub(super) fn commit(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch("COMMIT")
    }

    pub(super) fn roll_back(&self) {
        // Fails only where there is nothing left to roll back.
        let _ = self.connection.execute_batch("ROLLBACK");
        let _ = self.recount();
    }

    pub(super) fn submit(&self, id: &str, input: &str, now_ms: u64) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(
                "INSERT INTO job (id, status, input, created_ms) VALUES (?1, 'IN_QUEUE', ?2, ?3)",
            )?
            .execute(params![id, input, now_ms])?;
        self.grow(1);
        Ok(())
    }

    pub(super) fn view(&self, id: &str, now_ms: u64) -> rusqlite::Result<Option<JobView>> {
        self.connection
            .prepare_cached(
                "SELECT id, status, worker, created_ms, started_ms, finished_ms, output, error FROM job WHERE id = ?1",
            )?
            .query_row([id], |row| view(row, now_ms))
            .optional()
    }

    pub(super) fn claim(&self, workers: &[String], now_ms: u64) -> rusqlite::Result<Vec<Claimed>> {
        let mut oldest = self.connection.prepare_cached(
            "SELECT id, attempts + 1, input FROM job WHERE status = 'IN_QUEUE' ORDER BY seq LIMIT ?1",
        )?;
        let rows = oldest.query_map([workers.len() as u64], |row| {
            Ok(Claimed { id: row.get(0)?, attempt: row.get(1)?, input: row.get(2)? })
        })?;
        let claimed = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        let mut take = self.connection.prepare_cached(
            "UPDATE job SET status = 'IN_PROGRESS', attempts = ?2, started_ms = ?3, worker = ?4 WHERE id = ?1",
        )?;
        for (job, worker) in claimed.iter().zip(workers) {
            take.execute(params![job.id, job.attempt, now_ms, worker])?;
        }
        self.shrink(claimed.len());
        Ok(claimed)
    }

    pub(super) fn finish(
        &self,
        id: &str,
        attempt: u32,
        outcome: &Outcome,
        now_ms: u64,
    ) -> rusqlite::Result<()> {
        let Outcome { end, output, error } = outcome;
        self.connection
            .prepare_cached(
                "UPDATE job SET status = ?3, output = ?4, error = ?5, finished_ms = ?6 \
                 WHERE id = ?1 AND status = 'IN_PROGRESS' AND attempts = ?2",
            )?
            .execute(params![id, attempt, end.status().word(), output, error, now_ms])?;
        Ok(())
    }

    pub(super) fn release(&self, id: &str, attempt: u32) -> rusqlite::Result<()> {
        let released = self
            .connection
            .prepare_cached(
                "UPDATE job SET status = 'IN_QUEUE', attempts = attempts - 1, started_ms = NULL, worker = NULL \
                 WHERE id = ?1 AND status = 'IN_PROGRESS' AND attempts = ?2",
            )?
            .execute(params![id, attempt])?;
        self.grow(released);
        Ok(())
    }

    pub(super) fn cancel(&self, id: &str, now_ms: u64) -> rusqlite::Result<Option<Cancelled>> {
        let Some(status) = self.status(id)? else { return Ok(None) };
        if status.is_terminal() {
            return Ok(Some(Cancelled { status, was_running: false }));
        }
        self.connection
            .prepare_cached("UPDATE job SET status = 'CANCELLED', finished_ms = ?2 WHERE id = ?1")?
            .execute(params![id, now_ms])?;
        self.shrink(usize::from(status == JobStatus::InQueue));
        Ok(Some(Cancelled { status: JobStatus::Cancelled, was_running: status == JobStatus::InProgress }))
    }

    pub(super) fn retry(&self, id: &str) -> rusqlite::Result<Retried> {
        match self.status(id)? {
            None => return Ok(Retried::Unknown),
            Some(JobStatus::Failed | JobStatus::TimedOut) => {}
            Some(other) => return Ok(Retried::Refused(other)),
        }
        self.connection
            .prepare_cached(
                "UPDATE job SET status = 'IN_QUEUE', attempts = 0, retries = retries + 1, started_ms = NULL, \
                 finished_ms = NULL, output = NULL, error = NULL, worker = NULL WHERE id = ?1",
            )?
            .execute([id])?;
        self.grow(1);
        Ok(Retried::Queued)
    }

    pub(super) fn purge(&self, now_ms: u64) -> rusqlite::Result<Vec<String>> {
        let mut cancel = self.connection.prepare_cached(
            "UPDATE job SET status = 'CANCELLED', finished_ms = ?1 WHERE status = 'IN_QUEUE' RETURNING id",
        )?;
        let ids = cancel.query_map([now_ms], |row| row.get(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
        self.shrink(ids.len());
        Ok(ids)
    }

    pub(super) fn counts(&self) -> rusqlite::Result<JobCounts> {
        let mut counts = JobCounts::default();
        let mut query = self
            .connection
            .prepare_cached("SELECT status, COUNT(*), SUM(retries) FROM job GROUP BY status")?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let (status, count): (String, u64) = (row.get(0)?, row.get(1)?);
            counts.retried += row.get::<_, u64>(2)?;
            match parse(&status) {
                JobStatus::InQueue => counts.in_queue += count,
                JobStatus::InProgress => counts.in_progress += count,
                JobStatus::Completed => counts.completed += count,
                JobStatus::Failed | JobStatus::TimedOut => counts.failed += count,
                JobStatus::Cancelled => {}
            }
        }
        Ok(counts)
    }

    /// Removes results that are older than `before_ms`, and the oldest beyond `results_max`.
    pub(super) fn sweep(&self, before_ms: u64, results_max: u64) -> rusqlite::Result<()> {
        self.connection.execute("DELETE FROM job WHERE finished_ms < ?1", [before_ms])?;
        self.connection.execute(
            "DELETE FROM job WHERE seq IN (SELECT seq FROM job WHERE finished_ms IS NOT NULL \
             ORDER BY finished_ms DESC, seq DESC LIMIT -1 OFFSET ?1)",
            [results_max],
        )?;
        Ok(())
    }

    fn status(&self, id: &str) -> rusqlite::Result<Option<JobStatus>> {
        self.connection
            .prepare_cached("SELECT status FROM job WHERE id = ?1")?
            .query_row([id], |row| Ok(parse(&row.get::<_, String>(0)?)))
            .optional()
    }

    fn grow(&self, by: usize) {
        self.depth.set(self.depth.get() + by as u64);
    }

    fn shrink(&self, by: usize) {
        self.depth.set(self.depth.get().saturating_sub(by as u64));
    }
}

fn view(row: &Row<'_>, now_ms: u64) -> rusqlite::Result<JobView> {
    let status = parse(&row.get::<_, String>(1)?);
    let created_ms: u64 = row.get(3)?;
    let (started_ms, finished_ms): (Option<u64>, Option<u64>) = (row.get(4)?, row.get(5)?);
    let in_queue_until = started_ms.or((!status.is_terminal()).then_some(now_ms));
    let output: Option<String> = row.get(6)?;
    Ok(JobView {
        id: row.get(0)?,
        status,
        worker_id: row.get::<_, Option<String>>(2)?.unwrap_or_default(),
        delay_time: in_queue_until.map_or(0, |until| until.saturating_sub(created_ms)),
        execution_time: started_ms.map_or(0, |started| finished_ms.unwrap_or(now_ms).saturating_sub(started)),
        output: output.and_then(raw),
        error: row.get(7)?,
    })
}

/// What is not JSON is given as text.
fn raw(output: String) -> Option<Box<RawValue>> {
    if serde_json::from_str::<&RawValue>(&output).is_ok() {
        return RawValue::from_string(output).ok();
    }
    serde_json::value::to_raw_value(&output).ok()
}

fn parse(word: &str) -> JobStatus {
    match word {
        "IN_QUEUE" => JobStatus::InQueue,
        "IN_PROGRESS" => JobStatus::InProgress,
        "COMPLETED" => JobStatus::Completed,
        "CANCELLED" => JobStatus::Cancelled,
        "TIMED_OUT" => JobStatus::TimedOut,
        _ => JobStatus::Failed,
    }
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
