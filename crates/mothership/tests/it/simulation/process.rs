//! One mothership as a process: a runtime of its own, whose clock stands unless we let it run. So it can die between any
//! two polls, taking all of its tasks with it, and it can be stopped for a while, as by SIGSTOP, and wake up late.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use flash_model::*;
use flash_mothership::store::Clock;
use flash_mothership::{
    Desired, Environment, Event, Handle, Jitter, LeaseSettings, Mothership, ReconcileSettings, Served,
};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::asked::{self, Answer, Wanted};
use super::network::{Life, Line, Network};
use super::pace::Pace;
use super::provider::SimulatedProvider;
use super::realm::EPOCH_MS;
use super::scenario::{Ending, Setting};
use super::store::SimulatedStore;

/// Shorter than usual, so that lives are.
const PERIOD: Duration = Duration::from_secs(10);
/// A mothership that cannot start, because it cannot reach the store, tries again.
const START_PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Process {
    pub(super) life: Life,
    running: Option<Running>,
    /// Its machine's clock, as far as it is wrong.
    offset_ms: Arc<AtomicI64>,
}

#[derive(Debug)]
struct Running {
    runtime: Runtime,
    line: Line,
    /// Until when it has run.
    clock_ms: u64,
    is_paused: bool,
    polls_left: Option<u64>,
    shared: Arc<Shared>,
    changes: watch::Sender<u64>,
    events: Option<broadcast::Receiver<Event>>,
    served: Option<Arc<Served>>,
    /// Calls in the second that began then.
    calls: u64,
    calls_since_ms: u64,
}

/// Between the process's main task and us.
#[derive(Debug, Default)]
struct Shared {
    /// What the user wanted when it was last told.
    desired: Mutex<Option<Arc<Desired>>>,
    handle: Mutex<Option<Handle>>,
    stop: Notify,
    leaves: AtomicBool,
    has_ended: AtomicBool,
    /// Nobody asks for anything any more.
    is_calm: AtomicBool,
    answers: Mutex<Vec<(usize, Answer)>>,
}

/// What a process did that others may look at.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) served: Option<Arc<Served>>,
    pub(super) events: Vec<Event>,
    pub(super) has_ended: bool,
    /// Until when it has run.
    pub(super) at_ms: u64,
    /// Calls in the last second.
    pub(super) calls: u64,
    /// How it called too fast.
    pub(super) breach: Option<String>,
    pub(super) answers: Vec<(usize, Answer)>,
}

#[derive(Debug)]
struct ProcessClock {
    line: Line,
    offset_ms: Arc<AtomicI64>,
}

impl Clock for ProcessClock {
    fn now_ms(&self) -> u64 {
        (EPOCH_MS + self.line.now_ms()).saturating_add_signed(self.offset_ms.load(Ordering::Relaxed))
    }
}

impl Process {
    pub(super) fn new(process: usize) -> Self {
        Self { life: Life { process, number: 0 }, running: None, offset_ms: Arc::default() }
    }

    pub(super) fn is_alive(&self) -> bool {
        self.running.is_some()
    }

