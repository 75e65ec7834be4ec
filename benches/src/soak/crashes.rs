//! What is killed and stopped, and when.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::process::Signal;

use super::place::Place;
use super::shadow::{Reach, Shadow};
use crate::process::{Process, signal};
use crate::random::Random;

const PERIOD: Duration = Duration::from_secs(5);
/// Gateways and motherships are killed in the first part of the time: whether they grow shows in those that live on.
const EARLY_SHARE: f64 = 0.4;
const MOTHERSHIP_AT: [f64; 2] = [0.2, EARLY_SHARE];
/// Of crashes in the early part, every so many one is of a gateway.
const GATEWAY_EVERY: usize = 12;
/// Of other crashes, every so many one stops a worker instead of killing it.
const STOP_EVERY: usize = 4;
/// How long what fails is a crash's doing. A stopped worker is ended at its calls' time limit of 5 s; a gateway is missed when it
/// has not answered for some seconds, and then started again.
const WORKER_SHADOW: Duration = Duration::from_secs(2);
const STOP_SHADOW: Duration = Duration::from_secs(8);
const GATEWAY_SHADOW: Duration = Duration::from_secs(9);
/// A worker that was stopped for good has to be gone by then.
const STOPPED_MAX: Duration = Duration::from_secs(20);

const BACK_MAX: Duration = Duration::from_secs(30);
const LOOK_PERIOD: Duration = Duration::from_millis(20);

#[derive(Debug, Default)]
pub(super) struct Crashes {
    pub(super) workers: usize,
    pub(super) stopped_a_while: usize,
    pub(super) stopped_for_good: usize,
    pub(super) gateways: usize,
    pub(super) motherships: usize,
    /// From SIGKILL until another process announces the endpoint, and until a mothership knows all endpoints again.
    pub(super) gateway_seconds: Vec<f64>,
    pub(super) mothership_seconds: Vec<f64>,
    /// Stopped for good, and still there long after.
    pub(super) still_there: usize,
}

pub(super) async fn go_on(
    place: Place,
    shadow: Arc<Shadow>,
    seed: u64,
    begun: Instant,
    time: Duration,
) -> Result<Crashes> {
    let mut crasher = Crasher { place, shadow, random: Random::new(seed), counted: Crashes::default() };
    let count = (time.as_secs_f64() / PERIOD.as_secs_f64()) as usize;
    let mothership_at = MOTHERSHIP_AT.map(|share| (count as f64 * share) as usize);
    let early = (count as f64 * EARLY_SHARE) as usize;
    let mut stopped: Vec<(Process, Instant)> = Vec::new();
    for number in 1..count {
        tokio::time::sleep_until((begun + PERIOD * number as u32).into()).await;
        crasher.check(&mut stopped);
        if mothership_at.contains(&number) {
            crasher.kill_mothership().await?;
        } else if number < early && number % GATEWAY_EVERY == GATEWAY_EVERY / 2 {
            crasher.kill_gateway().await;
        } else if number.is_multiple_of(STOP_EVERY) {
            stopped.extend(crasher.stop_worker().await);
        } else {
            crasher.kill_worker();
        }
    }
    if let Some((_, last)) = stopped.last() {
        tokio::time::sleep_until((*last + STOPPED_MAX).into()).await;
        crasher.check(&mut stopped);
    }
    Ok(crasher.counted)
}

struct Crasher {
    place: Place,
    shadow: Arc<Shadow>,
    random: Random,
    counted: Crashes,
}

impl Crasher {
    fn check(&mut self, stopped: &mut Vec<(Process, Instant)>) {
        stopped.retain(|(process, since)| {
            let is_late = since.elapsed() >= STOPPED_MAX;
            if is_late && process.is_alive() {
                self.counted.still_there += 1;
                eprintln!("soak: process {} was stopped {STOPPED_MAX:?} ago and is still there", process.id);
                signal(process.id, Signal::KILL);
            }
            !is_late
        });
    }

    /// Of any endpoint: a worker, or what workers are forked from.
    fn worker(&mut self) -> Option<Process> {
        let gateways: Vec<Process> = self.place.gateways().into_values().collect();
        let workers = Process::below(self.random.pick(&gateways)?.id);
        self.random.pick(&workers).cloned()
    }

    fn kill_worker(&mut self) {
        let Some(worker) = self.worker() else { return };
        self.shadow.cast(Reach::Worker, WORKER_SHADOW);
        signal(worker.id, Signal::KILL);
        self.counted.workers += 1;
    }

    /// The one that stays stopped.
    async fn stop_worker(&mut self) -> Option<(Process, Instant)> {
        let worker = self.worker()?;
        self.shadow.cast(Reach::Worker, STOP_SHADOW);
        self.place.note();
        signal(worker.id, Signal::STOP);
        if self.random.below(2) == 0 {
            self.counted.stopped_for_good += 1;
            return Some((worker, Instant::now()));
        }
        tokio::time::sleep(Duration::from_millis(500 + self.random.below(2_000) as u64)).await;
        if worker.is_alive() {
            signal(worker.id, Signal::CONT);
        }
        self.counted.stopped_a_while += 1;
        None
    }

    async fn kill_gateway(&mut self) {
        let gateways: Vec<(String, Process)> = self.place.gateways().into_iter().collect();
        self.place.note();
        let Some((resource, gateway)) = self.random.pick(&gateways) else { return };
        self.shadow.cast(Reach::Gateway, GATEWAY_SHADOW);
        let killed = Instant::now();
        signal(gateway.id, Signal::KILL);
        self.counted.gateways += 1;
        while killed.elapsed() < BACK_MAX {
            if self.place.gateways().get(resource).is_some_and(|next| next != gateway) {
                self.counted.gateway_seconds.push(killed.elapsed().as_secs_f64());
                return;
            }
            tokio::time::sleep(LOOK_PERIOD).await;
        }
        eprintln!("soak: the gateway of {resource} was killed {BACK_MAX:?} ago and is not back");
    }

    async fn kill_mothership(&mut self) -> Result<()> {
        self.place.note();
        self.shadow.cast(Reach::Gateway, GATEWAY_SHADOW);
        self.place.crash_mothership()?;
        self.counted.motherships += 1;
        let killed = Instant::now();
        self.place.until_mothership_is_ready().await?;
        self.counted.mothership_seconds.push(killed.elapsed().as_secs_f64());
        Ok(())
    }
}
