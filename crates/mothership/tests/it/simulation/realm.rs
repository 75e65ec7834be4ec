//! Everything outside of the motherships: the world, the state, what is wanted, and the eyes of the invariants.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use flash_model::*;
use flash_mothership::Drift;
use flash_mothership::store::{Clock, Store};

use super::asked::Asked;
use super::faults::Faults;
use super::invariants::Invariant;
use super::network::Network;
use super::random::Random;
use super::store::now;
use super::world::World;

/// Lines of a trace that are kept.
const TRACE_LINES_MAX: usize = 100_000;

/// Milliseconds since the Unix epoch at which every simulated life begins.
pub(super) const EPOCH_MS: u64 = 1_700_000_000_000;

/// A protection that is switched off, to see whether the invariants notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mutation {
    /// Intents are acknowledged, and not stored.
    NoWriteAhead,
    /// Store and provider accept every fence.
    NoFencing,
    /// What could not be read is presented as absent.
    TwoValuedExistence,
}

/// A clock of one machine, which may jump.
#[derive(Debug, Default)]
pub(super) struct JumpingClock {
    elapsed_ms: AtomicU64,
    offset_ms: AtomicI64,
}

impl JumpingClock {
    pub(super) fn set(&self, elapsed_ms: u64) {
        self.elapsed_ms.store(elapsed_ms, Ordering::Relaxed);
    }

    pub(super) fn jump(&self, by_ms: i64) {
        self.offset_ms.fetch_add(by_ms, Ordering::Relaxed);
    }
}

impl Clock for JumpingClock {
    fn now_ms(&self) -> u64 {
        let offset_ms = self.offset_ms.load(Ordering::Relaxed);
        (EPOCH_MS + self.elapsed_ms.load(Ordering::Relaxed)).saturating_add_signed(offset_ms)
    }
}

/// Something that must never happen, and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) invariant: Invariant,
    pub(super) at_ms: u64,
    pub(super) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {} ms: {}", self.invariant, self.at_ms, self.what)
    }
}

pub(super) struct Realm {
    pub(super) now_ms: u64,
    pub(super) scope: Scope,
    pub(super) world: World,
    pub(super) store: Arc<dyn Store>,
    pub(super) store_clock: Arc<JumpingClock>,
    pub(super) store_away_until_ms: u64,
    pub(super) network: Network,
    pub(super) drift: Drift,
    pub(super) faults: Faults,
    pub(super) random: Random,
    pub(super) mutation: Option<Mutation>,
    /// The state as it is stored, and the manifest that was applied last.
    pub(super) state: StateSnapshot,
    pub(super) wanted: Option<Arc<Manifest>>,
    /// A manifest that was held up on its way took effect, under a lease that still held: whoever wished for another one
    /// meanwhile, while somebody else led, has to say so again.
    pub(super) wants_telling: bool,
    /// Every manifest that was ever applied, by its number, and what people asked for.
    pub(super) generations: BTreeMap<u64, Arc<Manifest>>,
    pub(super) asked: Vec<Asked>,
    /// Every key under which an intent was ever stored, and since when each resource has the intent that it has.
    pub(super) intended: BTreeSet<IdempotencyKey>,
    pub(super) intent_since: BTreeMap<ResourceName, (Intent, u64)>,
    /// Not looked at.
    pub(super) ignored: Vec<Invariant>,
    pub(super) violation: Option<Violation>,
    pub(super) trace: Option<VecDeque<String>>,
}

impl Realm {
    /// Adds a line to the trace, if there is one.
    pub(super) fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            if trace.len() == TRACE_LINES_MAX {
                trace.pop_front();
            }
            trace.push_back(format!("{:>7} {}", self.now_ms, line()));
        }
    }

    pub(super) fn store_is_away(&self) -> bool {
        self.now_ms < self.store_away_until_ms
    }

    /// Reads the state anew after a write to it.
    pub(super) fn look(&mut self) {
        let state = now(self.store.snapshot(&self.scope)).unwrap();
        self.check_serial(&state);
        let mut since = BTreeMap::new();
        for (name, record) in &state.records {
            let Some(intent) = &record.intent else { continue };
            self.intended.insert(intent.idempotency_key.clone());
            let earlier = self.intent_since.get(name).filter(|(earlier, _)| earlier == intent);
            let since_ms = earlier.map_or(self.now_ms, |(_, since_ms)| *since_ms);
            since.insert(name.clone(), (intent.clone(), since_ms));
        }
        self.intent_since = since;
        self.state = state;
    }

    pub(super) fn violated(&mut self, invariant: Invariant, what: impl FnOnce() -> String) {
        if self.violation.is_none() && !self.ignored.contains(&invariant) {
            let violation = Violation { invariant, at_ms: self.now_ms, what: what() };
            self.note(|| format!("VIOLATED {violation}"));
            self.violation = Some(violation);
        }
    }
}
