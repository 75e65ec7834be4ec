//! How long to leave a resource alone after it failed or had to be restarted.

use std::collections::BTreeMap;
use std::time::Duration;

use flash_model::ResourceName;
use tokio::time::Instant;

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// After this long without trouble the count starts anew.
const CALM: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Backoff {
    troubled: BTreeMap<ResourceName, Trouble>,
}

#[derive(Debug)]
struct Trouble {
    count: u32,
    until: Instant,
}

impl Backoff {
    /// Notes trouble. `random` in `0.0..1.0` spreads the pauses (full jitter over their second half).
    pub(super) fn note(&mut self, resource: &ResourceName, now: Instant, random: f64) {
        let count =
            self.troubled.get(resource).filter(|last| now < last.until + CALM).map_or(0, |last| last.count);
        let pause = (FIRST_PAUSE * 2_u32.saturating_pow(count.min(16))).min(PAUSE_MAX);
        let until = now + pause.mul_f64(0.5 + 0.5 * random.clamp(0.0, 1.0));
        self.troubled.insert(resource.clone(), Trouble { count: count + 1, until });
    }

    pub(super) fn allows(&self, resource: &ResourceName, now: Instant) -> bool {
        self.troubled.get(resource).is_none_or(|trouble| now >= trouble.until)
    }

    /// A new wish of the user is not made to wait for old trouble.
    pub(super) fn clear(&mut self) {
        self.troubled.clear();
    }

    /// When the first resource that is held back may be tried again.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        self.troubled.values().map(|trouble| trouble.until).filter(|until| *until > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_limit_and_calm_resets_them() {
        let name = ResourceName::new("a").unwrap();
        let mut backoff = Backoff::default();
        let mut now = Instant::now();
        let mut pauses = Vec::new();
        for _ in 0..10 {
            backoff.note(&name, now, 1.0);
            let until = backoff.next(now).unwrap();
            assert!(!backoff.allows(&name, now) && backoff.allows(&name, until));
            pauses.push((until - now).as_millis());
            now = until;
        }
        assert_eq!(pauses, [250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]);
        now += CALM;
        backoff.note(&name, now, 0.0);
        assert_eq!((backoff.next(now).unwrap() - now).as_millis(), 125);
    }
}
