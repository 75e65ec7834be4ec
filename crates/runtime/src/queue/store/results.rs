//! Results are not kept for ever: what is old goes, and the oldest where there are too many or they are too large.

use super::Store;

const TOTALS: &str = "SELECT COUNT(*), ifnull(SUM(bytes), 0), MIN(finished_ms) FROM job WHERE dead = ?1 AND finished_ms IS NOT NULL";
const OLDEST: &str = "SELECT seq, finished_ms, bytes, EXISTS (SELECT 1 FROM delivery WHERE delivery.job = job.id) FROM job \
                      WHERE dead = ?1 AND finished_ms IS NOT NULL ORDER BY finished_ms, seq";

/// What is kept of jobs that have ended.
#[derive(Debug, Clone, Copy)]
pub(in crate::queue) struct Kept {
    /// Whether this is about dead letters or about all others.
    pub(in crate::queue) dead: bool,
    pub(in crate::queue) since_ms: u64,
    pub(in crate::queue) jobs_max: u64,
    pub(in crate::queue) bytes_max: u64,
    /// Removed in one go at most.
    pub(in crate::queue) step: usize,
}

/// How much there is beyond what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::queue) struct Excess {
    jobs: u64,
    bytes: u64,
    has_old: bool,
}

impl Excess {
    pub(in crate::queue) fn is_none(self) -> bool {
        self.jobs == 0 && self.bytes == 0 && !self.has_old
    }
}

impl Store {
    pub(in crate::queue) fn excess(&self, kept: Kept) -> rusqlite::Result<Excess> {
        self.connection.prepare_cached(TOTALS)?.query_row([kept.dead], |row| {
            Ok(Excess {
                jobs: row.get::<_, u64>(0)?.saturating_sub(kept.jobs_max),
                bytes: row.get::<_, u64>(1)?.saturating_sub(kept.bytes_max),
                has_old: row.get::<_, Option<u64>>(2)?.is_some_and(|oldest_ms| oldest_ms < kept.since_ms),
            })
        })
    }

    /// Removes some of the results that are not kept, the oldest first; gives how many, and what is still too much. One that
    /// somebody is yet to be told of stays beyond its time, but not beyond the room there is.
    pub(in crate::queue) fn sweep(&self, kept: Kept, excess: Excess) -> rusqlite::Result<(usize, Excess)> {
        let mut left = excess;
        let mut too_many = excess.jobs;
        let mut oldest = self.connection.prepare_cached(OLDEST)?;
        let (mut rows, mut gone) = (oldest.query([kept.dead])?, Vec::<i64>::new());
        while gone.len() < kept.step
            && let Some(row) = rows.next()?
        {
            let (finished_ms, bytes, is_awaited): (u64, u64, bool) = (row.get(1)?, row.get(2)?, row.get(3)?);
            let is_over = too_many > 0 || finished_ms < kept.since_ms;
            if left.bytes > 0 || (is_over && !is_awaited) {
                gone.push(row.get(0)?);
                left.jobs = left.jobs.saturating_sub(1);
                left.bytes = left.bytes.saturating_sub(bytes);
            } else if !is_over {
                break;
            }
            too_many = too_many.saturating_sub(1);
        }
        drop(rows);
        let mut delete = self.connection.prepare_cached("DELETE FROM job WHERE seq = ?1")?;
        for seq in &gone {
            delete.execute([seq])?;
        }
        Ok((gone.len(), left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::store::tests::world;
    use crate::queue::store::{COUNTS, RETRIED};

    /// Reading inputs and outputs to count jobs, or sorting all of them to find the oldest, makes everybody wait.
    #[test]
    fn what_is_asked_often_is_answered_by_indexes() {
        let (_folder, store) = world();
        for (query, expected) in [
            (COUNTS, "USING COVERING INDEX job_by_state"),
            (RETRIED, "USING COVERING INDEX job_retried"),
            (TOTALS, "USING COVERING INDEX job_finished"),
            (OLDEST, "USING INDEX job_finished"),
        ] {
            let mut plan = store.connection.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
            let parameters = vec![0; plan.parameter_count()];
            let steps = plan.query_map(rusqlite::params_from_iter(parameters), |row| row.get(3)).unwrap();
            let steps = steps.collect::<Result<Vec<String>, _>>().unwrap();
            assert!(steps[0].contains(expected), "{query}: {steps:?}");
            // Of those that ended in the same millisecond.
            let sorts = |step: &&String| step.contains("TEMP B-TREE") && !step.contains("LAST TERM");
            assert_eq!(steps.iter().find(sorts), None, "{query}");
        }
    }
}
