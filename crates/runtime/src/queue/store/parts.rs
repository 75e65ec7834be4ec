//! What a job's generator has yielded, in SQL: it is the job's output when that has completed, goes with the job, and is forgotten
//! when the job is run again. Triggers see to that, so that endpoints of earlier versions, which know of no parts, keep to it.

use flash_model::wire::JobStatus;
use rusqlite::{OptionalExtension, params};

use super::{Store, parse};

/// `stream` has what changes: a job's own row may hold megabytes of input, which no reading is to write again.
pub(super) const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS stream (
        job TEXT PRIMARY KEY,
        parts INTEGER NOT NULL,
        parts_read INTEGER NOT NULL,
        bytes INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS part (
        job TEXT NOT NULL,
        number INTEGER NOT NULL,
        output TEXT NOT NULL,
        PRIMARY KEY (job, number)
    ) STRICT;
    CREATE TRIGGER IF NOT EXISTS stream_ended AFTER UPDATE OF status ON job
        WHEN NEW.finished_ms IS NOT NULL AND OLD.finished_ms IS NULL
        BEGIN
            UPDATE job SET bytes = job.bytes + stream.bytes FROM stream WHERE stream.job = NEW.id AND job.id = NEW.id;
        END;
    CREATE TRIGGER IF NOT EXISTS stream_again AFTER UPDATE OF status ON job WHEN NEW.status = 'IN_QUEUE'
        BEGIN
            DELETE FROM part WHERE job = NEW.id;
            DELETE FROM stream WHERE job = NEW.id;
        END;
    CREATE TRIGGER IF NOT EXISTS stream_gone AFTER DELETE ON job
        BEGIN
            DELETE FROM part WHERE job = OLD.id;
            DELETE FROM stream WHERE job = OLD.id;
        END;
";

/// A job's output as a column of `job`: what was yielded, in order, where nothing was returned.
pub(super) const OUTPUT: &str = "CASE WHEN output IS NULL AND status = 'COMPLETED' THEN \
    (SELECT '[' || ifnull(group_concat(part.output, ',' ORDER BY number), '') || ']' FROM part WHERE part.job = job.id) \
    ELSE output END";

/// What was yielded since somebody last asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::queue) struct Unread {
    pub(in crate::queue) status: JobStatus,
    /// JSON texts.
    pub(in crate::queue) parts: Vec<String>,
}

impl Store {
    /// Whether the attempt still runs; of any other nothing is kept.
    pub(in crate::queue) fn keep_parts(
        &self,
        id: &str,
        attempt: u32,
        parts: &[String],
    ) -> rusqlite::Result<bool> {
        let mut running = self
            .connection
            .prepare_cached("SELECT 1 FROM job WHERE id = ?1 AND status = 'IN_PROGRESS' AND attempts = ?2")?;
        if !running.exists(params![id, attempt])? {
            return Ok(false);
        }
        let bytes: usize = parts.iter().map(String::len).sum();
        let end: u64 = self
            .connection
            .prepare_cached(
                "INSERT INTO stream (job, parts, parts_read, bytes) VALUES (?1, ?2, 0, ?3) ON CONFLICT DO UPDATE \
                 SET parts = parts + excluded.parts, bytes = bytes + excluded.bytes RETURNING parts",
            )?
            .query_row(params![id, parts.len() as u64, bytes as u64], |row| row.get(0))?;
        let mut insert =
            self.connection.prepare_cached("INSERT INTO part (job, number, output) VALUES (?1, ?2, ?3)")?;
        for (number, part) in (end - parts.len() as u64..).zip(parts) {
            insert.execute(params![id, number, part])?;
        }
        Ok(true)
    }

