//! Which traces are recorded.

use flash_model::TraceId;

/// Of so many ids a share is a number of: the last eight bytes of an id, but for the lowest bit.
const WHOLE: u64 = 1 << 63;

/// By OpenTelemetry's rules, so that all services of a trace come to the same answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sampler {
    /// What was decided where the trace came from holds.
    heeds_parent: bool,
    /// Ids below are recorded.
    below: u64,
}

impl Default for Sampler {
    fn default() -> Self {
        Self { heeds_parent: true, below: WHOLE }
    }
}

impl Sampler {
    /// As `OTEL_TRACES_SAMPLER` and its argument name it; none if nothing is called so.
    pub(super) fn named(name: &str, share: f64) -> Option<Self> {
        let (heeds_parent, kind) = match name.strip_prefix("parentbased_") {
            Some(kind) => (true, kind),
            None => (false, name),
        };
        let below = match kind {
            "always_on" => WHOLE,
            "always_off" => 0,
            "traceidratio" => (share.clamp(0.0, 1.0) * WHOLE as f64) as u64,
            _ => return None,
        };
        Some(Self { heeds_parent, below })
    }

    /// `parent`: what was decided there, if the trace came from somewhere.
    pub(super) fn records(&self, trace: TraceId, parent: Option<bool>) -> bool {
        if let Some(decided) = parent.filter(|_| self.heeds_parent) {
            return decided;
        }
        let [.., a, b, c, d, e, f, g, h] = trace.bytes();
        u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1 < self.below
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(end: u64) -> TraceId {
        let mut bytes = [1; 16];
        bytes[8..].copy_from_slice(&end.to_be_bytes());
        TraceId::new(bytes).unwrap()
    }

    #[test]
    fn names_say_who_decides() {
        let check = |name: &str, root: bool, below_sampled: bool, below_other: bool| {
            let sampler = Sampler::named(name, 1.0).unwrap();
            let decided = [None, Some(true), Some(false)].map(|parent| sampler.records(trace(7), parent));
            assert_eq!(decided, [root, below_sampled, below_other], "{name}");
        };
        check("always_on", true, true, true);
        check("always_off", false, false, false);
        check("traceidratio", true, true, true);
        check("parentbased_always_on", true, true, false);
        check("parentbased_always_off", false, true, false);
        check("parentbased_traceidratio", true, true, false);
        assert_eq!(Sampler::named("parentbased_always_on", 0.0), Some(Sampler::default()));
        for name in ["", "sometimes", "parentbased_", "parentbased_parentbased_always_on", "jaeger_remote"] {
            assert_eq!(Sampler::named(name, 1.0), None, "{name}");
        }
    }

    #[test]
    fn a_share_is_of_the_ids() {
        let quarter = Sampler::named("traceidratio", 0.25).unwrap();
        assert!(quarter.records(trace(u64::MAX / 4 - 1), None));
        assert!(!quarter.records(trace(u64::MAX / 4 + 2), None));
        for (share, lowest, highest) in
            [(0.0, false, false), (-1.0, false, false), (1.0, true, true), (2.0, true, true)]
        {
            let sampler = Sampler::named("traceidratio", share).unwrap();
            assert_eq!(
                (sampler.records(trace(0), None), sampler.records(trace(u64::MAX), None)),
                (lowest, highest)
            );
        }
    }
}
