//! What of what goes wrong is the crash that was just made: calls in flight are lost with their process.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What a crash may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Calls in that worker.
    Worker,
    /// Whatever is asked through this gateway or the front door.
    Gateway,
}

/// Until when failures are a crash's doing.
#[derive(Debug, Default)]
pub(super) struct Shadow(Mutex<Ends>);

#[derive(Debug, Default, Clone, Copy)]
struct Ends {
    workers: Option<Instant>,
    gateways: Option<Instant>,
}

impl Shadow {
    pub(super) fn cast(&self, reach: Reach, time: Duration) {
        let until = Some(Instant::now() + time);
        let mut ends = self.lock();
        ends.workers = ends.workers.max(until);
        if reach == Reach::Gateway {
            ends.gateways = ends.gateways.max(until);
        }
    }

    /// Whether something that has begun then, and fails now, may have been hit by such a crash.
    pub(super) fn covers(&self, reach: Reach, begun: Instant) -> bool {
        let ends = *self.lock();
        let end = if reach == Reach::Worker { ends.workers } else { ends.gateways };
        end.is_some_and(|end| begun <= end)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Ends> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_of_a_worker_excuses_calls_and_not_the_gateway() {
        let shadow = Shadow::default();
        let before = Instant::now();
        assert!(!shadow.covers(Reach::Worker, before));
        shadow.cast(Reach::Worker, Duration::ZERO);
        assert!(shadow.covers(Reach::Worker, before) && !shadow.covers(Reach::Gateway, before));
        assert!(!shadow.covers(Reach::Worker, Instant::now() + Duration::from_secs(1)));
        shadow.cast(Reach::Gateway, Duration::ZERO);
        assert!(shadow.covers(Reach::Gateway, before));
    }
}
