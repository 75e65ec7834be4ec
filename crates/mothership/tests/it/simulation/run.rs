//! One seed, one simulated life: everything that happens, in the order of its time, with a look at the invariants after
//! each step.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use flash_model::*;
use flash_mothership::Served;
use flash_mothership::store::{MemoryStore, SqliteStore};
use flash_plan::PlanFile;

use super::asked::{self, Answer, Asked, Wanted};
use super::capture::Capture;
use super::faults::{Faults, LATE_MS_MAX};
use super::invariants::Invariant;
use super::network::{Event, Life, Network};
use super::process::{Process, Seen};
use super::random::Random;
use super::realm::{JumpingClock, Mutation, Realm, Violation};
use super::scenario::{self, Happening, Project, Retirement, Setting};
use super::world::World;

/// What is on its way when trouble ends has arrived by then.
const IN_FLIGHT_MS_MAX: u64 = 2 * LATE_MS_MAX;
/// A process goes on by itself for this long at most before the others have their turn.
const AHEAD_MS_MAX: u64 = 10_000;
/// When nothing goes wrong any more, everything is as wanted by then.
const CONVERGED_MS_MAX: u64 = 120_000;
/// And nothing is written any more for this long, which is longer than a mothership's period and than what is in flight.
const SETTLED_MS: u64 = 15_000;
/// Between two looks at whether everything is as wanted.
const LOOK_PERIOD_MS: u64 = 1_000;

/// What to run.
#[derive(Debug, Clone, Default)]
pub(super) struct Trial {
    pub(super) mutation: Option<Mutation>,
    pub(super) ignored: Vec<Invariant>,
    pub(super) is_traced: bool,
}

#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) violation: Option<Violation>,
    pub(super) trace: VecDeque<String>,
    /// How long it took until everything was as wanted.
    pub(super) converged_after_ms: Option<u64>,
    pub(super) events: u64,
    pub(super) tally: Tally,
}

/// What people asked for, and got.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) plans_applied: u64,
    pub(super) rolled_back: u64,
    pub(super) refused: u64,
}

pub(super) fn run(seed: u64, trial: &Trial) -> Outcome {
    let capture = Capture::default();
    tracing::subscriber::with_default(capture.clone(), || Simulation::new(seed, trial, capture).run())
}

struct Simulation {
    setting: Setting,
    network: Network,
    realm: Realm,
    processes: Vec<Process>,
    project: Project,
    capture: Capture,
    served: BTreeMap<usize, Arc<Served>>,
    /// The version of the project that each has last heard of.
    heard: Vec<usize>,
    /// The one that is not seen again.
    retired: Option<usize>,
    calm_since_ms: Option<u64>,
    /// Since when everything is as wanted, and how many writes there had been by then.
    converged: Option<(u64, u64, u64)>,
    events: u64,
    tally: Tally,
}

impl Simulation {
    fn new(seed: u64, trial: &Trial, capture: Capture) -> Self {
        let mut random = Random::seeded(seed);
        let setting = Setting::drawn(seed, &mut random);
        let faults = Faults::drawn(&mut random);
        let network = Network::new(random.fork(), faults.clone());
        scenario::schedule(&network, &setting, &faults, &mut random);
        let store_clock = Arc::new(JumpingClock::default());
        let mut realm = Realm {
            now_ms: 0,
            scope: setting.scope.clone(),
            world: World::default(),
            store: match setting.is_sqlite {
                true => Arc::new(SqliteStore::inline_in_memory(store_clock.clone()).unwrap()),
                false => Arc::new(MemoryStore::with_clock(store_clock.clone())),
            },
            store_clock,
            store_away_until_ms: 0,
            network: network.clone(),
            drift: setting.drift,
            faults,
            random: random.fork(),
            mutation: trial.mutation,
            state: StateSnapshot::default(),
            wanted: None,
            wants_telling: false,
            generations: BTreeMap::new(),
            asked: Vec::new(),
            intended: Default::default(),
            intent_since: Default::default(),
            ignored: trial.ignored.clone(),
            violation: None,
            trace: trial.is_traced.then(VecDeque::new),
        };
        realm.world.add_strangers(&setting.scope);
        let faults = realm.faults.clone();
        realm.note(|| format!("seed {seed}: {setting:?} {faults:?}"));
        Self {
            processes: (0..setting.motherships).map(Process::new).collect(),
            project: Project::new(random.fork()),
            heard: vec![0; setting.motherships],
            setting,
            network,
            realm,
            capture,
            served: BTreeMap::new(),
            retired: None,
            calm_since_ms: None,
            converged: None,
            events: 0,
            tally: Tally::default(),
        }
    }

