//! Which worker gets the next call, when to start one, when to stop one. Pure: the time is told, nothing is done.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flash_model::wire::{RemoteException, WorkerCounts};
use flash_model::{ResourceSpec, Scaler, ScalerType};

/// Calls that may wait for a worker at the same time.
pub(crate) const DOOR_CALLS_MAX: usize = 1024;
/// What the bodies of calls that wait may hold of memory together.
pub(crate) const DOOR_BYTES_MAX: usize = 256 * 1024 * 1024;
/// The least delay that is a reason to start another worker where some run.
const QUEUE_DELAY_MIN: Duration = Duration::from_millis(100);
const RESTART_DELAY_MIN: Duration = Duration::from_secs(1);
const RESTART_DELAY_MAX: Duration = Duration::from_secs(30);
/// A worker that ends in its first call counts against the code only if it does so this soon after READY,
const QUICK_CRASH: Duration = Duration::from_secs(5);
/// and only after this many in a row: one bad call is not a reason to let others wait.
const QUICK_CRASHES_FREE: u32 = 3;
/// Of code that a worker has loaded before this many starts in a row may fail before calls are refused: a start can be killed, as a
/// call can.
const FAILED_STARTS_FREE: u32 = 1;
/// An idle time-out of 0 would stop a worker between two calls of one client.
const IDLE_TIMEOUT_MIN: Duration = Duration::from_secs(1);
/// For free GPUs, of a worker without which there would be none.
const GPU_PATIENCE: Duration = Duration::from_secs(10);

pub(crate) type WorkerId = u32;
pub(crate) type Ticket = u64;
pub(crate) type Failure = Arc<RemoteException>;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) workers_min: usize,
    pub(crate) workers_max: usize,
    pub(crate) concurrency: u32,
    /// Plain functions among them; more wait in the worker.
    pub(crate) sync_threads: u32,
    pub(crate) idle_timeout: Duration,
    pub(crate) scaler: Scaler,
    /// Calls after which a worker is followed by a new one.
    pub(crate) calls_max: Option<u64>,
}

impl Limits {
    pub(crate) fn of(spec: &ResourceSpec, calls_max: Option<u64>, sync_threads: NonZeroU32) -> Self {
        let workers_max = spec.workers_max.max(1) as usize;
        Self {
            workers_min: (spec.workers_min as usize).min(workers_max),
            workers_max,
            concurrency: spec.max_concurrency.max(1),
            sync_threads: sync_threads.get(),
            idle_timeout: Duration::from_secs(spec.idle_timeout.into()).max(IDLE_TIMEOUT_MIN),
            scaler: spec.scaler,
            calls_max,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Ready,
    Stopping,
}

#[derive(Debug)]
struct Worker {
    phase: Phase,
    in_flight: u32,
    in_flight_sync: u32,
    idle_since: Instant,
    ready_since: Option<Instant>,
    /// That it was given.
    calls: u64,
    has_answered: bool,
    /// Gets no more calls, and goes when it has answered those that it has.
    is_worn: bool,
    /// Waits for GPUs before it starts.
    is_throttled: bool,
}

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    sync: bool,
    /// Of its body, which is kept for it.
    size_bytes: usize,
    since: Instant,
}

/// What to do with a call that has come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    Worker(WorkerId),
    Wait(Ticket),
    /// The code cannot be loaded; the next try is not before the given time has passed.
    Failed(Failure, Duration),
    DoorFull,
    DoorFullOfBytes,
    Draining,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Spawn(WorkerId),
    Stop(WorkerId),
}

/// What becomes of a worker for which too few GPUs are free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shortage {
    Wait,
    /// It uses some that others use.
    Share,
    Leave,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Health {
    Healthy,
    Starting,
    Failed(Failure),
}

#[derive(Debug)]
pub(crate) struct State {
    limits: Limits,
    workers: BTreeMap<WorkerId, Worker>,
    door: VecDeque<Waiting>,
    next_worker: WorkerId,
    next_ticket: Ticket,
    /// Workers in a row that ended by themselves, early and without having answered a call.
    streak: u32,
    restart_at: Option<Instant>,
    failure: Option<Failure>,
    has_loaded: bool,
    /// Calls that wait elsewhere and will come to the door when there is room.
    backlog: u64,
    draining: bool,
}

