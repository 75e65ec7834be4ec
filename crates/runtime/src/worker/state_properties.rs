//! Whatever happens, in whatever order: random lives of a pool beside a small model of who holds and who waits for a slot.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

const HAPPENINGS_MAX: usize = 120;

#[derive(Debug, Clone)]
enum Happening {
    Admit { sync: bool, size_bytes: usize },
    TryAdmit { sync: bool },
    Release(Index),
    Leave(Index),
    Ready(Index),
    Exit(Index, bool),
    Stopping(Index),
    WearOut(Index),
    Backlog(u64),
    Pass(u64),
    Drain,
}

fn happening() -> impl Strategy<Value = Happening> {
    let any_of = any::<Index>;
    prop_oneof![
        8 => (any::<bool>(), 0..DOOR_BYTES_MAX / 2).prop_map(|(sync, size_bytes)| Happening::Admit { sync, size_bytes }),
        2 => any::<bool>().prop_map(|sync| Happening::TryAdmit { sync }),
        6 => any_of().prop_map(Happening::Release),
        1 => any_of().prop_map(Happening::Leave),
        5 => any_of().prop_map(Happening::Ready),
        3 => (any_of(), any::<bool>()).prop_map(|(which, failed)| Happening::Exit(which, failed)),
        1 => any_of().prop_map(Happening::Stopping),
        1 => any_of().prop_map(Happening::WearOut),
        1 => (0..20_u64).prop_map(Happening::Backlog),
        6 => (0..12_000_u64).prop_map(Happening::Pass),
        1 => Just(Happening::Drain),
    ]
}

fn limits() -> impl Strategy<Value = Limits> {
    let scaler = (any::<bool>(), 0..5_u32).prop_map(|(by_count, value)| Scaler {
        scaler_type: if by_count { ScalerType::RequestCount } else { ScalerType::QueueDelay },
        value,
    });
    (1..5_usize, 0..5_usize, (1..4_u32, 1..3_u32), 1..10_u64, scaler, proptest::option::of(1..6_u64))
        .prop_map(
            |(workers_max, workers_min, (concurrency, sync_threads), idle_seconds, scaler, calls_max)| {
                Limits {
                    workers_min: workers_min.min(workers_max),
                    workers_max,
                    concurrency,
                    sync_threads,
                    idle_timeout: Duration::from_secs(idle_seconds),
                    scaler,
                    calls_max,
                }
            },
        )
}

/// What a pool that did everything right would know.
struct Model {
    state: State,
    now: Instant,
    /// Worker and kind of every call that runs.
    held: Vec<(WorkerId, bool)>,
    /// In the order in which they came.
    waiting: Vec<(Ticket, bool)>,
}

impl Model {
    fn new(limits: Limits) -> Self {
        let mut model =
            Self { state: State::new(limits), now: Instant::now(), held: Vec::new(), waiting: Vec::new() };
        model.settle();
        model
    }

    fn apply(&mut self, happening: &Happening) {
        let ids: Vec<WorkerId> = self.state.workers.keys().copied().collect();
        let pick = |which: &Index| (!ids.is_empty()).then(|| *which.get(&ids));
        match happening {
            Happening::Admit { sync, size_bytes } => self.admit(*sync, *size_bytes),
            Happening::TryAdmit { sync } => {
                self.held.extend(self.state.try_admit(*sync).map(|id| (id, *sync)));
            }
            Happening::Release(which) if !self.held.is_empty() => {
                let (id, sync) = self.held.swap_remove(which.index(self.held.len()));
                self.state.release(id, sync, self.now);
            }
            Happening::Leave(which) if !self.waiting.is_empty() => {
                let (ticket, _) = self.waiting.remove(which.index(self.waiting.len()));
                self.state.leave(ticket);
            }
            Happening::Ready(which) => {
                let starting = ids.iter().filter(|id| self.state.workers[*id].phase == Phase::Starting);
                let starting: Vec<WorkerId> = starting.copied().collect();
                if !starting.is_empty() {
                    self.state.ready(*which.get(&starting), self.now);
                }
            }
            Happening::Exit(which, failed) => {
                if let Some(id) = pick(which) {
                    self.exit(id, *failed);
                }
            }
            Happening::Stopping(which) => drop(pick(which).map(|id| self.state.stopping(id))),
            Happening::WearOut(which) => drop(pick(which).map(|id| self.state.wear_out(id))),
            Happening::Backlog(calls) => self.state.set_backlog(*calls),
            Happening::Pass(ms) => self.pass(Duration::from_millis(*ms)),
            Happening::Drain => self.drain(),
            Happening::Release(_) | Happening::Leave(_) => {}
        }
        self.settle();
    }