    fn run(mut self) -> Outcome {
        let mut converged_after_ms = None;
        while self.realm.violation.is_none() {
            self.let_run();
            let Some((at_ms, event)) = self.network.pop() else { break };
            self.events += 1;
            self.realm.now_ms = at_ms;
            self.realm.store_clock.set(at_ms);
            self.perform(event);
            if std::mem::take(&mut self.realm.wants_telling) {
                self.heard.fill(0);
                self.tell_all(500);
            }
            if let (Some((since_ms, ..)), Some(calm_ms)) = (self.converged, self.calm_since_ms)
                && at_ms > since_ms + SETTLED_MS
            {
                converged_after_ms = Some(since_ms - calm_ms);
                break;
            }
        }
        let trace = self.realm.trace.take().unwrap_or_default();
        let Self { events, tally, realm: Realm { violation, .. }, .. } = self;
        Outcome { violation, trace, converged_after_ms, events, tally }
    }

    /// Every process goes on until the next thing happens that is not of its own making.
    fn let_run(&mut self) {
        for process in 0..self.processes.len() {
            loop {
                let next_ms = self.network.next_ms(process).unwrap_or(u64::MAX);
                let until_ms = next_ms.min(self.realm.now_ms + AHEAD_MS_MAX);
                if !self.processes[process].lags(until_ms) {
                    break;
                }
                let life = self.processes[process].life;
                let seen = self.processes[process].run(until_ms);
                self.observe(life, seen);
            }
        }
    }

    fn observe(&mut self, life: Life, seen: Seen) {
        let traced = self.capture.take();
        for line in traced.lines() {
            self.realm.note(|| format!("{life}     {line}"));
        }
        self.realm.check_secrecy("a log", &traced);
        self.realm.check_calls(life, seen.calls, seen.breach);
        for event in &seen.events {
            let event = format!("{event:?}");
            self.realm.check_secrecy("an event", &event);
            self.realm.note(|| format!("{life}   {event}"));
        }
        self.realm.check_begun(life, &seen.events);
        for (number, answer) in seen.answers {
            self.heed(number, answer);
        }
        if let Some(served) = &seen.served {
            self.realm.check_served(life, served);
            self.served.insert(life.process, Arc::clone(served));
        }
        if seen.has_ended {
            self.end(life, seen.at_ms);
        }
    }

    /// Nobody runs it for a while.
    fn end(&mut self, life: Life, at_ms: u64) {
        self.realm.note(|| format!("{life} ends"));
        self.processes[life.process].kill();
        self.served.remove(&life.process);
        if self.retired == Some(life.process) {
            return;
        }
        let after_ms = match self.calm_since_ms {
            Some(_) => 1,
            None => self.realm.random.between(50..=15_000),
        };
        let start = Happening::Start { process: life.process };
        self.network.schedule(at_ms + after_ms, Event::Happen(start));
    }

    fn perform(&mut self, event: Event) {
        match event {
            Event::Arrive(request) => self.network.clone().arrive(&mut self.realm, request),
            Event::Reply { to, what, deliver } => {
                self.realm.note(|| format!("{to} ← {what}"));
                deliver();
            }
            Event::Crash { life, polls } => {
                // Not once nothing goes wrong any more.
                let is_due = self.calm_since_ms.is_none() && self.processes[life.process].life == life;
                if is_due && self.processes[life.process].is_alive() {
                    match polls {
                        0 => self.end(life, self.realm.now_ms),
                        polls => self.processes[life.process].kill_after(polls),
                    }
                }
            }
            Event::Happen(happening) => {
                if happening != Happening::Look {
                    self.realm.note(|| format!("* {happening:?}"));
                }
                self.happen(happening);
            }
        }
    }

