//! What a job may become, in SQL. Called by one thread, inside its transaction; other endpoints of the resource may write
//! between two of them.
//!
//! `store/keys.rs` knows submissions again, `store/retries.rs` has failed jobs wait for another attempt, `store/dead.rs` keeps those
//! that failed for good, `store/results.rs` forgets what is old or too much, `store/parts.rs` is what generators yielded.

mod dead;
mod keys;
mod parts;
mod results;
mod retries;

use std::cell::Cell;
use std::path::Path;
use std::time::Duration;

use flash_model::TraceContext;
use flash_model::wire::{JobCounts, JobStatus, JobView};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use serde_json::value::RawValue;

use super::End;
use super::checkpoint::LOG_PAGES_MAX;
use super::key::Key;
use super::policy::{Policy, TTL_DEFAULT_MS};
use super::webhook::Webhook;
use parts::OUTPUT;
pub(super) use parts::Unread;

pub(crate) use dead::Redrive;
pub(super) use keys::Known;
pub(super) use results::Kept;

/// A job that took the process down this often is not tried again.
const ATTEMPTS_MAX: u32 = 3;
/// Endpoints of two versions of Flash may have the database open at the same time.
const SCHEMA_VERSION: i64 = 4;
/// Another process writes for as long as a flush to disk takes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// What a burst leaves of the write-ahead log.
const LOG_BYTES_KEPT: u64 = 64 * 1024 * 1024;
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
";
/// What came later. Endpoints of earlier versions name the columns that they write, and leave these as they are by default.
const COLUMNS: [(&str, &str); 10] = [
    // Of what a job takes here: its input, and its output once it has one.
    ("bytes", "INTEGER NOT NULL DEFAULT 0"),
    ("low_priority", "INTEGER NOT NULL DEFAULT 0"),
    ("execution_timeout_ms", "INTEGER"),
    ("expires_ms", "INTEGER"),
    ("webhook", "TEXT"),
    ("max_retries", "INTEGER NOT NULL DEFAULT 0"),
    // Of its attempts, those that failed and are followed by another; the others were cut off.
    ("failures", "INTEGER NOT NULL DEFAULT 0"),
    // Of a job in the queue: not to be run before.
    ("due_ms", "INTEGER"),
    ("dead", "INTEGER NOT NULL DEFAULT 0"),
    // As `TraceContext::to_text` has it.
    ("trace", "TEXT"),
];
/// They hold all that counting jobs needs: inputs and outputs are not to be read for that.
const INDEXES: &str = "
    DROP INDEX IF EXISTS job_by_status;
    DROP INDEX IF EXISTS job_in_queue;
    DROP INDEX IF EXISTS job_by_end;
    DROP INDEX IF EXISTS job_result;
    CREATE INDEX IF NOT EXISTS job_by_state ON job (status, due_ms, seq, low_priority, bytes);
    CREATE INDEX IF NOT EXISTS job_retried ON job (retries) WHERE retries > 0;
    CREATE INDEX IF NOT EXISTS job_finished ON job (dead, finished_ms, bytes) WHERE finished_ms IS NOT NULL;
    CREATE TABLE IF NOT EXISTS delivery (
        job TEXT PRIMARY KEY,
        attempts INTEGER NOT NULL,
        next_ms INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX IF NOT EXISTS delivery_by_time ON delivery (next_ms);
    CREATE TRIGGER IF NOT EXISTS job_ended AFTER UPDATE OF status ON job
        WHEN NEW.webhook IS NOT NULL AND NEW.finished_ms IS NOT NULL AND OLD.finished_ms IS NULL
        BEGIN
            INSERT OR REPLACE INTO delivery (job, attempts, next_ms) VALUES (NEW.id, 0, NEW.finished_ms);
        END;
    CREATE TRIGGER IF NOT EXISTS job_gone AFTER DELETE ON job WHEN OLD.webhook IS NOT NULL
        BEGIN
            DELETE FROM delivery WHERE job = OLD.id;
        END;
    CREATE INDEX IF NOT EXISTS job_by_expiry ON job (expires_ms) WHERE expires_ms IS NOT NULL;
    CREATE TABLE IF NOT EXISTS idempotency (
        key TEXT PRIMARY KEY,
        digest TEXT NOT NULL,
        job TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS idempotency_by_job ON idempotency (job);
    CREATE TRIGGER IF NOT EXISTS job_forgotten AFTER DELETE ON job
        BEGIN
            DELETE FROM idempotency WHERE job = OLD.id;
        END;
";
const COUNTS: &str = "SELECT status, COUNT(*) FROM job GROUP BY status";
const RETRIED: &str = "SELECT ifnull(SUM(retries), 0) FROM job WHERE retries > 0";
/// Of a job that is queued again as if it were new.
const AFRESH: &str = "status = 'IN_QUEUE', attempts = 0, failures = 0, retries = retries + 1, started_ms = NULL, \
                      finished_ms = NULL, output = NULL, error = NULL, worker = NULL, due_ms = NULL, dead = 0, \
                      bytes = octet_length(input)";

/// What is to be accepted.
#[derive(Debug, Clone)]
pub(crate) struct Submission {
    /// JSON text.
    pub(crate) input: Box<str>,
    pub(crate) policy: Policy,
    pub(crate) webhook: Option<Webhook>,
    pub(crate) key: Option<Key>,
    /// Of the request that brought it.
    pub(crate) trace: Option<TraceContext>,
}

/// One attempt to tell of a job's end.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) view: JobView,
    pub(crate) url: String,
    pub(crate) trace: Option<TraceContext>,
    /// Counts from 1; the fence of [`Store::delivered`].
    pub(crate) attempt: u32,
}

/// What waits in the queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Backlog {
    /// That can be run now.
    pub(crate) jobs: u64,
    /// Of these, the ones that are no reason to start a worker.
    pub(crate) low_priority: u64,
    /// Jobs that are tried again, but not yet.
    pub(crate) later: u64,
    /// Of all of them.
    pub(crate) bytes: u64,
}