    fn admit(&mut self, sync: bool, size_bytes: usize) {
        let was_draining = self.state.is_draining();
        let placement = self.state.admit(sync, size_bytes, self.now);
        assert_eq!(placement == Placement::Draining, was_draining);
        match placement {
            Placement::Worker(id) => self.held.push((id, sync)),
            Placement::Wait(ticket) => {
                assert!(self.waiting.iter().all(|(earlier, _)| *earlier < ticket));
                self.waiting.push((ticket, sync));
            }
            Placement::Failed(_, pause) => assert!(!pause.is_zero()),
            Placement::DoorFull | Placement::DoorFullOfBytes => assert!(!self.waiting.is_empty()),
            Placement::Draining => {}
        }
    }

    fn exit(&mut self, id: WorkerId, failed: bool) {
        let was_starting = self.state.workers[&id].phase == Phase::Starting;
        let failure = (failed && was_starting).then(|| {
            Arc::new(RemoteException {
                kind: "ImportError".to_owned(),
                message: "no".to_owned(),
                traceback: String::new(),
            })
        });
        let refused = self.state.exited(id, failure, self.now);
        self.held.retain(|(holder, _)| *holder != id);
        if !refused.is_empty() {
            let waiting: Vec<Ticket> = self.waiting.drain(..).map(|(ticket, _)| ticket).collect();
            assert_eq!(refused, waiting, "all of them, in their order");
        }
    }

    fn drain(&mut self) {
        let (workers, refused) = self.state.drain();
        assert_eq!(workers.len(), self.state.workers.len());
        let waiting: Vec<Ticket> = self.waiting.drain(..).map(|(ticket, _)| ticket).collect();
        assert_eq!(refused, waiting);
    }

    /// Whoever sleeps until the next decision misses none.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(next) = self.state.next_decision(self.now).filter(|next| *next <= end) {
            assert!(next > self.now, "a decision that is due has been made");
            self.now = next;
            self.settle();
        }
        self.now = end;
        assert_eq!(self.state.decide(end), [], "nobody was told that there is something to decide");
    }

    /// What the pool does after whatever has happened.
    fn settle(&mut self) {
        while let Some((ticket, id, sync)) = self.state.seat() {
            let at = self.waiting.iter().position(|waiting| *waiting == (ticket, sync)).unwrap();
            assert!(self.waiting[..at].iter().all(|(_, earlier)| *earlier != sync), "out of its turn");
            self.waiting.remove(at);
            self.held.push((id, sync));
        }
        let actions = self.state.decide(self.now);
        if self.state.is_draining() {
            assert_eq!(actions, []);
        }
        for action in actions {
            if let Action::Stop(id) = action {
                assert!(self.held.iter().all(|(holder, _)| *holder != id), "{id} has calls");
            }
        }
        self.check();
    }

    fn check(&self) {
        let State { limits, workers, door, .. } = &self.state;
        assert!(self.state.active() <= limits.workers_max);
        for (id, worker) in workers {
            let of_it = || self.held.iter().filter(|(holder, _)| holder == id);
            assert_eq!(worker.in_flight as usize, of_it().count());
            assert_eq!(worker.in_flight_sync as usize, of_it().filter(|(_, sync)| *sync).count());
            assert!(worker.in_flight <= limits.concurrency);
            let is_free = worker.takes_calls() && worker.in_flight < limits.concurrency;
            let waits_in_vain = |(_, sync): &(Ticket, bool)| {
                is_free && (!sync || worker.in_flight_sync < limits.sync_threads)
            };
            assert!(!self.waiting.iter().any(waits_in_vain), "a call waits while {id} is free");
        }
        assert!(self.held.iter().all(|(holder, _)| workers.contains_key(holder)));
        let tickets: Vec<(Ticket, bool)> =
            door.iter().map(|waiting| (waiting.ticket, waiting.sync)).collect();
        assert_eq!(tickets, self.waiting);
        assert!(door.iter().map(|waiting| waiting.size_bytes).sum::<usize>() <= DOOR_BYTES_MAX);
        if self.state.is_draining() {
            assert!(self.waiting.is_empty());
        } else if !self.waiting.is_empty() && self.state.active() == 0 {
            assert!(self.state.next_decision(self.now).is_some(), "calls wait for a worker that never comes");
        }
        let counts = self.state.counts();
        assert_eq!(counts.ready, counts.idle + counts.running);
        assert!((counts.ready + counts.initializing + counts.throttled) as usize <= workers.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn calls_are_seated_refused_or_waiting_in_order_and_no_timer_is_missed(
        limits in limits(),
        happenings in vec(happening(), 1..HAPPENINGS_MAX),
    ) {
        let mut model = Model::new(limits);
        for happening in &happenings {
            model.apply(happening);
        }
    }
}