    fn happen(&mut self, happening: Happening) {
        let now_ms = self.realm.now_ms;
        match happening {
            Happening::Start { process } => {
                if !self.processes[process].is_alive() && self.retired != Some(process) {
                    let desired = Arc::clone(self.project.wanted());
                    self.heard[process] = self.project.versions.len() - 1;
                    self.processes[process].start(now_ms, &self.network, &self.setting, desired);
                }
            }
            Happening::Crash { process } => {
                if self.processes[process].is_alive() {
                    self.end(self.processes[process].life, now_ms);
                }
            }
            Happening::Stop { process, ending } => self.processes[process].stop(ending),
            Happening::Pause { process, for_ms } => {
                self.processes[process].pause();
                self.later(for_ms, Happening::Resume { process });
            }
            Happening::Resume { process } if self.retired == Some(process) => {}
            Happening::Resume { process } => self.processes[process].resume(now_ms),
            Happening::Deploy => {
                self.project.change();
                self.tell_all(4_000);
            }
            Happening::Hear { process, version } => {
                if self.heard[process] < version {
                    self.heard[process] = version;
                    self.processes[process].want(Arc::clone(&self.project.versions[version]));
                }
            }
            Happening::Plan { to_leader } => {
                let wanted = self.plan();
                self.ask(to_leader, wanted);
            }
            Happening::RollBack { to_leader } => {
                let rank = self.realm.random.index(4);
                self.ask(to_leader, Wanted::RollBack { rank });
            }
            Happening::Hand { process, asked } => self.hand(process, asked),
            Happening::Retire { process, how } => {
                self.retired = Some(process);
                self.served.remove(&process);
                match how {
                    Retirement::Dead => self.processes[process].kill(),
                    Retirement::Stopped => self.processes[process].pause(),
                }
            }
            Happening::Tamper => self.disturb(|endpoint, random| {
                if let Some(spec) = &mut endpoint.observed.spec {
                    Arc::make_mut(spec).workers_max = 10 + random.between(0..=5) as u32;
                }
                endpoint.tampered_ms = Some(now_ms);
            }),
            Happening::Die => self.disturb(|endpoint, _| {
                endpoint.observed.phase = ObservedPhase::Stopped;
                endpoint.disturbed_ms = Some(now_ms);
            }),
            Happening::Sicken { for_ms } => self.disturb(|endpoint, _| {
                endpoint.sick_until_ms = now_ms + for_ms;
                endpoint.disturbed_ms = Some(now_ms);
            }),
            Happening::Lose => {
                if let Some(id) = self.any_endpoint() {
                    self.realm.note(|| format!("  {id}"));
                    self.realm.world.lose(id, now_ms);
                    self.later(1, Happening::ProviderNotices);
                }
            }
            Happening::ProviderNotices => self.processes.iter().for_each(Process::notify),
            Happening::StoreAway { for_ms } => self.realm.store_away_until_ms = now_ms + for_ms,
            Happening::StoreClockJumps { by_ms } => self.realm.store_clock.jump(by_ms),
            Happening::ProcessClockJumps { process, by_ms } => self.processes[process].jump(by_ms),
            Happening::Calm => self.calm(),
            Happening::Look => self.look(),
        }
    }

    /// Somebody changes the project, and plans that from what is there now.
    fn plan(&mut self) -> Wanted {
        let mut manifest = self.project.draft();
        manifest.generated_at = asked::mark(self.realm.asked.len());
        let plan = self.realm.plan(&manifest);
        let Realm { scope, state, drift, .. } = &self.realm;
        Wanted::Plan(Arc::new(PlanFile::new(scope.clone(), state.lineage.clone(), *drift, manifest, plan)))
    }

    fn ask(&mut self, to_leader: bool, wanted: Wanted) {
        let number = self.realm.asked.len();
        let asked = Asked::new(wanted, &self.realm.state);
        self.realm.asked.push(asked);
        let leader = self.realm.leader().filter(|_| to_leader);
        let process = leader.unwrap_or_else(|| self.realm.random.index(self.setting.motherships));
        let after_ms = *self.realm.random.pick(&[0, 5, 100, 2_000]);
        self.later(after_ms, Happening::Hand { process, asked: number });
    }

    fn hand(&mut self, process: usize, number: usize) {
        if self.calm_since_ms.is_some() {
            return;
        }
        let asked = &mut self.realm.asked[number];
        asked.life = Some(self.processes[process].life);
        asked.generations_before = self.realm.generations.last_key_value().map_or(0, |(number, _)| *number);
        if !self.processes[process].ask(number, asked.wanted.clone()) {
            self.realm.check_answer(number, Answer::Refused("nobody is there".into()));
        }
    }

