//! Who may write to one app+environment, as a pure protocol: no clock, no store.
//!
//! A store keeps one [`LeaseState`] per scope, and for every request replaces it by what [`decide`] says, in one
//! transaction and with its own clock. Every write then names the fence of the lease it was made under, and is refused
//! unless [`LeaseState::admits`] it: a holder that was paused past its lease and wakes up can write nothing.
//!
//! Time is the store's, so holders' clocks need not agree. If it jumps forward a lease ends early, and the fence keeps
//! the writes apart. If it jumps back, no lease lasts longer than its own term from the first look on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::HolderId;

/// How long a lease lasts if it is not renewed.
pub const LEASE_TERM_MS: u64 = 15_000;

/// Renewals in one term: two may fail before the lease ends.
pub const LEASE_RENEWALS_PER_TERM: u64 = 3;

/// The right to write, until it expires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lease {
    pub holder: HolderId,
    /// Number of the lease. A later lease of the scope has a higher one.
    pub fence: u64,
    /// For a person who asks what the scope is held for: `flash run`.
    pub purpose: String,
    /// The lock file or other lock under which it was acquired; see [`LeaseRequest::Acquire`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seat: Option<String>,
    /// Milliseconds since the Unix epoch, on the store's clock; so is the next one.
    pub acquired_at_ms: u64,
    pub expires_at_ms: u64,
    /// From the last renewal to the expiry.
    pub term_ms: u64,
}

impl Lease {
    pub fn is_expired(&self, now_ms: u64) -> bool {
        now_ms >= self.expires_at_ms
    }

    /// What is left of it.
    pub fn remaining_ms(&self, now_ms: u64) -> u64 {
        self.expires_at_ms.saturating_sub(now_ms).min(self.term_ms)
    }
}

/// What a store keeps of the protocol.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseState {
    /// The highest fence ever given; outlives every lease.
    pub fence: u64,
    pub lease: Option<Lease>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaseRequest {
    /// Granted if nobody else holds an unexpired lease. Repeated by its holder it is a renewal.
    ///
    /// A *seat* names a lock outside of the store that a holder keeps for as long as it lives, and that nobody else can
    /// have meanwhile (the lock file of a project folder). Whoever asks from the same seat thereby proves that the
    /// lease's holder is dead, and need not wait for it to expire.
    Acquire {
        holder: HolderId,
        purpose: String,
        seat: Option<String>,
        term_ms: u64,
    },
    Renew {
        holder: HolderId,
        fence: u64,
    },
    /// Gives the lease back early. Of a lease that was lost meanwhile nothing is left to give back.
    Release {
        holder: HolderId,
        fence: u64,
    },
    /// Clears away what a dead holder left. For a person; nobody needs it, as an expired lease hinders no one.
    DropExpired,
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseRefusal {
    #[error("{} holds the lease (fence {}, {}) for another {:.1} s", lease.holder, lease.fence, lease.purpose, seconds(*remaining_ms))]
    Held { lease: Box<Lease>, remaining_ms: u64 },
    #[error("the lease with fence {fence} has expired or is another's")]
    Lost { fence: u64 },
}

/// What to store, and what to answer. The state may change even if the answer is no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseDecision {
    pub state: LeaseState,
    /// The lease as it is now; none after it was given back or dropped.
    pub answer: Result<Option<Lease>, LeaseRefusal>,
}

/// Total and pure. `now_ms` is the store's clock, which may have jumped since the last decision.
pub fn decide(state: &LeaseState, request: &LeaseRequest, now_ms: u64) -> LeaseDecision {
    let mut state = state.clone();
    // An expiry that lies more than a term ahead was set by a clock that went back since. It starts anew from here:
    // not earlier than its holder counts on, and not for however long the clock needs to catch up.
    if let Some(lease) = &mut state.lease {
        lease.expires_at_ms = lease.expires_at_ms.min(now_ms.saturating_add(lease.term_ms));
    }
    let unexpired = state.lease.clone().filter(|lease| !lease.is_expired(now_ms));
    let answer = match request {
        LeaseRequest::Acquire { holder, purpose, seat, term_ms } => match unexpired {
            Some(lease) if lease.holder == *holder => {
                Ok(Some(Lease { term_ms: *term_ms, expires_at_ms: now_ms.saturating_add(*term_ms), ..lease }))
            }
            Some(lease) if seat.is_none() || lease.seat != *seat => Err(held(lease, now_ms)),
            _ => Ok(Some(Lease {
                holder: holder.clone(),
                fence: state.fence.saturating_add(1),
                purpose: purpose.clone(),
                seat: seat.clone(),
                acquired_at_ms: now_ms,
                expires_at_ms: now_ms.saturating_add(*term_ms),
                term_ms: *term_ms,
            })),
        },
        LeaseRequest::Renew { holder, fence } => match unexpired {
            Some(lease) if lease.holder == *holder && lease.fence == *fence => {
                Ok(Some(Lease { expires_at_ms: now_ms.saturating_add(lease.term_ms), ..lease }))
            }
            Some(lease) => Err(held(lease, now_ms)),
            None => Err(LeaseRefusal::Lost { fence: *fence }),
        },
        LeaseRequest::Release { holder, fence } => match &state.lease {
            Some(lease) if lease.holder == *holder && lease.fence == *fence => Ok(None),
            _ => Err(LeaseRefusal::Lost { fence: *fence }),
        },
        LeaseRequest::DropExpired => unexpired.map_or(Ok(None), |lease| Err(held(lease, now_ms))),
    };
    if let Ok(lease) = &answer {
        state.lease.clone_from(lease);
        state.fence = lease.as_ref().map_or(state.fence, |lease| lease.fence);
    }
    LeaseDecision { state, answer }
}

