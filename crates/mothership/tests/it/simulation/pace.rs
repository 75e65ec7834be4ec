//! How fast one mothership calls its provider: within the rate that is set, and not while it was asked to wait.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// No answer holds up everybody for longer.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// A cheap clone.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    calls_per_second_max: Option<u32>,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Of the last second.
    calls_ms: VecDeque<u64>,
    paused_until_ms: u64,
    breach: Option<String>,
}

impl Pace {
    pub(super) fn new(calls_per_second_max: Option<u32>) -> Self {
        Self { calls_per_second_max, shared: Arc::default() }
    }

    /// A call is made.
    pub(super) fn begin(&self, now_ms: u64) {
        let shared = &mut *self.shared();
        if now_ms < shared.paused_until_ms {
            let until_ms = shared.paused_until_ms;
            shared.breach = Some(format!("called at {now_ms} ms, and was asked to wait until {until_ms} ms"));
        }
        let Some(most) = self.calls_per_second_max else { return };
        shared.calls_ms.push_back(now_ms);
        while shared.calls_ms.front().is_some_and(|call_ms| call_ms + 1_000 <= now_ms) {
            shared.calls_ms.pop_front();
        }
        let calls = shared.calls_ms.len();
        if calls > most as usize + 1 {
            shared.breach = Some(format!("called {calls} times in a second, and {most} are allowed"));
        }
    }

    pub(super) fn asked_for_a_pause(&self, now_ms: u64, pause: Duration) {
        let shared = &mut *self.shared();
        let pause_ms = u64::try_from(pause.min(PAUSE_MAX).as_millis()).unwrap_or(u64::MAX);
        shared.paused_until_ms = shared.paused_until_ms.max(now_ms + pause_ms);
    }

    pub(super) fn take_breach(&self) -> Option<String> {
        self.shared().breach.take()
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