    /// What came about is what is wanted from now on, until the project changes again.
    fn heed(&mut self, number: usize, answer: Answer) {
        let kind = match &answer {
            Answer::Applied { .. } => &mut self.tally.plans_applied,
            Answer::RolledBack { .. } => &mut self.tally.rolled_back,
            Answer::Refused(_) | Answer::Failed(_) => &mut self.tally.refused,
        };
        *kind += 1;
        if let Some(manifest) = self.realm.check_answer(number, answer)
            && self.calm_since_ms.is_none()
        {
            self.project.accept(&manifest);
            self.heard.fill(self.project.versions.len() - 1);
        }
    }

    fn disturb(&mut self, change: impl FnOnce(&mut super::world::Endpoint, &mut Random)) {
        let now_ms = self.realm.now_ms;
        let Some(id) = self.any_endpoint() else { return };
        self.realm.note(|| format!("  {id}"));
        let Realm { world, random, .. } = &mut self.realm;
        world.change(&id, now_ms, |endpoint| change(endpoint, random));
        self.later(1, Happening::ProviderNotices);
    }

    fn any_endpoint(&mut self) -> Option<EndpointId> {
        let Realm { world, random, scope, .. } = &mut self.realm;
        let ids: Vec<_> = world.of_scope(scope).map(|endpoint| endpoint.id().clone()).collect();
        (!ids.is_empty()).then(|| random.pick(&ids).clone())
    }

    fn tell_all(&mut self, within_ms: u64) {
        let version = self.project.versions.len() - 1;
        for process in 0..self.processes.len() {
            let after_ms = self.realm.random.between(0..=within_ms);
            self.later(after_ms, Happening::Hear { process, version });
        }
    }

    fn later(&self, after_ms: u64, happening: Happening) {
        self.network.schedule(self.realm.now_ms + after_ms, Event::Happen(happening));
    }

    fn calm(&mut self) {
        let now_ms = self.realm.now_ms;
        self.calm_since_ms = Some(now_ms);
        self.realm.faults = Faults::none();
        self.network.calm();
        self.realm.store_away_until_ms = 0;
        let ids: Vec<_> = self.realm.world.endpoints.keys().cloned().collect();
        for id in ids {
            self.realm.world.change(&id, now_ms, |endpoint| endpoint.sick_until_ms = 0);
        }
        self.project.mend();
        for process in 0..self.processes.len() {
            if self.retired == Some(process) {
                continue;
            }
            self.processes[process].calm();
            self.processes[process].resume(now_ms);
            self.later(0, Happening::Start { process });
        }
        self.tell_all(500);
        self.later(LOOK_PERIOD_MS, Happening::Look);
    }

    /// Whether everything is as wanted, and stays so.
    fn look(&mut self) {
        let now_ms = self.realm.now_ms;
        let wanted = Arc::clone(&self.project.wanted().manifest);
        let served: Vec<_> = self
            .processes
            .iter()
            // One that was stopped before trouble ended comes back in a moment.
            .filter(|process| process.is_alive() && self.retired != Some(process.life.process))
            .map(|process| (process.life, self.served.get(&process.life.process).cloned()))
            .collect();
        self.realm.check_plan(&wanted);
        let difference = self.realm.difference(&wanted, &served);
        let writes = (self.realm.world.writes, self.realm.state.serial);
        let since_ms = self.calm_since_ms.unwrap_or(now_ms);
        if now_ms <= since_ms + IN_FLIGHT_MS_MAX
            && self.converged.is_some_and(|(_, world, state)| (world, state) != writes)
        {
            self.converged = None;
        }
        match (difference, self.converged) {
            (None, None) => {
                self.realm.note(|| "everything is as wanted".to_owned());
                self.converged = Some((now_ms, writes.0, writes.1));
            }
            (None, Some((_, world, state))) if (world, state) != writes => {
                self.realm.violated(Invariant::Settles, || {
                    format!(
                        "(writes, serial) were {:?} when everything was as wanted, and are {writes:?}",
                        (world, state)
                    )
                });
            }
            (None, Some(_)) => {}
            (Some(difference), Some(_)) => self.realm.violated(Invariant::Settles, || difference),
            (Some(difference), None) => {
                if now_ms > since_ms + CONVERGED_MS_MAX {
                    self.realm.violated(Invariant::Converges, || difference);
                } else {
                    self.realm.note(|| format!("not yet: {difference}"));
                }
            }
        }
        self.later(LOOK_PERIOD_MS, Happening::Look);
    }
}