impl State {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            workers: BTreeMap::new(),
            door: VecDeque::new(),
            next_worker: 1,
            next_ticket: 1,
            streak: 0,
            restart_at: None,
            failure: None,
            has_loaded: false,
            backlog: 0,
            draining: false,
        }
    }

    /// A call has come, with a body of that size. `sync` calls also need a thread on which a worker runs plain functions.
    pub(crate) fn admit(&mut self, sync: bool, size_bytes: usize, now: Instant) -> Placement {
        if self.draining {
            return Placement::Draining;
        }
        if let Some(id) = self.take_slot(sync) {
            return Placement::Worker(id);
        }
        if let (Some(failure), Some(at)) = (&self.failure, self.restart_at)
            && self.count(Phase::Ready) == 0
            && at > now
        {
            return Placement::Failed(Arc::clone(failure), at - now);
        }
        if self.door.len() >= DOOR_CALLS_MAX {
            return Placement::DoorFull;
        }
        let waiting_bytes: usize = self.door.iter().map(|waiting| waiting.size_bytes).sum();
        if waiting_bytes + size_bytes > DOOR_BYTES_MAX {
            return Placement::DoorFullOfBytes;
        }
        let ticket = self.next_ticket;
        self.next_ticket += 1;
        self.door.push_back(Waiting { ticket, sync, size_bytes, since: now });
        Placement::Wait(ticket)
    }

    /// A slot if one is free now.
    pub(crate) fn try_admit(&mut self, sync: bool) -> Option<WorkerId> {
        if self.draining { None } else { self.take_slot(sync) }
    }

    /// Gives a free slot to the first waiting call that fits one.
    pub(crate) fn seat(&mut self) -> Option<(Ticket, WorkerId, bool)> {
        for index in 0..self.door.len() {
            if let Some(id) = self.take_slot(self.door[index].sync) {
                let waiting = self.door.remove(index)?;
                return Some((waiting.ticket, id, waiting.sync));
            }
        }
        None
    }

    /// A waiting call gave up.
    pub(crate) fn leave(&mut self, ticket: Ticket) {
        self.door.retain(|waiting| waiting.ticket != ticket);
    }

    /// A call was answered, or its worker is gone.
    pub(crate) fn release(&mut self, id: WorkerId, sync: bool, now: Instant) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.in_flight = worker.in_flight.saturating_sub(1);
            worker.in_flight_sync = worker.in_flight_sync.saturating_sub(u32::from(sync));
            worker.has_answered = true;
            worker.idle_since = now;
        }
    }

    pub(crate) fn ready(&mut self, id: WorkerId, now: Instant) {
        if let Some(worker) = self.workers.get_mut(&id) {
            if worker.phase == Phase::Starting {
                worker.phase = Phase::Ready;
            }
            worker.ready_since = Some(now);
            worker.idle_since = now;
            self.failure = None;
            self.has_loaded = true;
        }
    }

    /// Too few GPUs are free for a worker that is to start, and it has waited for so long. The first one of all does not wait:
    /// what it is to replace may have them until it is healthy.
    pub(crate) fn short_of_gpus(&mut self, id: WorkerId, waited: Duration) -> Shortage {
        if self.draining {
            return Shortage::Leave;
        }
        let patience = if self.has_loaded { GPU_PATIENCE } else { Duration::ZERO };
        if self.count(Phase::Ready) == 0 && waited >= patience {
            return Shortage::Share;
        }
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.is_throttled = true;
        }
        Shortage::Wait
    }

    /// It waits for GPUs no longer.
    pub(crate) fn has_gpus(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.is_throttled = false;
        }
    }

    pub(crate) fn set_backlog(&mut self, calls: u64) {
        self.backlog = calls;
    }

    /// It has become too large, say, and is to be followed by a new one.
    pub(crate) fn wear_out(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.is_worn = true;
        }
    }

    /// A worker is ended because we want it so, whatever it was doing.
    pub(crate) fn stopping(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.phase = Phase::Stopping;
        }
    }

    pub(crate) fn is_stopping(&self, id: WorkerId) -> bool {
        self.draining || self.workers.get(&id).is_some_and(|worker| worker.phase == Phase::Stopping)
    }

    /// A worker is gone. `failure` says why it could not load the code, if it had not come to READY.
    /// Gives the waiting calls that have nothing left to wait for.
    pub(crate) fn exited(&mut self, id: WorkerId, failure: Option<Failure>, now: Instant) -> Vec<Ticket> {
        let Some(worker) = self.workers.remove(&id) else { return Vec::new() };
        let is_quick = worker.ready_since.is_some_and(|since| now < since + QUICK_CRASH);
        match worker.phase {
            Phase::Ready | Phase::Stopping if worker.has_answered => self.end_streak(),
            // We wanted it to end: that says nothing.
            Phase::Stopping => {}
            Phase::Starting if self.has_loaded => self.extend_streak(FAILED_STARTS_FREE, now),
            Phase::Starting => self.extend_streak(0, now),
            Phase::Ready if worker.calls == 0 => self.extend_streak(1, now),
            Phase::Ready if is_quick => self.extend_streak(QUICK_CRASHES_FREE, now),
            Phase::Ready => self.end_streak(),
        }
        let is_excused = self.has_loaded && self.streak <= FAILED_STARTS_FREE;
        if let Some(failure) = failure.filter(|_| !is_excused) {
            self.failure = Some(failure);
            if self.count(Phase::Ready) == 0 {
                return self.door.drain(..).map(|waiting| waiting.ticket).collect();
            }
        }
        Vec::new()
    }

    fn end_streak(&mut self) {
        (self.streak, self.restart_at) = (0, None);
    }

    /// The first `free` ends in a row are followed by a new worker at once.
    fn extend_streak(&mut self, free: u32, now: Instant) {
        self.streak += 1;
        let doublings = self.streak.checked_sub(free + 1);
        self.restart_at =
            doublings.map(|n| now + RESTART_DELAY_MIN.saturating_mul(1 << n.min(8)).min(RESTART_DELAY_MAX));
    }

    /// What should be done now. Workers it names are counted as starting or stopping from here on.
    pub(crate) fn decide(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.draining {
            return actions;
        }
        let may_spawn = self.restart_at.is_none_or(|at| at <= now);
        let wanted = self.wanted(now);
        while may_spawn && self.active() < wanted {
            actions.push(Action::Spawn(self.add_worker(now)));
        }
        let mut spare = self.active().saturating_sub(wanted);
        for (id, worker) in self.workers.iter_mut().filter(|(_, worker)| worker.is_worn && worker.is_idle()) {
            worker.phase = Phase::Stopping;
            actions.push(Action::Stop(*id));
        }
        for (id, worker) in self.workers.iter_mut().rev() {
            if spare > 0 && worker.is_idle() && now >= worker.idle_since + self.limits.idle_timeout {
                worker.phase = Phase::Stopping;
                spare -= 1;
                actions.push(Action::Stop(*id));
            }
        }
        actions
    }

    /// When [`Self::decide`] may come to another conclusion without anything having happened.
    pub(crate) fn next_decision(&self, now: Instant) -> Option<Instant> {
        if self.draining {
            return None;
        }
        let restart = self.restart_at.filter(|at| *at > now);
        let grow = self.door.front().filter(|_| self.may_grow()).map(|first| first.since + self.patience());
        let grow = grow.map(|at| restart.map_or(at, |restart| at.max(restart)));
        let restart = restart.filter(|_| self.active() < self.wanted(now));
        let idle = (self.active() > self.wanted(now)).then(|| {
            let idle = self.workers.values().filter(|worker| worker.is_idle());
            // One that becomes idle from now on cannot be due before this, so nobody needs to tell.
            idle.map(|worker| worker.idle_since).min().unwrap_or(now) + self.limits.idle_timeout
        });
        [restart, grow, idle].into_iter().flatten().min()
    }

    /// No new calls, no new workers; gives those to stop.
    pub(crate) fn drain(&mut self) -> (Vec<WorkerId>, Vec<Ticket>) {
        self.draining = true;
        let tickets = self.door.drain(..).map(|waiting| waiting.ticket).collect();
        (self.workers.keys().copied().collect(), tickets)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining
    }

    pub(crate) fn health(&self) -> Health {
        match &self.failure {
            _ if self.count(Phase::Ready) > 0 => Health::Healthy,
            Some(failure) => Health::Failed(Arc::clone(failure)),
            None if self.has_loaded => Health::Healthy,
            None => Health::Starting,
        }
    }

    pub(crate) fn counts(&self) -> WorkerCounts {
        let ready = self.count(Phase::Ready);
        let idle = self.workers.values().filter(|worker| worker.is_idle()).count() as u32;
        let throttled = self.workers.values().filter(|worker| worker.is_throttled).count() as u32;
        WorkerCounts {
            idle,
            initializing: self.count(Phase::Starting) - throttled,
            ready,
            running: ready - idle,
            throttled,
            unhealthy: u32::from(self.failure.is_some() && ready == 0),
        }
    }

    /// How many workers there should be, those that stop not counted.
    fn wanted(&self, now: Instant) -> usize {
        // At boot one is started whatever the minimum: only so a broken import shows at once.
        let floor = if self.has_loaded { self.limits.workers_min } else { self.limits.workers_min.max(1) };
        let by_load = match self.limits.scaler.scaler_type {
            ScalerType::RequestCount => self.load().div_ceil(self.limits.scaler.value.max(1).into()) as usize,
            ScalerType::QueueDelay => match self.door.front() {
                Some(first) if self.may_grow() && now >= first.since + self.patience() => self.active() + 1,
                _ => 0,
            },
        };
        let by_door = usize::from(!self.door.is_empty());
        floor.max(by_door).max(by_load).min(self.limits.workers_max.max(floor))
    }

    /// How long a call waits for a worker that is there before another one is started.
    fn patience(&self) -> Duration {
        Duration::from_secs(self.limits.scaler.value.into()).max(QUEUE_DELAY_MIN)
    }

    /// Calls that are run or wait to be.
    fn load(&self) -> u64 {
        let running: u32 = self.workers.values().map(|worker| worker.in_flight).sum();
        u64::from(running) + self.door.len() as u64 + self.backlog
    }

    /// One at a time: a worker on its way may be all that is needed.
    fn may_grow(&self) -> bool {
        let active = self.active();
        self.limits.scaler.scaler_type == ScalerType::QueueDelay
            && active > 0
            && active < self.limits.workers_max
            && self.count(Phase::Starting) == 0
    }

    fn take_slot(&mut self, sync: bool) -> Option<WorkerId> {
        let can_start_more = self.active() < self.limits.workers_max;
        let concurrency = self.limits.concurrency;
        let (id, worker) = self
            .workers
            .iter_mut()
            .filter(|(_, worker)| worker.takes_calls() && worker.in_flight < concurrency)
            .min_by_key(|(_, worker)| (if sync { worker.in_flight_sync } else { 0 }, worker.in_flight))?;
        // Behind other plain functions only where no worker can be added that would run it now.
        if sync && worker.in_flight_sync >= self.limits.sync_threads && can_start_more {
            return None;
        }
        worker.calls += 1;
        worker.is_worn |= self.limits.calls_max.is_some_and(|max| worker.calls >= max);
        worker.in_flight += 1;
        worker.in_flight_sync += u32::from(sync);
        Some(*id)
    }

    fn add_worker(&mut self, now: Instant) -> WorkerId {
        let id = self.next_worker;
        self.next_worker += 1;
        self.workers.insert(
            id,
            Worker {
                phase: Phase::Starting,
                in_flight: 0,
                in_flight_sync: 0,
                idle_since: now,
                ready_since: None,
                calls: 0,
                has_answered: false,
                is_worn: false,
                is_throttled: false,
            },
        );
        id
    }

    fn active(&self) -> usize {
        self.workers.values().filter(|worker| worker.phase != Phase::Stopping && !worker.is_worn).count()
    }

    fn count(&self, phase: Phase) -> u32 {
        self.workers.values().filter(|worker| worker.phase == phase).count() as u32
    }
}

impl Worker {
    fn takes_calls(&self) -> bool {
        self.phase == Phase::Ready && !self.is_worn
    }

    fn is_idle(&self) -> bool {
        self.phase == Phase::Ready && self.in_flight == 0
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "state_properties.rs"]
mod properties;
