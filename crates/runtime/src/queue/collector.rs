//! What a job's generator yields, from its worker to the database. The worker is given credit for more as this is written, so that
//! it is never more than a few items ahead of the disk.

use std::pin::Pin;

use flash_model::Code;

use super::Queue;
use crate::refusal::Refusal;
use crate::worker::{Answer, Pool, Stream, StreamError, pool};

/// Kept of one job at most.
const PARTS_MAX: usize = 100_000;
const PARTS_BYTES_MAX: usize = 64 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
#[error(
    "the function yielded more than {0}, which is all that is kept of a job; yield less, or say where the rest is"
)]
struct TooMuch(String);

/// Takes all of `stream`, no longer than until `cancelled` or until the job has come to another end. `None` when it is complete.
pub(super) async fn collect(
    pool: &Pool,
    queue: &Queue,
    (id, attempt): (&str, u32),
    mut stream: Stream,
    mut cancelled: Pin<&mut impl Future<Output = ()>>,
) -> Result<Option<Answer>, pool::Error> {
    let mut lines = Lines::default();
    let end = loop {
        let pieces = tokio::select! {
            biased;
            () = cancelled.as_mut() => break Err(pool::Error::Cancelled),
            pieces = stream.parts() => pieces,
        };
        let pieces = match pieces {
            Ok(pieces) if pieces.is_empty() => return Ok(None),
            Ok(pieces) => pieces,
            Err(StreamError::Failed(header)) => return Ok(Some(Answer::Error(header))),
            Err(StreamError::Died(death)) => return Ok(Some(Answer::Died(death))),
            Err(StreamError::ExecutionTimeout(limit)) => return Err(pool::Error::ExecutionTimeout(limit)),
        };
        let mut parts = Vec::new();
        let taken = pieces.iter().try_for_each(|piece| lines.take(piece, &mut parts));
        match queue.keep_parts(id, attempt, parts).await {
            Ok(true) => {}
            Ok(false) => break Err(pool::Error::Cancelled),
            Err(error) => break Ok(Some(Answer::Error(Refusal::from(error).into_header()))),
        }
        if let Err(error) = taken {
            let refusal = Refusal::new(Code::PayloadTooLarge, 413, error.to_string());
            break Ok(Some(Answer::Error(refusal.into_header())));
        }
    };
    pool.give_up(stream);
    end
}

/// Items of a stream, each a line of JSON, out of pieces cut anywhere.
#[derive(Debug, Default)]
struct Lines {
    begun: Vec<u8>,
    count: usize,
    bytes: usize,
}

impl Lines {
    /// To `parts` what is complete now, within what is kept of a job.
    fn take(&mut self, mut piece: &[u8], parts: &mut Vec<String>) -> Result<(), TooMuch> {
        self.bytes += piece.len();
        if self.bytes > PARTS_BYTES_MAX {
            return Err(TooMuch(format!("{} MiB", PARTS_BYTES_MAX / (1024 * 1024))));
        }
        while let Some(at) = piece.iter().position(|&byte| byte == b'\n') {
            if self.count == PARTS_MAX {
                return Err(TooMuch(format!("{PARTS_MAX} items")));
            }
            let (end, rest) = piece.split_at(at);
            self.begun.extend_from_slice(end);
            parts.push(String::from_utf8_lossy(&std::mem::take(&mut self.begun)).into_owned());
            self.count += 1;
            piece = &rest[1..];
        }
        self.begun.extend_from_slice(piece);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_survive_being_cut_anywhere() {
        let text = "{\"a\":\"ü\"}\n1\n\"two\"\n".as_bytes();
        for cut in 0..=text.len() {
            let (mut lines, mut parts) = (Lines::default(), Vec::new());
            for piece in [&text[..cut], &text[cut..]] {
                lines.take(piece, &mut parts).unwrap();
            }
            assert_eq!(parts, ["{\"a\":\"ü\"}", "1", "\"two\""], "cut at {cut}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded_in_items_and_in_bytes() {
        let (mut lines, mut parts) = (Lines::default(), Vec::new());
        lines.take(&b"1\n".repeat(PARTS_MAX - 1), &mut parts).unwrap();
        let error = lines.take(b"2\n3\n4", &mut parts).unwrap_err();
        assert_eq!(parts.len(), PARTS_MAX);
        assert!(error.to_string().starts_with("the function yielded more than 100000 items, "));

        let (mut lines, mut parts) = (Lines::default(), Vec::new());
        let piece = [b'x'; 64 * 1024];
        for _ in 0..PARTS_BYTES_MAX / piece.len() {
            lines.take(&piece, &mut parts).unwrap();
        }
        let error = lines.take(b"\n", &mut parts).unwrap_err();
        assert!(error.to_string().starts_with("the function yielded more than 64 MiB, "));
    }
}
