//! What a job's generator yields: to the database as it comes (`collector.rs` takes it from the worker), and to whoever asks.

use std::time::Duration;

use flash_model::wire::{JobPart, JobStatus, JobStream};
use tokio::time::Instant;

use super::store::{Unread, raw};
use super::{Error, Queue, now_ms};

/// One answer to somebody who reads, unless a single part is larger.
const READ_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How soon a reader who waits is given what was yielded, here or at another endpoint.
const READ_PERIOD: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(crate) enum Read {
    Parts(JobStream),
    /// It was cancelled before anybody asked, and all is read. Existing clients do not know that this is an end.
    Over,
    Unknown,
}

impl Queue {
    /// Whether the attempt still runs; of any other nothing is kept.
    pub(super) async fn keep_parts(&self, id: &str, attempt: u32, parts: Vec<String>) -> Result<bool, Error> {
        let id = id.to_owned();
        self.writer.execute(move |store| store.keep_parts(&id, attempt, &parts)).await
    }

    /// What nobody has read yet: at once where there is something or the job has ended, else when there is, or as it is after
    /// `limit` or at [`Self::end_waits`].
    pub(crate) async fn read_parts(&self, id: &str, limit: Duration) -> Result<Read, Error> {
        let until = Instant::now() + limit;
        let mut finished = self.finished.register(id);
        let mut has_waited = false;
        loop {
            let stored = id.to_owned();
            let read = self.writer.execute(move |store| store.read_parts(&stored, READ_BYTES_MAX, now_ms()));
            let Some(Unread { status, parts }) = read.await? else { return Ok(Read::Unknown) };
            if parts.is_empty() && status == JobStatus::Cancelled && !has_waited {
                return Ok(Read::Over);
            }
            let is_told = finished.is_terminated() || Instant::now() >= until;
            if !parts.is_empty() || status.is_terminal() || is_told {
                let stream = parts.into_iter().filter_map(raw).map(|output| JobPart { output }).collect();
                return Ok(Read::Parts(JobStream { status, stream }));
            }
            has_waited = true;
            let look = until.min(Instant::now() + READ_PERIOD);
            let _ = tokio::time::timeout_at(look, &mut finished).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Submission;
    use crate::queue::policy::Policy;

    #[tokio::test]
    async fn whoever_waits_is_told_that_the_job_is_cancelled_and_whoever_comes_later_that_it_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let queue = Queue::open(folder.path(), "1").unwrap();
        let job = Submission {
            input: "{}".into(),
            policy: Policy::default(),
            webhook: None,
            key: None,
            trace: None,
        };
        let id = queue.submit(job, false).await.unwrap().id;
        let limit = Duration::from_secs(60);
        let (read, cancelled) = tokio::join!(queue.read_parts(&id, limit), queue.cancel(&id));
        assert!(!cancelled.unwrap().unwrap().was_running);
        let Read::Parts(JobStream { status, stream }) = read.unwrap() else { panic!("it was there") };
        assert_eq!((status, stream.len()), (JobStatus::Cancelled, 0));
        assert!(matches!(queue.read_parts(&id, limit).await.unwrap(), Read::Over));
    }

    #[tokio::test]
    async fn a_reader_is_answered_when_the_wait_is_over_and_when_the_endpoint_ends() {
        let folder = tempfile::tempdir().unwrap();
        let queue = Queue::open(folder.path(), "1").unwrap();
        let job = Submission {
            input: "{}".into(),
            policy: Policy::default(),
            webhook: None,
            key: None,
            trace: None,
        };
        let id = queue.submit(job, false).await.unwrap().id;
        let waits = |read| matches!(read, Ok(Read::Parts(JobStream { status: JobStatus::InQueue, .. })));
        assert!(waits(queue.read_parts(&id, Duration::from_millis(1)).await));
        let endless = Duration::from_secs(1_000_000);
        let (read, ()) = tokio::join!(queue.read_parts(&id, endless), async { queue.end_waits() });
        assert!(waits(read));
        assert!(waits(queue.read_parts(&id, endless).await));
    }
}
