//! What may go wrong in one simulated life, and what becomes of one call.
//!
//! Each life has some kinds of trouble and not others, each at a rate of its own, so that among many lives there are
//! some in which one kind shows what another would hide.

use super::random::Random;

/// After this long whoever asked over the network is told that no answer came. What was asked may still happen.
pub(super) const PROVIDER_TIMEOUT_MS: u64 = 5_000;
pub(super) const STORE_TIMEOUT_MS: u64 = 2_000;

/// Longest time that a request, or its repetition, is on its way: longer than a lease lasts.
pub(super) const LATE_MS_MAX: u64 = 25_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Service {
    Provider,
    Store,
}

impl Service {
    fn timeout_ms(self) -> u64 {
        match self {
            Self::Provider => PROVIDER_TIMEOUT_MS,
            Self::Store => STORE_TIMEOUT_MS,
        }
    }
}

/// Why a call has no answer, as its caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nothing was done.
    Refused,
    /// 429 with `Retry-After`. Nothing was done.
    RateLimited { after_ms: u64 },
    /// It may have been done, or may be done later.
    NoAnswer,
}

/// When the process that calls dies, if this call is its last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crash {
    BeforeRequest,
    AfterRequest,
    AfterEffect,
    /// The answer arrived, and so many polls of its tasks later.
    AfterReply {
        polls: u64,
    },
}

/// What becomes of one call. Times are from when it was made.
#[derive(Debug, Clone)]
pub(super) struct Fate {
    /// None: the request is lost.
    pub(super) arrives_ms: Option<u64>,
    /// The request arrives a second time.
    pub(super) repeated_ms: Option<u64>,
    /// Answered so instead of carried out.
    pub(super) refused: Option<Trouble>,
    /// When the caller hears, if it ever does, and whether it hears the truth.
    pub(super) heard_ms: u64,
    pub(super) is_heard: bool,
    pub(super) truth_is_heard: bool,
    pub(super) crash: Option<Crash>,
}

/// Rates are per thousand calls.
#[derive(Debug, Clone, Default)]
pub(super) struct Rates {
    pub(super) refused: u64,
    pub(super) rate_limited: u64,
    pub(super) lost: u64,
    pub(super) reply_lost: u64,
    pub(super) repeated: u64,
    pub(super) late: u64,
    /// Neither answer nor error: the caller waits for as long as it likes.
    pub(super) silent: u64,
    pub(super) crash: u64,
}

/// The kinds of trouble of one life.
#[derive(Debug, Clone)]
pub(super) struct Faults {
    pub(super) provider: Rates,
    pub(super) store: Rates,
    /// Longest way of a request or reply, one way.
    pub(super) delay_ms_max: u64,
    /// Listings: how far they may lag behind, how often something is missing, how often they fail.
    pub(super) listing_lag_ms_max: u64,
    pub(super) listing_partial: u64,
    pub(super) listing_failed: u64,
    pub(super) find_unknown: u64,
    /// How often somebody does something (per thousand, each second).
    pub(super) pauses: u64,
    pub(super) crashes: u64,
    pub(super) stops: u64,
    pub(super) tampering: u64,
    pub(super) losses: u64,
    pub(super) deaths: u64,
    pub(super) sickness: u64,
    pub(super) outages: u64,
    pub(super) clock_jumps: u64,
    pub(super) deploys: u64,
    /// Somebody has exactly a plan applied, or an earlier generation brought back.
    pub(super) plans: u64,
    pub(super) rollbacks: u64,
}

impl Faults {
    pub(super) fn none() -> Self {
        Self {
            provider: Rates::default(),
            store: Rates::default(),
            delay_ms_max: 3,
            listing_lag_ms_max: 0,
            listing_partial: 0,
            listing_failed: 0,
            find_unknown: 0,
            pauses: 0,
            crashes: 0,
            stops: 0,
            tampering: 0,
            losses: 0,
            deaths: 0,
            sickness: 0,
            outages: 0,
            clock_jumps: 0,
            deploys: 0,
            plans: 0,
            rollbacks: 0,
        }
    }

    /// Half of the kinds, each now and then or often.
    pub(super) fn drawn(random: &mut Random) -> Self {
        let mut rate = |rarely: u64, often: u64| match random.index(4) {
            0 => often,
            1 => rarely,
            _ => 0,
        };
        let mut rates = || Rates {
            refused: rate(20, 150),
            rate_limited: rate(20, 150),
            lost: rate(10, 80),
            reply_lost: rate(10, 80),
            repeated: rate(10, 80),
            late: rate(10, 80),
            silent: rate(5, 30),
            crash: rate(2, 20),
        };
        let (provider, store) = (rates(), rates());
        Self {
            provider,
            store: Rates { rate_limited: 0, silent: 0, ..store },
            delay_ms_max: [3, 30, 200][rate(1, 2) as usize],
            listing_lag_ms_max: rate(1_000, 15_000),
            listing_partial: rate(50, 400),
            listing_failed: rate(50, 300),
            find_unknown: rate(50, 300),
            pauses: rate(10, 60),
            crashes: rate(20, 100),
            stops: rate(5, 30),
            tampering: rate(20, 150),
            losses: rate(20, 100),
            deaths: rate(20, 100),
            sickness: rate(30, 200),
            outages: rate(10, 50),
            clock_jumps: rate(30, 200),
            deploys: rate(60, 250).max(20),
            plans: rate(40, 200),
            rollbacks: rate(30, 120),
        }
    }

    pub(super) fn fate(&self, service: Service, random: &mut Random) -> Fate {
        let rates = match service {
            Service::Provider => &self.provider,
            Service::Store => &self.store,
        };
        let timeout_ms = service.timeout_ms();
        let way = |random: &mut Random| random.between(0..=self.delay_ms_max);
        let late = random.chance(rates.late);
        let there_ms = if late { random.between(0..=LATE_MS_MAX) } else { way(random) };
        let back_ms =
            if random.chance(rates.late) { random.between(0..=2 * timeout_ms) } else { way(random) };
        let arrives_ms = (!random.chance(rates.lost)).then_some(there_ms);
        let repeated_ms = random.chance(rates.repeated).then(|| there_ms + random.between(0..=LATE_MS_MAX));
        let refused = if random.chance(rates.refused) {
            Some(Trouble::Refused)
        } else if random.chance(rates.rate_limited) {
            Some(Trouble::RateLimited { after_ms: random.between(200..=5_000) })
        } else {
            None
        };
        let reply_lost = arrives_ms.is_none() || random.chance(rates.reply_lost);
        let answer_ms = there_ms + back_ms;
        let is_heard = !random.chance(rates.silent);
        let truth_is_heard = is_heard && !reply_lost && answer_ms < timeout_ms;
        // A broken connection is noticed at once, a lost packet when the time is up.
        let noticed_ms = if random.chance(500) { answer_ms.min(timeout_ms) } else { timeout_ms };
        let heard_ms = if truth_is_heard { answer_ms } else { noticed_ms };
        let crash = random.chance(rates.crash).then(|| match random.index(4) {
            0 => Crash::BeforeRequest,
            1 => Crash::AfterRequest,
            2 => Crash::AfterEffect,
            _ => Crash::AfterReply { polls: random.between(0..=30) },
        });
        Fate { arrives_ms, repeated_ms, refused, heard_ms, is_heard, truth_is_heard, crash }
    }
}
