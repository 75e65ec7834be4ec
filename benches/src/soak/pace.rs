//! How fast a load is, and until when.

use std::time::{Duration, Instant};

/// Of all tasks of a load together; each does one thing at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Things a second. None = as fast as they are answered.
    rate: Option<f64>,
    pub(super) begun: Instant,
    until: Instant,
}

/// Of one task.
#[derive(Debug)]
pub(super) struct Clock {
    due: Instant,
    period: Option<Duration>,
    until: Instant,
}

impl Pace {
    pub(super) fn new(rate: Option<f64>, time: Duration) -> Self {
        let begun = Instant::now();
        Self { rate, begun, until: begun + time }
    }

    pub(super) fn clock(self, number: usize, tasks: usize) -> Clock {
        let period = self.rate.map(|rate| Duration::from_secs_f64(tasks as f64 / rate.max(1.0)));
        let first = period.map_or(Duration::ZERO, |period| period.mul_f64(number as f64 / tasks as f64));
        Clock { due: self.begun + first, period, until: self.until }
    }
}

impl Clock {
    /// Comes back when the next thing is due; false at the end. What was held up is not made up for.
    pub(super) async fn next(&mut self) -> bool {
        if let Some(period) = self.period {
            tokio::time::sleep_until(self.due.min(self.until).into()).await;
            self.due = (self.due + period).max(Instant::now());
        }
        Instant::now() < self.until
    }
}