impl LeaseState {
    /// Whether a write made under `fence` may be carried out now. Gives back the lease it belongs to.
    pub fn admits(&self, fence: u64, now_ms: u64) -> Option<&Lease> {
        self.lease.as_ref().filter(|lease| lease.fence == fence && !lease.is_expired(now_ms))
    }
}

fn held(lease: Lease, now_ms: u64) -> LeaseRefusal {
    LeaseRefusal::Held { remaining_ms: lease.remaining_ms(now_ms), lease: Box::new(lease) }
}

#[expect(clippy::cast_precision_loss, reason = "for a person to read")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const TERM: u64 = 3;

    fn holder(name: &str) -> HolderId {
        HolderId::new(name).unwrap()
    }

    fn acquire(name: &str, seat: Option<&str>) -> LeaseRequest {
        LeaseRequest::Acquire {
            holder: holder(name),
            purpose: "test".into(),
            seat: seat.map(str::to_owned),
            term_ms: TERM,
        }
    }

    /// Every request that two holders could make of a state, right and wrong fences included.
    fn requests(state: &LeaseState) -> Vec<LeaseRequest> {
        let mut all = vec![LeaseRequest::DropExpired];
        for name in ["a", "b"] {
            all.push(acquire(name, None));
            for fence in state.fence.saturating_sub(1)..=state.fence + 1 {
                all.push(LeaseRequest::Renew { holder: holder(name), fence });
                all.push(LeaseRequest::Release { holder: holder(name), fence });
            }
        }
        all
    }

    /// Walks every sequence of requests and clock steps up to a depth, each state once, and calls `check` with
    /// (before, request, now, decision).
    fn explore(
        clock_steps: &[i64],
        depth: u32,
        mut check: impl FnMut(&LeaseState, &LeaseRequest, u64, &LeaseDecision),
    ) {
        let mut open: BTreeSet<(u64, String)> = BTreeSet::new();
        let key = |now: u64, state: &LeaseState| (now, serde_json::to_string(state).unwrap());
        open.insert(key(100, &LeaseState::default()));
        let mut seen = open.clone();
        for _ in 0..depth {
            let mut next = BTreeSet::new();
            for (now, text) in &open {
                let state: LeaseState = serde_json::from_str(text).unwrap();
                for step in clock_steps {
                    let now = now.saturating_add_signed(*step);
                    for request in requests(&state) {
                        let decision = decide(&state, &request, now);
                        check(&state, &request, now, &decision);
                        let key = key(now, &decision.state);
                        if seen.insert(key.clone()) {
                            next.insert(key);
                        }
                    }
                }
            }
            open = next;
        }
        assert!(seen.len() > 500, "only {} states were seen", seen.len());
    }

    #[test]
    fn a_lease_changes_hands_only_when_it_has_ended_and_then_the_fence_grows() {
        explore(&[0, 1, 2, -2, 50], 6, |before, request, now, decision| {
            let after = &decision.state;
            assert!(after.fence >= before.fence, "the fence only grows");
            if let Some(lease) = &after.lease {
                assert_eq!(lease.fence, after.fence, "the last fence given is the lease's");
                assert!(
                    lease.expires_at_ms <= now + TERM,
                    "no lease lasts longer than a term from a look at it"
                );
            }
            let (Some(old), Some(new)) = (&before.lease, &after.lease) else { return };
            if old.holder != new.holder {
                assert!(new.fence > old.fence, "{request:?}");
                assert!(old.is_expired(now), "{old:?} went to {new:?} at {now}");
            }
            if old.is_expired(now) && decision.answer.as_ref().is_ok_and(Option::is_some) {
                assert!(new.fence > old.fence, "after expiry even the same holder gets a new fence");
            }
            if old.holder == new.holder && !old.is_expired(now) {
                assert_eq!(old.fence, new.fence, "{request:?}");
            }
        });
    }

    #[test]
    fn only_the_holder_renews_and_releases_and_only_what_has_expired_is_dropped() {
        explore(&[0, 1, 2, -1], 6, |before, request, now, decision| {
            let unexpired = before.lease.as_ref().filter(|lease| !lease.is_expired(now));
            let granted = decision.answer.is_ok();
            match request {
                LeaseRequest::Renew { holder, fence } => {
                    let own = unexpired.is_some_and(|old| old.holder == *holder && old.fence == *fence);
                    assert_eq!(granted, own);
                }
                LeaseRequest::Release { holder, fence } => {
                    let own =
                        before.lease.as_ref().is_some_and(|old| old.holder == *holder && old.fence == *fence);
                    assert_eq!(granted, own);
                }
                LeaseRequest::DropExpired => assert_eq!(granted, unexpired.is_none()),
                LeaseRequest::Acquire { holder, .. } => {
                    assert_eq!(granted, unexpired.is_none_or(|old| old.holder == *holder));
                }
            }
            if let Err(LeaseRefusal::Held { lease, remaining_ms }) = &decision.answer {
                assert_eq!(Some(&lease.holder), unexpired.map(|old| &old.holder), "it says who has it");
                assert!(*remaining_ms > 0 && *remaining_ms <= TERM, "and for how long");
            }
        });
    }

    /// Holders count a term from before they asked, on clocks that never go back. As long as the store's clock does not
    /// run ahead of theirs, no two ever believe at once that they hold the lease, however often it goes back.
    #[test]
    fn beliefs_of_two_holders_never_overlap_when_the_clock_goes_back() {
        // (real time, store time, state, until when each holder believes)
        let mut open = vec![(0_u64, 100_u64, LeaseState::default(), [0_u64; 2])];
        let mut seen = BTreeSet::new();
        for _ in 0..5 {
            let mut next = Vec::new();
            for (real, store, state, believed) in &open {
                for (elapsed, back) in [(0, 0), (1, 0), (2, 0), (3, 0), (0, 4), (1, 9)] {
                    let (real, store) = (real + elapsed, (store + elapsed).saturating_sub(back));
                    for (index, name) in ["a", "b"].into_iter().enumerate() {
                        let renewal = LeaseRequest::Renew { holder: holder(name), fence: state.fence };
                        for request in [acquire(name, None), renewal] {
                            let decision = decide(state, &request, store);
                            let mut believed = *believed;
                            if decision.answer.is_ok() {
                                assert!(believed[1 - index] <= real, "two holders at {real}: {believed:?}");
                                believed[index] = real + TERM;
                            }
                            let text = serde_json::to_string(&decision.state).unwrap();
                            if seen.insert((real, store, text, believed)) {
                                next.push((real, store, decision.state, believed));
                            }
                        }
                    }
                }
            }
            open = next;
        }
        assert!(seen.len() > 2_000, "only {} states were seen", seen.len());
    }

    #[test]
    fn a_dead_holder_delays_others_for_a_term_at_most_even_if_the_clock_went_back() {
        let granted = decide(&LeaseState::default(), &acquire("a", None), 1_000_000).state;
        let refused = decide(&granted, &acquire("b", None), 50);
        let Err(LeaseRefusal::Held { remaining_ms: TERM, .. }) = refused.answer else {
            panic!("{refused:?}")
        };
        let taken = decide(&refused.state, &acquire("b", None), 50 + TERM);
        assert_eq!(taken.answer.unwrap().unwrap().fence, 2);
    }

    #[test]
    fn whoever_sits_in_the_dead_holders_seat_does_not_wait() {
        let first = decide(&LeaseState::default(), &acquire("a", Some("lock")), 0).state;
        for (seat, expected) in [(Some("lock"), true), (Some("other"), false), (None, false)] {
            let decision = decide(&first, &acquire("b", seat), 1);
            assert_eq!(decision.answer.is_ok(), expected, "{seat:?}");
            assert_eq!(decision.state.admits(1, 1).is_some(), !expected, "the dead holder's fence is void");
        }
        let seatless = decide(&LeaseState::default(), &acquire("a", None), 0).state;
        assert!(decide(&seatless, &acquire("b", None), 1).answer.is_err(), "no seat is no common seat");
    }

    #[test]
    fn writes_are_admitted_under_the_current_unexpired_fence_only() {
        let state = decide(&LeaseState::default(), &acquire("a", None), 10).state;
        for (fence, now, expected) in
            [(1, 10, true), (1, 9, true), (1, 12, true), (1, 13, false), (0, 10, false), (2, 10, false)]
        {
            assert_eq!(state.admits(fence, now).is_some(), expected, "{fence} at {now}");
        }
        assert!(LeaseState::default().admits(0, 0).is_none(), "without a lease nobody writes");
    }
}
