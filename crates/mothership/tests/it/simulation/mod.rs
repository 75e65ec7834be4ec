//! The proof that endpoints are neither lost nor made twice: real motherships, real stores, and a world, a network and
//! clocks that are simulated and go wrong in every way we could think of, by a seed.
//!
//! `run.rs` lets one life happen; `scenario.rs` says what happens to machines and people, `faults.rs` what happens to
//! calls, `network.rs` carries them. `world.rs`, `provider.rs` and `store.rs` are what is called. `invariants.rs` is the
//! list of what is promised, and the place to begin.

mod capture;
mod faults;
mod invariants;
mod network;
mod process;
mod provider;
mod random;
mod realm;
mod run;
mod scenario;
mod store;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use self::run::{Plan, run};

const SEEDS: u64 = 50;

#[test]
fn one_seed_gives_one_life() {
    for seed in [1, 2, 3] {
        let plan = Plan { is_traced: true, ..Plan::default() };
        let (first, second) = (run(seed, &plan), run(seed, &plan));
        assert!(first.trace.len() > 100, "{:?}", first.trace);
        assert_eq!(first.trace, second.trace, "seed {seed}");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "`cargo xtask sim` says so which seeds to run")]
fn invariants_hold_whatever_goes_wrong() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (first, count) = match number("FLASH_SIM_SEED") {
        Some(seed) => (seed, number("FLASH_SIM_SEEDS").unwrap_or(1)),
        None => (0, number("FLASH_SIM_SEEDS").unwrap_or(SEEDS)),
    };
    let started = Instant::now();
    let next = AtomicU64::new(first);
    let events = AtomicU64::new(0);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut failed: Vec<(u64, String)> = std::thread::scope(|scope| {
        let work = || {
            let mut failed = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= first + count {
                    return failed;
                }
                let outcome = run(seed, &Plan::default());
                events.fetch_add(outcome.events, Ordering::Relaxed);
                if let Some(violation) = outcome.violation {
                    failed.push((seed, violation.to_string()));
                }
            }
        };
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    failed.sort();
    let seconds = started.elapsed().as_secs_f64();
    eprintln!(
        "{count} seeds in {seconds:.1} s, {:.0} a second, {} events a seed",
        count as f64 / seconds,
        events.into_inner() / count
    );
    if let Some((seed, _)) = failed.first() {
        let is_traced = std::env::var_os("FLASH_SIM_TRACE").is_some();
        let outcome = run(*seed, &Plan { is_traced: true, ..Plan::default() });
        let lines = if is_traced { usize::MAX } else { 60 };
        let skipped = outcome.trace.len().saturating_sub(lines);
        for line in outcome.trace.iter().skip(skipped) {
            eprintln!("{line}");
        }
    }
    for (seed, violation) in &failed {
        eprintln!("seed {seed}: {violation}");
    }
    assert!(
        failed.is_empty(),
        "{} of {count} seeds failed; `cargo xtask sim --seed {} --trace` shows the first",
        failed.len(),
        failed[0].0
    );
}
