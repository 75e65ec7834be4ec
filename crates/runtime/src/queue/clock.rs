//! What a job's time brings: another attempt that is due, the end of its time to live.

use std::time::Duration;

use flash_client::full_jitter;

use super::{Claimed, Error, Queue, Store, now_ms};

/// Between an attempt that failed and the next.
const RETRY_PAUSE_FIRST: Duration = Duration::from_secs(1);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(120);
/// How soon something is found to be due of which nobody here was told.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

impl Queue {
    /// Ends an attempt that is followed by another, after a random pause. Without effect if the job has come to an end
    /// meanwhile.
    pub(crate) async fn try_again(&self, job: &Claimed, error: Option<String>) -> Result<(), Error> {
        let pause = full_jitter(RETRY_PAUSE_FIRST, RETRY_PAUSE_MAX, job.failures + 1);
        let due_ms = now_ms().saturating_add(pause.as_millis() as u64);
        let (id, attempt) = (job.id.clone(), job.attempt);
        self.writer.execute(move |store| store.try_again(&id, attempt, error.as_deref(), due_ms)).await?;
        self.retries.tell();
        Ok(())
    }

    /// For as long as it is polled.
    pub(crate) async fn keep_time(&self) {
        loop {
            let pause = self.see_to_what_is_due().await.unwrap_or_else(|error| {
                tracing::warn!(%error, "jobs cannot be tried again, nor removed when their time to live is over");
                LOOK_PERIOD
            });
            self.retries.wait(pause).await;
        }
    }

    /// Gives how long there is nothing more to do. What waits for its time costs a look, no transaction.
    async fn see_to_what_is_due(&self) -> Result<Duration, Error> {
        loop {
            let Some(due_ms) = self.writer.read(Store::next_due).await? else {
                return Ok(LOOK_PERIOD);
            };
            let pause = Duration::from_millis(due_ms.saturating_sub(now_ms()));
            if !pause.is_zero() {
                return Ok(pause.min(LOOK_PERIOD));
            }
            let done = self.writer.execute(|store| Ok((store.expire(now_ms())?, store.ripen(now_ms())?)));
            let (expired, ripe) = done.await?;
            self.tell_all(expired);
            if ripe > 0 {
                self.tell_others();
            }
        }
    }
}