    pub(super) fn start(&mut self, now_ms: u64, network: &Network, setting: &Setting, desired: Arc<Desired>) {
        self.life.number += 1;
        let runtime =
            Builder::new_current_thread().enable_time().start_paused(true).event_interval(1).build().unwrap();
        let life = self.life;
        let epoch = runtime.block_on(async { Instant::now() });
        let line = Line {
            network: network.clone(),
            life,
            born_ms: now_ms,
            epoch,
            sent: Arc::default(),
            made: Arc::default(),
            pace: Pace::new(setting.calls_per_second_max),
        };
        let changes = watch::Sender::new(0);
        let shared = Arc::new(Shared { desired: Mutex::new(Some(desired)), ..Shared::default() });
        let provider = SimulatedProvider::new(line.clone(), setting, changes.subscribe());
        let lease = LeaseSettings {
            holder: HolderId::new(format!("holder-{}-{}", life.process, life.number)).unwrap(),
            purpose: "simulation".into(),
            seat: setting.has_seats.then(|| format!("seat-{}", life.process)),
            term: Duration::from_millis(flash_model::lease::LEASE_TERM_MS),
        };
        let seed = setting.seed.wrapping_add((life.process as u64) << 32).wrapping_add(life.number.into());
        let settings = ReconcileSettings {
            own_resource: Some(ResourceName::new(super::invariants::OWN_RESOURCE).unwrap()),
            drift: setting.drift,
            period: PERIOD,
            clock: Arc::new(ProcessClock { line: line.clone(), offset_ms: Arc::clone(&self.offset_ms) }),
            jitter: Jitter::seeded(seed),
            environment: Arc::new(environment),
            ..ReconcileSettings::new(
                setting.scope.clone(),
                Arc::new(SimulatedStore::new(line.clone())),
                Arc::new(provider),
                lease,
            )
        };
        let url = format!("http://127.0.0.1:888{}", life.process);
        let (own, ended) = (Arc::clone(&shared), Arc::clone(&line.sent));
        runtime.spawn(async move {
            main(url, settings, own).await;
            // It ends now, not when it is next looked at.
            ended.notify_one();
        });
        self.running = Some(Running {
            runtime,
            line,
            clock_ms: now_ms,
            is_paused: false,
            polls_left: None,
            shared,
            changes,
            events: None,
            served: None,
            calls: 0,
            calls_since_ms: now_ms,
        });
    }

    /// Ends it where it stands.
    pub(super) fn kill(&mut self) {
        self.running = None;
    }

    /// It dies when its tasks have been polled so many times.
    pub(super) fn kill_after(&mut self, polls: u64) {
        if let Some(running) = &mut self.running {
            running.polls_left = Some(running.polls_left.map_or(polls, |left| left.min(polls)));
        }
    }

    /// Asks it to end.
    pub(super) fn stop(&self, ending: Ending) {
        if let Some(running) = &self.running {
            running.shared.leaves.store(ending == Ending::Leave, Ordering::Relaxed);
            running.shared.stop.notify_one();
        }
    }

    pub(super) fn pause(&mut self) {
        if let Some(running) = &mut self.running {
            running.is_paused = true;
        }
    }

    /// It goes on, and everything that it waited for meanwhile is late.
    pub(super) fn resume(&mut self, now_ms: u64) {
        let Some(running) = self.running.as_mut().filter(|running| running.is_paused) else { return };
        running.is_paused = false;
        let missed = Duration::from_millis(now_ms.saturating_sub(running.clock_ms));
        running.runtime.block_on(tokio::time::advance(missed));
        running.clock_ms = now_ms;
    }

    pub(super) fn jump(&self, by_ms: i64) {
        self.offset_ms.fetch_add(by_ms, Ordering::Relaxed);
    }

    /// Tells it that its provider saw something.
    pub(super) fn notify(&self) {
        if let Some(running) = &self.running {
            running.changes.send_modify(|count| *count += 1);
        }
    }

