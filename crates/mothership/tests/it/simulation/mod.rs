//! The proof that endpoints are neither lost nor made twice: real motherships on real stores, in a world whose provider,
//! network, clocks and people are simulated and go wrong in every way we could think of. A seed says how.
//!
//! `invariants.rs` is the list of what is promised, and the place to begin. `run.rs` lets one life happen; `scenario.rs`
//! says what happens to machines and people, `faults.rs` what becomes of calls, `network.rs` carries them. A mothership
//! is a `process.rs`; what it calls is `provider.rs` and `store.rs`, which act on the truth in `world.rs` and `realm.rs`.
//!
//! `cargo xtask sim --seed S --trace` shows a life from its beginning to what went wrong.

mod asked;
mod capture;
mod faults;
mod invariants;
mod network;
mod pace;
mod process;
mod provider;
mod random;
mod realm;
mod run;
mod scenario;
mod store;
mod world;

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use self::invariants::Invariant;
use self::realm::{Mutation, Violation};
use self::run::{Trial, run};

/// Lives in the test suite.
const SEEDS: u64 = 2_000;
/// A protection that is off is noticed in so many lives at most.
const MUTANT_SEEDS: u64 = 500;
/// Lines of a failing life's trace that are shown unless all are asked for.
const TRACE_LINES: usize = 80;

/// What many lives came to.
#[derive(Debug, Default)]
struct Sum {
    lives: u64,
    events: u64,
    converged: u64,
    converged_after_ms: u64,
    plans_applied: u64,
    rolled_back: u64,
    refused: u64,
    /// By seed.
    failed: Vec<(u64, Violation)>,
}

/// Runs every seed on all processors, or until one fails.
fn run_all(seeds: Range<u64>, trial: &Trial, until_one_fails: bool) -> Sum {
    let (next, is_over) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let sum = Mutex::new(Sum::default());
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || is_over.load(Ordering::Relaxed) {
                return;
            }
            let outcome = run(seed, trial);
            let mut sum = sum.lock().unwrap();
            sum.lives += 1;
            sum.events += outcome.events;
            sum.plans_applied += outcome.tally.plans_applied;
            sum.rolled_back += outcome.tally.rolled_back;
            sum.refused += outcome.tally.refused;
            if let Some(after_ms) = outcome.converged_after_ms {
                sum.converged += 1;
                sum.converged_after_ms += after_ms;
            }
            if let Some(violation) = outcome.violation {
                sum.failed.push((seed, violation));
                is_over.store(until_one_fails, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(work);
        }
    });
    let mut sum = sum.into_inner().unwrap();
    sum.failed.sort_by_key(|(seed, _)| *seed);
    sum
}

#[test]
fn one_seed_gives_one_life() {
    for seed in 1..=8 {
        let trial = Trial { is_traced: true, ..Trial::default() };
        let (first, second) = (run(seed, &trial), run(seed, &trial));
        assert!(first.trace.len() > 100, "{:?}", first.trace);
        assert_eq!(first.trace, second.trace, "seed {seed}");
    }
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "`cargo xtask sim` says so which lives to run, and how much to show"
)]
fn invariants_hold_whatever_goes_wrong() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (first, count) = match number("FLASH_SIM_SEED") {
        Some(seed) => (seed, number("FLASH_SIM_SEEDS").unwrap_or(1)),
        None => (0, number("FLASH_SIM_SEEDS").unwrap_or(SEEDS)),
    };
    let is_traced = std::env::var_os("FLASH_SIM_TRACE").is_some();
    let started = Instant::now();
    let sum = run_all(first..first + count, &Trial::default(), false);
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{count} seeds in {seconds:.1} s, {:.0} a second; a life has {} events, and is as wanted {:.1} s after trouble ends",
        count as f64 / seconds,
        sum.events / sum.lives.max(1),
        sum.converged_after_ms as f64 / 1000.0 / sum.converged.max(1) as f64,
    );
    let Sum { plans_applied, rolled_back, refused, .. } = &sum;
    println!(
        "{plans_applied} plans were applied exactly, {rolled_back} generations brought back, {refused} refused or lost"
    );
    let shown = match sum.failed.first() {
        Some((seed, _)) => Some(*seed),
        None => (is_traced && count == 1).then_some(first),
    };
    if let Some(seed) = shown {
        let outcome = run(seed, &Trial { is_traced: true, ..Trial::default() });
        let skipped = if is_traced { 0 } else { outcome.trace.len().saturating_sub(TRACE_LINES) };
        for line in outcome.trace.iter().skip(skipped) {
            println!("{line}");
        }
    }
    for (seed, violation) in &sum.failed {
        println!("seed {seed}: {violation}");
    }
    if let Some((seed, violation)) = sum.failed.first() {
        let failed = sum.failed.len();
        panic!(
            "{failed} of {count} seeds failed; `cargo xtask sim --seed {seed} --trace` shows how {violation}"
        );
    }
}

/// A proof that nothing can fail proves nothing. Each protection is switched off, and must be missed: once by whoever
/// looks at it directly, and once, with that eye closed, by what comes of it. Not so fences: what a write under an old one
/// leads to is caught by versions of records and by keys too, so that hardly anything comes of it alone.
#[test]
fn a_protection_that_is_off_is_noticed() {
    let cases = [
        (Mutation::NoWriteAhead, vec![]),
        (Mutation::NoWriteAhead, vec![Invariant::WriteAhead]),
        (Mutation::NoFencing, vec![]),
        (Mutation::TwoValuedExistence, vec![]),
    ];
    for (mutation, ignored) in cases {
        let trial = Trial { mutation: Some(mutation), ignored: ignored.clone(), ..Trial::default() };
        let sum = run_all(0..MUTANT_SEEDS, &trial, true);
        let (seed, violation) = sum.failed.first().unwrap_or_else(|| {
            panic!("{mutation:?} is not noticed in {MUTANT_SEEDS} lives, without {ignored:?}")
        });
        let healthy = run(*seed, &Trial::default()).violation;
        assert_eq!(healthy, None, "seed {seed} says nothing about {mutation:?}: it fails anyway");
        println!("{mutation:?}, without {ignored:?}: seed {seed}: {violation}");
    }
}