    /// Counts as read what it gives: no more than `bytes_max`, but one part if there is any.
    pub(in crate::queue) fn read_parts(
        &self,
        id: &str,
        bytes_max: usize,
        now_ms: u64,
    ) -> rusqlite::Result<Option<Unread>> {
        let status = self
            .connection
            .prepare_cached(
                "SELECT status FROM job WHERE id = ?1 AND (expires_ms IS NULL OR expires_ms > ?2)",
            )?
            .query_row(params![id, now_ms], |row| Ok(parse(&row.get::<_, String>(0)?)))
            .optional()?;
        let Some(status) = status else { return Ok(None) };
        let mut unread = self.connection.prepare_cached(
            "SELECT output FROM part WHERE job = ?1 AND number >= (SELECT parts_read FROM stream WHERE job = ?1) \
             ORDER BY number",
        )?;
        let mut rows = unread.query([id])?;
        let (mut parts, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            let part: String = row.get(0)?;
            bytes += part.len();
            if bytes > bytes_max && !parts.is_empty() {
                break;
            }
            parts.push(part);
        }
        if !parts.is_empty() {
            self.connection
                .prepare_cached("UPDATE stream SET parts_read = parts_read + ?2 WHERE job = ?1")?
                .execute(params![id, parts.len() as u64])?;
        }
        Ok(Some(Unread { status, parts }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{claim_one, completed, job, sweep, world};
    use super::super::{Gone, Kept, Outcome, Retried};
    use super::*;
    use crate::queue::End;

    const PLENTY: usize = 1 << 20;

    fn yielded(store: &Store, attempt: u32, parts: &[&str]) -> bool {
        let parts: Vec<String> = parts.iter().map(ToString::to_string).collect();
        store.keep_parts("a", attempt, &parts).unwrap()
    }

    fn read(store: &Store) -> (JobStatus, Vec<String>) {
        let unread = store.read_parts("a", PLENTY, 99).unwrap().unwrap();
        (unread.status, unread.parts)
    }

    fn begun() -> (tempfile::TempDir, Store) {
        let (folder, store) = world();
        store.submit("a", &job("[12]"), 0).unwrap();
        claim_one(&store, 1);
        (folder, store)
    }

    fn ended(end: End) -> Outcome {
        Outcome { end, output: None, error: None, is_retriable: false }
    }

    fn rows(store: &Store) -> (u64, u64) {
        let count = |table| {
            let query = format!("SELECT COUNT(*) FROM {table}");
            store.connection.query_row(&query, [], |row| row.get(0)).unwrap()
        };
        (count("stream"), count("part"))
    }

    fn bytes(store: &Store) -> u64 {
        store.connection.query_row("SELECT bytes FROM job", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn each_part_is_read_once_and_all_are_the_output() {
        let (_folder, store) = begun();
        assert_eq!(read(&store), (JobStatus::InProgress, vec![]));
        assert!(yielded(&store, 1, &[r#"{"z":1,"a":0.10}"#, "2"]));
        assert_eq!(read(&store).1, [r#"{"z":1,"a":0.10}"#, "2"]);
        assert!(yielded(&store, 1, &["3"]) && yielded(&store, 1, &["4"]));
        assert!(store.view("a", 9).unwrap().unwrap().output.is_none());
        store.finish("a", 1, &ended(End::Completed), 5).unwrap();
        assert_eq!(read(&store), (JobStatus::Completed, vec!["3".to_owned(), "4".to_owned()]));
        assert_eq!(read(&store), (JobStatus::Completed, vec![]));
        let view = store.view("a", 9).unwrap().unwrap();
        assert_eq!(view.output.unwrap().get(), r#"[{"z":1,"a":0.10},2,3,4]"#);
        assert_eq!(store.read_parts("none", PLENTY, 9).unwrap(), None);
    }

    #[test]
    fn a_generator_without_items_and_a_function_without_result_differ() {
        let (_folder, store) = begun();
        store.finish("a", 1, &ended(End::Completed), 5).unwrap();
        assert_eq!(store.view("a", 9).unwrap().unwrap().output.unwrap().get(), "[]");
        store.submit("b", &job("{}"), 0).unwrap();
        claim_one(&store, 1);
        store.finish("b", 1, &completed("null"), 5).unwrap();
        assert_eq!(store.view("b", 9).unwrap().unwrap().output.unwrap().get(), "null");
    }

    #[test]
    fn an_answer_is_bounded_in_bytes_and_has_one_part_at_least() {
        let (_folder, store) = begun();
        yielded(&store, 1, &["1", "22", "333", "4444"]);
        let read = |bytes_max| store.read_parts("a", bytes_max, 9).unwrap().unwrap().parts;
        assert_eq!(read(3), ["1", "22"]);
        assert_eq!(read(1), ["333"]);
        assert_eq!(read(9), ["4444"]);
        assert!(read(9).is_empty());
    }

    #[test]
    fn an_attempt_that_is_run_again_leaves_nothing_to_the_next() {
        let (_folder, store) = begun();
        let again: [&dyn Fn(); 3] =
            [&|| store.release("a", 1).unwrap(), &|| store.recover(Gone::AllBut(&[]), 5).unwrap(), &|| {
                store.finish("a", 2, &ended(End::Failed), 5).unwrap();
                assert_eq!(store.retry("a", 0).unwrap(), Retried::Queued);
            }];
        for (attempt, again) in [1, 1, 2].into_iter().zip(again) {
            assert!(yielded(&store, attempt, &["1", "2"]));
            assert_eq!(read(&store).1, ["1", "2"]);
            assert!(yielded(&store, attempt, &["3"]));
            again();
            assert_eq!((read(&store), rows(&store)), ((JobStatus::InQueue, vec![]), (0, 0)));
            assert!(!yielded(&store, attempt, &["late"]), "nobody runs it");
            claim_one(&store, 6);
        }
        assert!(yielded(&store, 1, &["4"]));
        assert!(!yielded(&store, 2, &["of another attempt"]));
        assert_eq!(read(&store).1, ["4"]);
        let told = store.backlog();
        store.recount().unwrap();
        assert_eq!(store.backlog(), told);
    }

    #[test]
    fn what_was_yielded_before_another_end_can_be_read_and_is_no_output() {
        for end in ["FAILED", "CANCELLED"] {
            let (_folder, store) = begun();
            yielded(&store, 1, &["1"]);
            if end == "FAILED" {
                store.finish("a", 1, &ended(End::Failed), 5).unwrap();
            } else {
                store.cancel("a", 5).unwrap();
            }
            assert!(!yielded(&store, 1, &["late"]));
            let (status, parts) = read(&store);
            assert_eq!((status.word(), parts), (end, vec!["1".to_owned()]));
            assert!(store.view("a", 9).unwrap().unwrap().output.is_none());
        }
    }

    #[test]
    fn parts_count_as_bytes_of_the_job_and_go_with_it() {
        let (_folder, store) = begun();
        yielded(&store, 1, &["12345", "678"]);
        assert_eq!(bytes(&store), 4);
        store.finish("a", 1, &ended(End::Failed), 5).unwrap();
        assert_eq!(bytes(&store), 12);
        store.retry("a", 0).unwrap();
        assert_eq!((bytes(&store), store.backlog().bytes), (4, 4));
        claim_one(&store, 6);
        yielded(&store, 1, &["12345"]);
        store.finish("a", 1, &ended(End::Completed), 7).unwrap();
        assert_eq!((bytes(&store), rows(&store)), (5, (1, 1)));
        let kept = Kept { dead: false, since_ms: 0, jobs_max: 9, bytes_max: 5, step: 9 };
        assert_eq!(sweep(&store, kept), 0);
        assert_eq!(sweep(&store, Kept { bytes_max: 4, ..kept }), 1);
        assert_eq!(rows(&store), (0, 0));
    }
}
