//! An answer that comes in parts: at most [`PARTS_MAX`] are on their way, and the reader asks for more as it takes them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep};

use super::link::{Death, Link};
use super::pool::CANCEL_GRACE;
use super::protocol::{ErrorHeader, Frame, Kind, PARTS_MAX, ResultHeader};

/// CREDIT is given for that many parts at a time: half of them, so that the worker need not wait for it.
const CREDIT_PARTS: u32 = PARTS_MAX as u32 / 2;

/// What follows the last part.
#[derive(Debug)]
pub(super) enum End {
    Complete,
    Failed(ErrorHeader),
    Died(Death),
}

/// Why a stream ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{}: {}", .0.kind, .0.message)]
    Failed(ErrorHeader),
    #[error("{0} during the call")]
    Died(Death),
    #[error("the call ran longer than {} ms", .0.as_millis())]
    ExecutionTimeout(Duration),
}

#[derive(Debug)]
enum Piece {
    Part(Bytes),
    End(End),
}

/// The worker's side.
#[derive(Debug)]
pub(super) struct Sender(mpsc::Sender<Piece>);

impl Sender {
    /// Whether it was within what was asked for. A reader who is gone has everything.
    pub(super) fn send(&self, part: Bytes) -> bool {
        !matches!(self.0.try_send(Piece::Part(part)), Err(mpsc::error::TrySendError::Full(_)))
    }

    pub(super) fn end(self, end: End) {
        // There is a place for it beside those of the parts.
        let _ = self.0.try_send(Piece::End(end));
    }
}

/// The reader's side. Dropping it before the end tells the worker that the caller is gone.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) header: ResultHeader,
    first: Option<Bytes>,
    call: Option<Call>,
    /// What the next look at it gives.
    failure: Option<Error>,
    deadline: Option<(Pin<Box<Sleep>>, Duration)>,
}

impl Stream {
    /// Of the first PART.
    pub(super) fn begin(link: Arc<Link>, frame: Frame) -> (Sender, Self) {
        let (sender, pieces) = mpsc::channel(PARTS_MAX + 1);
        let call = Call { link, id: frame.call, pieces, owed: 0, is_open: true };
        let header = ResultHeader::decode(&frame.header);
        (
            Sender(sender),
            Self { header, first: Some(frame.body), call: Some(call), failure: None, deadline: None },
        )
    }

    /// It ends at `at`, which is `limit` after the call's begin.
    pub(super) fn until(self, at: Instant, limit: Duration) -> Self {
        Self { deadline: Some((Box::pin(tokio::time::sleep_until(at)), limit)), ..self }
    }

    /// The next part that is not empty; `None` after the last.
    pub(crate) fn poll_part(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let Some(call) = &mut self.call else { return Poll::Ready(self.failure.take().map(Err)) };
        if let Some((sleep, limit)) = &mut self.deadline
            && sleep.as_mut().poll(context).is_ready()
        {
            let error = Error::ExecutionTimeout(*limit);
            if let Some(call) = self.call.take() {
                tokio::spawn(call.cut_off());
            }
            return self.fail(error, context);
        }
        loop {
            let part = match self.first.take() {
                Some(first) => first,
                None => match ready!(call.pieces.poll_recv(context)) {
                    Some(Piece::Part(part)) => part,
                    end => {
                        let failure = call.end(end);
                        self.call = None;
                        return match failure {
                            None => Poll::Ready(None),
                            Some(error) => self.fail(error, context),
                        };
                    }
                },
            };
            call.credit();
            if !part.is_empty() {
                return Poll::Ready(Some(Ok(part)));
            }
        }
    }
}

impl Stream {
    /// The parts that are there, one at least; none after the last.
    pub(crate) async fn parts(&mut self) -> Result<Vec<Bytes>, Error> {
        let mut parts = Vec::new();
        std::future::poll_fn(|context| {
            while parts.len() < PARTS_MAX {
                match self.poll_part(context) {
                    Poll::Ready(Some(part)) => parts.push(part?),
                    Poll::Ready(None) => break,
                    Poll::Pending if parts.is_empty() => return Poll::Pending,
                    Poll::Pending => break,
                }
            }
            Poll::Ready(Ok(()))
        })
        .await?;
        Ok(parts)
    }

    /// Asks the call to stop, and ends its worker if it does not.
    pub(super) async fn cut_off(self) {
        if let Some(call) = self.call {
            call.cut_off().await;
        }
    }

    /// Not at once: a failed body ends the connection, and what came before it should leave first.
    fn fail<T>(&mut self, error: Error, context: &mut Context<'_>) -> Poll<T> {
        self.failure = Some(error);
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

#[derive(Debug)]
struct Call {
    link: Arc<Link>,
    id: u32,
    pieces: mpsc::Receiver<Piece>,
    /// Parts taken that no CREDIT was given for.
    owed: u32,
    is_open: bool,
}

impl Call {
    fn credit(&mut self) {
        self.owed += 1;
        if self.owed == CREDIT_PARTS {
            self.link.send(Frame::credit(self.id, self.owed));
            self.owed = 0;
        }
    }

    fn end(&mut self, end: Option<Piece>) -> Option<Error> {
        self.is_open = false;
        match end {
            Some(Piece::End(End::Complete)) => None,
            Some(Piece::End(End::Failed(header))) => Some(Error::Failed(header)),
            Some(Piece::End(End::Died(death))) => Some(Error::Died(death)),
            Some(Piece::Part(_)) | None => Some(Error::Died("the worker's link was closed".into())),
        }
    }

    /// Asks the call to stop, and ends its worker if it does not.
    async fn cut_off(mut self) {
        self.link.send(Frame::bare(Kind::Cancel, self.id));
        let ended = async { while let Some(Piece::Part(_)) = self.pieces.recv().await {} };
        if tokio::time::timeout(CANCEL_GRACE, ended).await.is_err() {
            self.link.end.notify_one();
        }
        self.is_open = false;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if self.is_open {
            self.link.send(Frame::bare(Kind::Cancel, self.id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::awake::Awake;

    #[tokio::test]
    async fn more_than_was_asked_for_is_refused_and_the_end_still_comes() {
        let link = Arc::new(Link::new(Awake::new()));
        let (sender, mut stream) = Stream::begin(link, Frame::bare(Kind::Part, 1));
        for _ in 0..=PARTS_MAX {
            assert!(sender.send(Bytes::from_static(b"x")));
        }
        assert!(!sender.send(Bytes::from_static(b"too much")));
        let mut next = async || std::future::poll_fn(|context| stream.poll_part(context)).await;
        for _ in 0..=PARTS_MAX {
            assert_eq!(next().await.unwrap().unwrap(), "x");
        }
        sender.end(End::Complete);
        assert!(next().await.is_none());
        assert!(next().await.is_none());
    }

    #[tokio::test]
    async fn a_worker_that_dies_is_an_error_after_what_it_sent() {
        let link = Arc::new(Link::new(Awake::new()));
        let first = Frame::new(Kind::Part, 1, Bytes::new(), Bytes::from_static(b"first"));
        let (sender, mut stream) = Stream::begin(link, first);
        assert!(sender.send(Bytes::from_static(b"second")));
        sender.end(End::Died("worker 1 was killed".into()));
        let mut next = async || std::future::poll_fn(|context| stream.poll_part(context)).await;
        assert_eq!(next().await.unwrap().unwrap(), "first");
        assert_eq!(next().await.unwrap().unwrap(), "second");
        assert_eq!(next().await.unwrap().unwrap_err().to_string(), "worker 1 was killed during the call");
        assert!(next().await.is_none());
    }
}
