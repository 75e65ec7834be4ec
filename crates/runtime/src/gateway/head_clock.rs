//! How long a caller may take to send the head of a request. Silence between requests is cheap; a head that trickles in is not.

use std::future::Future;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::version::Start;

/// How long a connection may stay silent before a request.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// From the first byte of a request to the end of its headers.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// One for each connection, which has at most one head on its way.
#[derive(Debug, Clone)]
pub(super) struct HeadClock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Bytes came since a head is being waited for.
    has_begun: AtomicBool,
    alarm: Mutex<Alarm>,
}

#[derive(Debug)]
struct Alarm {
    sleep: Pin<Box<Sleep>>,
    /// It stands at the end of [`HEAD_TIMEOUT`], not of the silence before it.
    is_strict: bool,
}

impl HeadClock {
    pub(super) fn new() -> Self {
        let alarm = Alarm { sleep: Box::pin(tokio::time::sleep(IDLE_TIMEOUT)), is_strict: false };
        Self(Arc::new(Inner { has_begun: AtomicBool::new(false), alarm: Mutex::new(alarm) }))
    }

    fn alarm(&self) -> MutexGuard<'_, Alarm> {
        self.0.alarm.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// hyper asks for a sleep whenever it begins to wait for a head, and looks at it while the head is not complete.
impl hyper::rt::Timer for HeadClock {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        self.0.has_begun.store(false, Ordering::Relaxed);
        let mut alarm = self.alarm();
        alarm.sleep.as_mut().reset(deadline.into());
        alarm.is_strict = false;
        Box::pin(HeadSleep(self.clone()))
    }
}

struct HeadSleep(HeadClock);

impl hyper::rt::Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut alarm = self.0.alarm();
        if !alarm.is_strict && self.0.0.has_begun.load(Ordering::Relaxed) {
            alarm.is_strict = true;
            alarm.sleep.as_mut().reset(tokio::time::Instant::now() + HEAD_TIMEOUT);
        }
        alarm.sleep.as_mut().poll(context)
    }
}

/// A stream whose first bytes were read already, and whose bytes start the clock.
#[derive(Debug)]
pub(super) struct Watched<S> {
    stream: S,
    start: Start,
    clock: HeadClock,
}

impl<S> Watched<S> {
    pub(super) fn new(stream: S, start: Start, clock: HeadClock) -> Self {
        Self { stream, start, clock }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if !self.start.give(buffer) {
            let before = buffer.filled().len();
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
            if buffer.filled().len() == before {
                return Poll::Ready(Ok(()));
            }
        }
        self.clock.0.has_begun.store(true, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
