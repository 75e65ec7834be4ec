//! Where randomness comes from: only ever to spread pauses.

use std::sync::{Arc, Mutex, PoisonError};

/// A cheap clone. Clones share one sequence; the same seed gives the same sequence.
#[derive(Debug, Clone)]
pub struct Jitter(Arc<Mutex<u64>>);

impl Jitter {
    /// From the machine's randomness. None at hand only means that pauses are spread like everybody else's.
    pub fn random() -> Self {
        Self::seeded(getrandom::u64().unwrap_or_default())
    }

    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed)))
    }

    /// In `0.0..=1.0`.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are kept")]
    pub(crate) fn next(&self) -> f64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // SplitMix64: https://prng.di.unimi.it/splitmix64.c (public domain).
        *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        (mixed >> 11) as f64 / ((1_u64 << 53) - 1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_sequence_that_is_spread() {
        let draw = |seed| {
            let jitter = Jitter::seeded(seed);
            (0..1000).map(|_| jitter.next()).collect::<Vec<_>>()
        };
        let drawn = draw(7);
        assert_eq!(drawn, draw(7));
        assert_ne!(drawn, draw(8));
        assert!(drawn.iter().all(|number| (0.0..=1.0).contains(number)));
        let mean = drawn.iter().sum::<f64>() / 1000.0;
        assert!((0.4..0.6).contains(&mean), "{mean}");
    }
}
