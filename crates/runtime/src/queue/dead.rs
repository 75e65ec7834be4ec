//! Dead letters: what is kept of jobs that failed for good, and queueing them again.

use std::time::Duration;

use flash_model::wire::DeadLetters;

use super::{Error, JOBS_QUEUED_MAX, Kept, Queue, Redrive, SWEEP_STEP, now_ms};

/// How long a dead letter is kept.
const DEAD_TTL: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Kept at most, whatever their age.
const DEAD_MAX: u64 = 10_000;
const DEAD_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Queued again in one transaction at most.
const REDRIVE_STEP: u64 = 1000;

pub(super) fn kept(now_ms: u64) -> Kept {
    Kept {
        dead: true,
        since_ms: now_ms.saturating_sub(DEAD_TTL.as_millis() as u64),
        jobs_max: DEAD_MAX,
        bytes_max: DEAD_BYTES_MAX,
        step: SWEEP_STEP,
    }
}

impl Queue {
    /// The newest, `limit` at most.
    pub(crate) async fn dead(&self, limit: u64) -> Result<DeadLetters, Error> {
        self.writer.read(move |store| store.dead(limit, now_ms())).await
    }

    /// Queues a dead letter again, as if it were new.
    pub(crate) async fn redrive(&self, id: &str) -> Result<Redrive, Error> {
        let id = id.to_owned();
        self.have_room()?;
        self.use_here().await;
        let redriven = self.writer.execute(move |store| store.redrive(&id, now_ms())).await?;
        self.tell_others();
        Ok(redriven)
    }

    /// All that there are now; gives how many.
    pub(crate) async fn redrive_all(&self) -> Result<u64, Error> {
        self.use_here().await;
        let until_ms = now_ms() + 1;
        let mut redriven = 0;
        loop {
            self.have_room()?;
            let some = self.writer.execute(move |store| store.redrive_some(until_ms, REDRIVE_STEP, now_ms()));
            let some = some.await?;
            redriven += some;
            self.tell_others();
            if some < REDRIVE_STEP {
                return Ok(redriven);
            }
        }
    }

    fn have_room(&self) -> Result<(), Error> {
        let waiting = *self.writer.backlog().borrow();
        if waiting.jobs + waiting.later >= JOBS_QUEUED_MAX { Err(Error::Full) } else { Ok(()) }
    }
}