/// A job that a worker is to run now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claimed {
    pub(crate) id: String,
    /// Counts from 1; the fence of [`Store::finish`].
    pub(crate) attempt: u32,
    pub(crate) input: String,
    /// `None` = the endpoint's.
    pub(crate) execution_timeout: Option<Duration>,
    pub(crate) expires_ms: u64,
    pub(crate) failures: u32,
    pub(crate) max_retries: u32,
    /// Of the request that brought it.
    pub(crate) trace: Option<TraceContext>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) end: End,
    /// JSON text. `None` of what completed: the output is what was yielded.
    pub(crate) output: Option<String>,
    pub(crate) error: Option<String>,
    /// Whether another attempt may end otherwise.
    pub(crate) is_retriable: bool,
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

/// Whose jobs nobody runs any more.
#[derive(Debug, Clone, Copy)]
pub(super) enum Gone<'a> {
    This(&'a str),
    AllBut(&'a [String]),
}

#[derive(Debug)]
pub(super) struct Store {
    connection: Connection,
    backlog: Cell<Backlog>,
    /// SQLite's count of what others wrote, as of the last transaction.
    data_version: Cell<i64>,
}

impl Store {
    pub(super) fn open(path: &Path) -> rusqlite::Result<Self> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
        connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES_MAX)?;
        let store = Self { connection, backlog: Cell::default(), data_version: Cell::new(i64::MIN) };
        store.connection.execute_batch("BEGIN IMMEDIATE")?;
        store.bring_along()?;
        store.commit()?;
        store.notice_others()?;
        Ok(store)
    }

    /// Of whatever version the database is.
    fn bring_along(&self) -> rusqlite::Result<()> {
        self.connection.execute_batch(SCHEMA)?;
        let mut names = self.connection.prepare("SELECT name FROM pragma_table_info('job')")?;
        let there = names.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
        for (name, declaration) in COLUMNS {
            if !there.iter().any(|there| there == name) {
                self.connection.execute(&format!("ALTER TABLE job ADD COLUMN {name} {declaration}"), [])?;
            }
        }
        if !there.iter().any(|there| there == "bytes") {
            self.measure()?;
        }
        self.connection.execute_batch(INDEXES)?;
        self.connection.execute_batch(parts::SCHEMA)?;
        let version: i64 = self.connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if version < SCHEMA_VERSION {
            self.connection.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        }
        Ok(())
    }

    /// Jobs that an earlier version accepted.
    fn measure(&self) -> rusqlite::Result<()> {
        self.connection.execute(
            "UPDATE job SET bytes = octet_length(input) + ifnull(octet_length(output), 0) WHERE bytes = 0",
            [],
        )?;
        Ok(())
    }

    /// Jobs in progress at endpoints that are gone are nobody's. They are queued again.
    pub(super) fn recover(&self, gone: Gone<'_>, now_ms: u64) -> rusqlite::Result<()> {
        let (is_gone, endpoints) = match gone {
            Gone::This(endpoint) => ("IN", vec![endpoint]),
            Gone::AllBut(living) => ("NOT IN", living.iter().map(String::as_str).collect()),
        };
        // Workers are named for their endpoint: `<endpoint>-<number>`.
        let lost = format!(
            "status = 'IN_PROGRESS' AND rtrim(ifnull(worker, ''), '0123456789') {is_gone} \
             (SELECT value || '-' FROM json_each(?1))"
        );
        let endpoints = serde_json::Value::from(endpoints).to_string();
        self.connection.execute(
            &format!(
                "UPDATE job SET status = 'FAILED', dead = 1, finished_ms = ?2, error = 'the endpoint ended ' || \
                 (attempts - failures) || ' times while this job was running; it is not tried again' \
                 WHERE {lost} AND attempts - failures >= ?3"
            ),
            params![endpoints, now_ms, ATTEMPTS_MAX],
        )?;
        self.connection.execute(
            &format!("UPDATE job SET status = 'IN_QUEUE', started_ms = NULL, worker = NULL WHERE {lost}"),
            params![endpoints],
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
        self.measure()?;
        self.recount()?;
        Ok(taken)
    }

    pub(super) fn backlog(&self) -> Backlog {
        self.backlog.get()
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
        let mut query = self.connection.prepare_cached(
            "SELECT COUNT(*) - COUNT(due_ms), ifnull(SUM(low_priority) FILTER (WHERE due_ms IS NULL), 0), COUNT(due_ms), \
             ifnull(SUM(bytes), 0) FROM job WHERE status = 'IN_QUEUE'",
        )?;
        self.backlog.set(query.query_row([], |row| {
            Ok(Backlog {
                jobs: row.get(0)?,
                low_priority: row.get(1)?,
                later: row.get(2)?,
                bytes: row.get(3)?,
            })
        })?);
        Ok(())
    }

    pub(super) fn notice_others(&self) -> rusqlite::Result<()> {
        let mut pragma = self.connection.prepare_cached("PRAGMA data_version")?;
        let version = pragma.query_row([], |row| row.get(0))?;
        if self.data_version.get() != version {
            self.recount()?;
            self.data_version.set(version);
        }
        Ok(())
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

    pub(super) fn submit(&self, id: &str, job: &Submission, now_ms: u64) -> rusqlite::Result<()> {
        let Submission { input, policy, webhook, key, trace } = job;
        let bytes = input.len() as u64;
        self.connection
            .prepare_cached(
                "INSERT INTO job (id, status, input, created_ms, bytes, low_priority, execution_timeout_ms, expires_ms, \
                 webhook, max_retries, trace) VALUES (?1, 'IN_QUEUE', ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?
            .execute(params![
                id,
                input,
                now_ms,
                bytes,
                policy.is_low_priority,
                policy.execution_timeout.map(|limit| limit.as_millis() as u64),
                policy.ttl_ms.map(|ttl| now_ms.saturating_add(ttl)),
                webhook.as_ref().map(Webhook::as_str),
                policy.max_retries,
                trace.as_ref().map(TraceContext::to_text),
            ])?;
        if let Some(key) = key {
            self.note(key, id)?;
        }
        self.enter(policy.is_low_priority, bytes);
        Ok(())
    }

    pub(super) fn view(&self, id: &str, now_ms: u64) -> rusqlite::Result<Option<JobView>> {
        self.connection
            .prepare_cached(&format!(
                "SELECT id, status, worker, created_ms, started_ms, finished_ms, {OUTPUT}, error, retries FROM job \
                 WHERE id = ?1 AND (expires_ms IS NULL OR expires_ms > ?2)",
            ))?
            .query_row(params![id, now_ms], |row| view(row, now_ms))
            .optional()
    }

    pub(super) fn claim(&self, workers: &[String], now_ms: u64) -> rusqlite::Result<Vec<Claimed>> {
        let mut oldest = self.connection.prepare_cached(
            "SELECT id, attempts + 1, input, execution_timeout_ms, ifnull(expires_ms, created_ms + ?2), low_priority, \
             bytes, failures, max_retries, trace FROM job WHERE status = 'IN_QUEUE' AND due_ms IS NULL ORDER BY seq LIMIT ?1",
        )?;
        let rows = oldest.query_map([workers.len() as u64, TTL_DEFAULT_MS], |row| {
            let job = Claimed {
                id: row.get(0)?,
                attempt: row.get(1)?,
                input: row.get(2)?,
                execution_timeout: row.get::<_, Option<u64>>(3)?.map(Duration::from_millis),
                expires_ms: row.get(4)?,
                failures: row.get(7)?,
                max_retries: row.get(8)?,
                trace: trace(row, 9)?,
            };
            self.leave(row.get(5)?, row.get(6)?);
            Ok(job)
        })?;
        let claimed = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        let mut take = self.connection.prepare_cached(
            "UPDATE job SET status = 'IN_PROGRESS', attempts = ?2, started_ms = ?3, worker = ?4 WHERE id = ?1",
        )?;
        for (job, worker) in claimed.iter().zip(workers) {
            take.execute(params![job.id, job.attempt, now_ms, worker])?;
        }
        Ok(claimed)
    }

    pub(super) fn finish(
        &self,
        id: &str,
        attempt: u32,
        outcome: &Outcome,
        now_ms: u64,
    ) -> rusqlite::Result<()> {
        let Outcome { end, output, error, .. } = outcome;
        // What can be retried keeps its input.
        self.connection
            .prepare_cached(
                "UPDATE job SET status = ?3, output = ?4, error = ?5, finished_ms = ?6, \
                 dead = (?3 <> 'COMPLETED' AND max_retries > 0), \
                 input = CASE ?3 WHEN 'COMPLETED' THEN '' ELSE input END, \
                 bytes = ?7 + CASE ?3 WHEN 'COMPLETED' THEN 0 ELSE octet_length(input) END \
                 WHERE id = ?1 AND status = 'IN_PROGRESS' AND attempts = ?2 AND (expires_ms IS NULL OR expires_ms > ?6)",
            )?
            .execute(params![
                id,
                attempt,
                end.status().word(),
                output,
                error,
                now_ms,
                output.as_ref().map_or(0, String::len) as u64
            ])?;
        Ok(())
    }

    pub(super) fn release(&self, id: &str, attempt: u32) -> rusqlite::Result<()> {
        self.requeued(
            "UPDATE job SET status = 'IN_QUEUE', attempts = attempts - 1, started_ms = NULL, worker = NULL \
             WHERE id = ?1 AND status = 'IN_PROGRESS' AND attempts = ?2 RETURNING low_priority, bytes",
            params![id, attempt],
        )?;
        Ok(())
    }

    pub(super) fn cancel(&self, id: &str, now_ms: u64) -> rusqlite::Result<Option<Cancelled>> {
        let Some(status) = self.status(id)? else { return Ok(None) };
        if status.is_terminal() {
            return Ok(Some(Cancelled { status, was_running: false }));
        }
        let (low_priority, bytes, is_later) = self
            .connection
            .prepare_cached(
                "UPDATE job SET status = 'CANCELLED', finished_ms = ?2 WHERE id = ?1 \
                 RETURNING low_priority, bytes, due_ms IS NOT NULL",
            )?
            .query_row(params![id, now_ms], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        match status {
            JobStatus::InQueue if is_later => self.recount()?,
            JobStatus::InQueue => self.leave(low_priority, bytes),
            _ => {}
        }
        Ok(Some(Cancelled { status: JobStatus::Cancelled, was_running: status == JobStatus::InProgress }))
    }

    pub(super) fn retry(&self, id: &str, now_ms: u64) -> rusqlite::Result<Retried> {
        match self.status(id)? {
            None => return Ok(Retried::Unknown),
            Some(JobStatus::Failed | JobStatus::TimedOut) => {}
            Some(other) => return Ok(Retried::Refused(other)),
        }
        // A dead letter may be older than a job that waits.
        let update = format!(
            "UPDATE job SET {AFRESH}, created_ms = iif(dead, ?2, created_ms) WHERE id = ?1 RETURNING low_priority, bytes"
        );
        self.requeued(&update, params![id, now_ms])?;
        Ok(Retried::Queued)
    }

    pub(super) fn purge(&self, now_ms: u64) -> rusqlite::Result<Vec<String>> {
        let mut cancel = self.connection.prepare_cached(
            "UPDATE job SET status = 'CANCELLED', finished_ms = ?1 WHERE status = 'IN_QUEUE' RETURNING id",
        )?;
        let ids = cancel.query_map([now_ms], |row| row.get(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
        self.backlog.set(Backlog::default());
        Ok(ids)
    }

    pub(super) fn counts(&self) -> rusqlite::Result<JobCounts> {
        let mut counts = JobCounts::default();
        let mut query = self.connection.prepare_cached(COUNTS)?;
        let mut rows = query.query([])?;
        while let Some(row) = rows.next()? {
            let (status, count): (String, u64) = (row.get(0)?, row.get(1)?);
            match parse(&status) {
                JobStatus::InQueue => counts.in_queue += count,
                JobStatus::InProgress => counts.in_progress += count,
                JobStatus::Completed => counts.completed += count,
                JobStatus::Failed | JobStatus::TimedOut => counts.failed += count,
                JobStatus::Cancelled => {}
            }
        }
        let mut retried = self.connection.prepare_cached(RETRIED)?;
        Ok(JobCounts { retried: retried.query_row([], |row| row.get(0))?, ..counts })
    }

    /// Of the job that has waited longest, if any waits that could run now.
    pub(super) fn oldest_ms(&self) -> rusqlite::Result<Option<u64>> {
        self.connection
            .prepare_cached(
                "SELECT created_ms FROM job WHERE status = 'IN_QUEUE' AND due_ms IS NULL ORDER BY seq LIMIT 1",
            )?
            .query_row([], |row| row.get(0))
            .optional()
    }

    /// Removes what a job's own time to live does not allow any more, in whatever state; gives which.
    pub(super) fn expire(&self, now_ms: u64) -> rusqlite::Result<Vec<String>> {
        self.removed("DELETE FROM job WHERE expires_ms <= ?1 RETURNING id", [now_ms])
    }

    /// As [`Self::expire`], of jobs that have not ended and name no time to live.
    pub(super) fn expire_by_default(&self, now_ms: u64) -> rusqlite::Result<Vec<String>> {
        self.removed(
            "DELETE FROM job WHERE status IN ('IN_QUEUE', 'IN_PROGRESS') AND expires_ms IS NULL AND created_ms <= ?1 \
             RETURNING id",
            [now_ms.saturating_sub(TTL_DEFAULT_MS)],
        )
    }

    pub(super) fn remove(&self, id: &str) -> rusqlite::Result<()> {
        self.removed("DELETE FROM job WHERE id = ?1 RETURNING id", [id]).map(drop)
    }

    fn removed(&self, delete: &str, params: impl rusqlite::Params) -> rusqlite::Result<Vec<String>> {
        let mut delete = self.connection.prepare_cached(delete)?;
        let ids = delete.query_map(params, |row| row.get(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
        if !ids.is_empty() {
            self.recount()?;
        }
        Ok(ids)
    }

    /// Whether [`Self::expire_by_default`] would remove any.
    pub(super) fn has_expired_by_default(&self, now_ms: u64) -> rusqlite::Result<bool> {
        self.has(
            "SELECT 1 FROM job WHERE status IN ('IN_QUEUE', 'IN_PROGRESS') AND expires_ms IS NULL AND created_ms <= ?1",
            [now_ms.saturating_sub(TTL_DEFAULT_MS)],
        )
    }

    pub(super) fn has_due_deliveries(&self, now_ms: u64) -> rusqlite::Result<bool> {
        self.has("SELECT 1 FROM delivery WHERE next_ms <= ?1", [now_ms])
    }

    fn has(&self, query: &str, params: impl rusqlite::Params) -> rusqlite::Result<bool> {
        self.connection.prepare_cached(query)?.exists(params)
    }

    /// Those that are due, one attempt each; nobody else is given them before `lease_ms` have passed.
    pub(super) fn claim_deliveries(
        &self,
        count: usize,
        now_ms: u64,
        lease_ms: u64,
    ) -> rusqlite::Result<Vec<Delivery>> {
        let mut due = self.connection.prepare_cached(&format!(
            "SELECT job.id, status, worker, created_ms, started_ms, finished_ms, {OUTPUT}, error, retries, webhook, \
             delivery.attempts + 1, trace FROM delivery CROSS JOIN job ON job.id = delivery.job \
             WHERE next_ms <= ?1 AND finished_ms IS NOT NULL ORDER BY next_ms LIMIT ?2",
        ))?;
        let rows = due.query_map([now_ms, count as u64], |row| {
            Ok(Delivery {
                view: view(row, now_ms)?,
                url: row.get(9)?,
                attempt: row.get(10)?,
                trace: trace(row, 11)?,
            })
        })?;
        let due = rows.collect::<rusqlite::Result<Vec<_>>>()?;
        let mut take = self
            .connection
            .prepare_cached("UPDATE delivery SET attempts = ?2, next_ms = ?3 WHERE job = ?1")?;
        for delivery in &due {
            take.execute(params![delivery.view.id, delivery.attempt, now_ms.saturating_add(lease_ms)])?;
        }
        Ok(due)
    }

    /// An attempt has ended: the next is at `next_ms`, or there is none.
    pub(super) fn delivered(&self, id: &str, attempt: u32, next_ms: Option<u64>) -> rusqlite::Result<()> {
        match next_ms {
            Some(next_ms) => self
                .connection
                .prepare_cached("UPDATE delivery SET next_ms = ?3 WHERE job = ?1 AND attempts = ?2")?
                .execute(params![id, attempt, next_ms])?,
            None => self
                .connection
                .prepare_cached("DELETE FROM delivery WHERE job = ?1 AND attempts = ?2")?
                .execute(params![id, attempt])?,
        };
        Ok(())
    }

    pub(super) fn deliveries(&self) -> rusqlite::Result<u64> {
        self.connection.prepare_cached("SELECT COUNT(*) FROM delivery")?.query_row([], |row| row.get(0))
    }

    fn status(&self, id: &str) -> rusqlite::Result<Option<JobStatus>> {
        self.connection
            .prepare_cached("SELECT status FROM job WHERE id = ?1")?
            .query_row([id], |row| Ok(parse(&row.get::<_, String>(0)?)))
            .optional()
    }

    /// Runs an update of at most one job, which then waits.
    fn requeued(&self, update: &str, params: impl rusqlite::Params) -> rusqlite::Result<()> {
        let mut update = self.connection.prepare_cached(update)?;
        let requeued = update.query_row(params, |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        if let Some((low_priority, bytes)) = requeued {
            self.enter(low_priority, bytes);
        }
        Ok(())
    }

    fn enter(&self, low_priority: bool, bytes: u64) {
        let now = self.backlog.get();
        self.backlog.set(Backlog {
            jobs: now.jobs + 1,
            low_priority: now.low_priority + u64::from(low_priority),
            bytes: now.bytes + bytes,
            ..now
        });
    }

    fn leave(&self, low_priority: bool, bytes: u64) {
        let now = self.backlog.get();
        self.backlog.set(Backlog {
            jobs: now.jobs.saturating_sub(1),
            low_priority: now.low_priority.saturating_sub(u64::from(low_priority)),
            bytes: now.bytes.saturating_sub(bytes),
            ..now
        });
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
        retries: row.get(8)?,
    })
}

/// One that cannot be read is none.
fn trace(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<TraceContext>> {
    let text: Option<String> = row.get(column)?;
    Ok(text.as_deref().and_then(TraceContext::from_text))
}

/// What is not JSON is given as text.
pub(super) fn raw(output: String) -> Option<Box<RawValue>> {
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

#[cfg(test)]
#[path = "store_properties.rs"]
mod properties;
