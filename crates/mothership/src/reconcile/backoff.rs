//! How long to leave something alone after it failed or had to be restarted. The error says how.

use std::collections::BTreeMap;
use std::time::Duration;

use flash_model::Retry;
use tokio::time::Instant;

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Full jitter may say "at once"; this keeps it from being a tight loop.
const PAUSE_MIN: Duration = Duration::from_millis(20);
/// After this long without trouble the count starts anew.
const CALM: Duration = Duration::from_secs(60);
/// For errors that trying again cannot mend. The world may have changed by then all the same.
pub(super) const HOPELESS_PAUSE: Duration = Duration::from_secs(10 * 60);

/// By resource, or by whatever else may fail on its own.
#[derive(Debug)]
pub(super) struct Backoff<K> {
    troubled: BTreeMap<K, Trouble>,
}

#[derive(Debug)]
struct Trouble {
    count: u32,
    until: Instant,
}

impl<K> Default for Backoff<K> {
    fn default() -> Self {
        Self { troubled: BTreeMap::new() }
    }
}

impl<K: Ord + Clone> Backoff<K> {
    /// Notes trouble. `random` in `0.0..=1.0` spreads the pauses of [`Retry::Backoff`] from nothing up to the limit that
    /// doubles with every trouble (full jitter), so that many who failed together do not come back together.
    pub(super) fn note(&mut self, what: &K, retry: Retry, now: Instant, random: f64) {
        let random = random.clamp(0.0, 1.0);
        let count =
            self.troubled.get(what).filter(|last| now < last.until + CALM).map_or(0, |last| last.count);
        let pause = match retry {
            Retry::Never => HOPELESS_PAUSE,
            // Not a moment earlier than asked for, and spread a little.
            Retry::After(asked) => asked + FIRST_PAUSE.mul_f64(random),
            Retry::Backoff => {
                let limit = (FIRST_PAUSE * 2_u32.saturating_pow(count.min(16))).min(PAUSE_MAX);
                limit.mul_f64(random).max(PAUSE_MIN)
            }
        };
        self.troubled.insert(what.clone(), Trouble { count: count + 1, until: now + pause });
    }

    pub(super) fn allows(&self, what: &K, now: Instant) -> bool {
        self.troubled.get(what).is_none_or(|trouble| now >= trouble.until)
    }

    /// A new wish of the user is not made to wait for old trouble.
    pub(super) fn clear(&mut self) {
        self.troubled.clear();
    }

    /// When the first one that is held back may be tried again.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        self.troubled.values().map(|trouble| trouble.until).filter(|until| *until > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(backoff: &Backoff<&str>, now: Instant) -> Duration {
        let until = backoff.next(now).unwrap();
        assert!(!backoff.allows(&"a", now) && backoff.allows(&"a", until));
        until - now
    }

    #[test]
    fn pauses_double_up_to_a_limit_and_calm_resets_them() {
        let mut backoff = Backoff::default();
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..10 {
            backoff.note(&"a", Retry::Backoff, now, 1.0);
            let pause = pause(&backoff, now);
            pauses.push(pause.as_millis());
            now += pause;
        }
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
        now += CALM;
        backoff.note(&"a", Retry::Backoff, now, 0.5);
        assert_eq!(pause(&backoff, now), FIRST_PAUSE / 2);
    }

    #[test]
    fn the_error_says_how_long_to_wait() {
        let asked = Duration::from_secs(7);
        for (retry, random, expected) in [
            (Retry::Never, 0.0, HOPELESS_PAUSE),
            (Retry::Never, 1.0, HOPELESS_PAUSE),
            (Retry::After(asked), 0.0, asked),
            (Retry::After(asked), 1.0, asked + FIRST_PAUSE),
            (Retry::Backoff, 0.0, PAUSE_MIN),
            (Retry::Backoff, 1.0, FIRST_PAUSE),
        ] {
            let (mut backoff, now) = (Backoff::default(), Instant::now());
            backoff.note(&"a", retry, now, random);
            assert_eq!(pause(&backoff, now), expected, "{retry:?} {random}");
            backoff.clear();
            assert!(backoff.allows(&"a", now), "a new wish does not wait");
        }
    }
}