    pub(super) fn want(&self, desired: Arc<Desired>) {
        let Some(running) = &self.running else { return };
        if let Some(handle) = running.shared.handle.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            handle.set_desired(Desired::clone(&desired));
        }
        *running.shared.desired.lock().unwrap_or_else(PoisonError::into_inner) = Some(desired);
    }

    /// Asks it for something, and lets the answer be known by this number. False if nobody is there to be asked.
    pub(super) fn ask(&self, number: usize, wanted: Wanted) -> bool {
        let Some(running) = &self.running else { return false };
        let handle = running.shared.handle.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(handle) = handle else { return false };
        let shared = Arc::clone(&running.shared);
        running.runtime.spawn(async move {
            let answer = match wanted {
                Wanted::Plan(file) => asked::apply(handle, &file).await,
                Wanted::RollBack { rank } => {
                    asked::roll_back(handle, rank, || shared.is_calm.load(Ordering::Relaxed)).await
                }
            };
            shared.answers.lock().unwrap_or_else(PoisonError::into_inner).push((number, answer));
        });
        true
    }

    pub(super) fn calm(&self) {
        if let Some(running) = &self.running {
            running.shared.is_calm.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it has something to do before then.
    pub(super) fn lags(&self, until_ms: u64) -> bool {
        self.running.as_ref().is_some_and(|running| !running.is_paused && running.clock_ms < until_ms)
    }

    /// Runs until then, or until it calls somebody.
    pub(super) fn run(&mut self, until_ms: u64) -> Seen {
        let Some(running) = &mut self.running else { return Seen::default() };
        let line = running.line.clone();
        let deadline = line.epoch + Duration::from_millis(until_ms - line.born_ms);
        let polls_left = &mut running.polls_left;
        running.clock_ms = running.runtime.block_on(async {
            let sent = &line.sent;
            let (mut sent, mut sleeping) = (pin!(sent.notified()), pin!(sleep_until(deadline)));
            poll_fn(|context| {
                if let Some(left) = polls_left {
                    if *left == 0 {
                        return Poll::Ready(());
                    }
                    // Between any two polls of tasks there is one of us.
                    *left -= 1;
                    context.waker().wake_by_ref();
                }
                if sent.as_mut().poll(context).is_ready() {
                    return Poll::Ready(());
                }
                sleeping.as_mut().poll(context)
            })
            .await;
            line.now_ms()
        });
        running.observe()
    }
}

impl Running {
    fn observe(&mut self) -> Seen {
        if self.clock_ms >= self.calls_since_ms + 1_000 {
            (self.calls, self.calls_since_ms) = (0, self.clock_ms);
        }
        self.calls += self.line.made.swap(0, Ordering::Relaxed);
        let mut seen = Seen {
            calls: self.calls,
            at_ms: self.clock_ms,
            has_ended: self.shared.has_ended.load(Ordering::Relaxed) || self.polls_left == Some(0),
            breach: self.line.pace.take_breach(),
            answers: std::mem::take(&mut *self.shared.answers.lock().unwrap_or_else(PoisonError::into_inner)),
            ..Seen::default()
        };
        let handle = self.shared.handle.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(handle) = handle.as_ref() else { return seen };
        let served = handle.served();
        if !self.served.as_ref().is_some_and(|last| Arc::ptr_eq(last, &served)) {
            self.served = Some(Arc::clone(&served));
            seen.served = Some(served);
        }
        let events = self.events.get_or_insert_with(|| handle.events());
        while let Ok(event) = events.try_recv() {
            seen.events.push(event);
        }
        seen
    }
}

async fn main(url: String, settings: ReconcileSettings, shared: Arc<Shared>) {
    let token = Secret::new(format!("{}token", super::invariants::SECRET_MARK));
    let mothership = loop {
        match Mothership::without_front("shop", &url, token.clone(), settings.clone()).await {
            Ok(mothership) => break mothership,
            Err(_) => sleep(START_PAUSE).await,
        }
    };
    let handle = mothership.handle();
    if let Some(desired) = shared.desired.lock().unwrap_or_else(PoisonError::into_inner).as_deref() {
        handle.set_desired(desired.clone());
    }
    *shared.handle.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle);
    shared.stop.notified().await;
    let _ = match shared.leaves.load(Ordering::Relaxed) {
        true => mothership.leave().await,
        false => mothership.stop_with_endpoints().await,
    };
    shared.has_ended.store(true, Ordering::Relaxed);
}

/// A value for every variable that a manifest's resources name.
pub(super) fn environment(manifest: &Manifest) -> Environment {
    let values = |name: &ResourceName, resource: &Resource| {
        let value = |variable: &String| {
            let text = format!("{}{name}-{variable}", super::invariants::SECRET_MARK);
            (variable.clone(), Secret::new(text))
        };
        (name.clone(), resource.spec.env.iter().map(value).collect::<BTreeMap<_, _>>())
    };
    manifest.resources.iter().map(|(name, resource)| values(name, resource)).collect()
}
