//! Keeps the gateway's thread awake for a moment after something has happened.
//!
//! Waking a sleeping processor takes longer than most calls, above all on virtual machines. The thread that waits for
//! a worker's answer, or for the next request after one, looks again for a short while and gives the processor to
//! whoever wants it, before it sleeps; but only around a call that is the only one: with several in flight there is work
//! enough, and the processor is better left to those who do it. The workers do the same (`python/tetra_rp/_worker/_selector.py`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

const AWAKE: Duration = Duration::from_micros(200);

#[derive(Debug, Clone)]
pub(crate) struct Awake(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// With one processor, staying awake would keep the worker from it.
    is_parallel: bool,
    start: Instant,
    until_ns: AtomicU64,
    is_up: AtomicBool,
    up: Notify,
}

impl Awake {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            is_parallel: std::thread::available_parallelism().is_ok_and(|count| count.get() > 1),
            start: Instant::now(),
            until_ns: AtomicU64::new(0),
            is_up: AtomicBool::new(false),
            up: Notify::new(),
        }))
    }

    /// Something has happened.
    pub(crate) fn extend(&self) {
        let inner = &*self.0;
        if inner.is_parallel {
            inner.until_ns.store(inner.now_ns() + nanoseconds(AWAKE), Ordering::Relaxed);
            if !inner.is_up.swap(true, Ordering::Relaxed) {
                inner.up.notify_one();
            }
        }
    }

    /// Runs for as long as the gateway does, as a task of its thread.
    pub(crate) async fn keep(&self) {
        let inner = &*self.0;
        loop {
            inner.up.notified().await;
            while inner.now_ns() < inner.until_ns.load(Ordering::Relaxed) {
                std::thread::yield_now();
                // Back to the runtime, which looks for input without waiting while somebody has yielded.
                tokio::task::yield_now().await;
            }
            inner.is_up.store(false, Ordering::Relaxed);
        }
    }
}

impl Inner {
    fn now_ns(&self) -> u64 {
        nanoseconds(self.start.elapsed())
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
