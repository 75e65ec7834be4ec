//! How long to wait before another try: full jitter, so that what failed together does not come back together.

use std::time::Duration;

/// Anything up to `first`, doubled for each of the tries before this one (`tries` counts from 1), but never more than `max`.
pub fn full_jitter(first: Duration, max: Duration, tries: u32) -> Duration {
    let mut bytes = [0_u8; 4];
    // Without randomness it is the longest wait.
    let share = match getrandom::fill(&mut bytes) {
        Ok(()) => f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX),
        Err(_) => 1.0,
    };
    ceiling(first, max, tries).mul_f64(share)
}

fn ceiling(first: Duration, max: Duration, tries: u32) -> Duration {
    let doublings = tries.saturating_sub(1).min(31);
    first.saturating_mul(1 << doublings).min(max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_longest_and_stays_below() {
        let (first, max) = (Duration::from_secs(1), Duration::from_secs(20));
        let ceilings = [0, 1, 2, 3, 5, 6, u32::MAX].map(|tries| ceiling(first, max, tries).as_secs());
        assert_eq!(ceilings, [1, 1, 2, 4, 16, 20, 20]);
        for tries in 1..100 {
            assert!(full_jitter(first, max, tries) <= ceiling(first, max, tries));
        }
    }
}
