//! How much a worker may print: what is more in a second is dropped, and counted. Pure.

use std::time::{Duration, Instant};

pub(super) const LINES_PER_SECOND_MAX: u64 = 1_000;
pub(super) const BYTES_PER_SECOND_MAX: u64 = 1024 * 1024;
const SECOND: Duration = Duration::from_secs(1);

/// Counts from the first line on; a second later it begins anew with the next line.
#[derive(Debug, Default)]
pub(super) struct Quota {
    began: Option<Instant>,
    taken: Amount,
    dropped: Amount,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub(super) lines: u64,
    pub(super) bytes: u64,
}

impl Quota {
    /// Whether a line of so many bytes is kept.
    pub(super) fn take(&mut self, bytes: u64, now: Instant) -> bool {
        if self.began.is_none_or(|began| now >= began + SECOND) {
            self.began = Some(now);
            self.taken = Amount::default();
        }
        let is_kept =
            self.taken.lines < LINES_PER_SECOND_MAX && self.taken.bytes + bytes <= BYTES_PER_SECOND_MAX;
        let amount = if is_kept { &mut self.taken } else { &mut self.dropped };
        amount.lines += 1;
        amount.bytes += bytes;
        is_kept
    }

    /// When what was dropped can be told: its second is over.
    pub(super) fn due(&self) -> Option<Instant> {
        (self.dropped.lines > 0).then_some(self.began? + SECOND)
    }

    /// What was dropped and is not told yet, if it is time.
    pub(super) fn dropped(&mut self, now: Instant) -> Option<Amount> {
        self.due().filter(|due| now >= *due)?;
        self.end()
    }

    /// The same at the end.
    pub(super) fn end(&mut self) -> Option<Amount> {
        Some(std::mem::take(&mut self.dropped)).filter(|dropped| dropped.lines > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_bytes_are_bounded_in_each_second() {
        let (mut quota, now) = (Quota::default(), Instant::now());
        let kept = (0..LINES_PER_SECOND_MAX + 5).filter(|_| quota.take(1, now)).count() as u64;
        assert_eq!(kept, LINES_PER_SECOND_MAX);
        assert_eq!((quota.dropped(now), quota.due()), (None, Some(now + SECOND)));
        assert_eq!(quota.dropped(now + SECOND), Some(Amount { lines: 5, bytes: 5 }));
        assert_eq!((quota.dropped(now + SECOND), quota.due()), (None, None));

        let later = now + 2 * SECOND;
        assert!(quota.take(BYTES_PER_SECOND_MAX - 1, later));
        assert!(!quota.take(2, later), "too many bytes");
        assert!(quota.take(1, later), "a shorter one fits");
        assert_eq!(quota.end(), Some(Amount { lines: 1, bytes: 2 }));
        assert!(quota.take(2, later + SECOND));
        assert_eq!(quota.end(), None);
    }
}
