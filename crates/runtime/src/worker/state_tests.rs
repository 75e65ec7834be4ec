use super::*;

const NONE: [WorkerId; 0] = [];

struct World {
    state: State,
    now: Instant,
}

impl World {
    fn new(workers_min: usize, workers_max: usize, concurrency: u32) -> Self {
        Self::of(Limits {
            workers_min,
            workers_max,
            concurrency,
            sync_threads: 1,
            idle_timeout: Duration::from_secs(5),
            scaler: Scaler { scaler_type: ScalerType::QueueDelay, value: 0 },
            calls_max: None,
        })
    }

    fn of(limits: Limits) -> Self {
        Self { state: State::new(limits), now: Instant::now() }
    }

    fn with(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.state.limits);
        self
    }

    fn after(&mut self, ms: u64) -> &mut Self {
        self.now += Duration::from_millis(ms);
        self
    }

    fn spawned(&mut self) -> Vec<WorkerId> {
        let ids = self.decide().into_iter().filter_map(|action| match action {
            Action::Spawn(id) => Some(id),
            Action::Stop(_) => None,
        });
        ids.collect()
    }

    fn decide(&mut self) -> Vec<Action> {
        self.state.decide(self.now)
    }

    fn boot(mut self) -> Self {
        for id in self.spawned() {
            self.state.ready(id, self.now);
        }
        self
    }

    fn admit(&mut self, sync: bool) -> Placement {
        self.state.admit(sync, 0, self.now)
    }

    fn fail(&mut self, id: WorkerId) -> Vec<Ticket> {
        self.state.exited(id, Some(broken()), self.now)
    }
}

fn broken() -> Failure {
    Arc::new(RemoteException {
        kind: "ImportError".to_owned(),
        message: "no".to_owned(),
        traceback: String::new(),
    })
}

#[test]
fn one_worker_at_boot_even_when_none_is_asked_for_and_none_once_idle() {
    let mut world = World::new(0, 3, 2);
    assert_eq!(world.state.health(), Health::Starting);
    assert_eq!(world.spawned(), [1]);
    world.state.ready(1, world.now);
    assert_eq!(world.after(4_999).decide(), []);
    assert_eq!(world.state.next_decision(world.now), Some(world.now + Duration::from_millis(1)));
    assert_eq!(world.after(1).decide(), [Action::Stop(1)]);
    world.state.exited(1, None, world.now);
    assert_eq!(world.decide(), []);
    assert_eq!(world.state.health(), Health::Healthy, "scaled to zero is healthy");

    assert_eq!(world.admit(true), Placement::Wait(1));
    assert_eq!(world.spawned(), [2], "the first call brings one back");
    world.state.ready(2, world.now);
    assert_eq!(world.state.seat(), Some((1, 2, true)));
}

#[test]
fn one_start_that_is_killed_refuses_nobody_where_the_code_was_loaded_before() {
    let mut world = World::new(1, 1, 1).boot();
    world.state.exited(1, None, world.now);
    assert_eq!(world.spawned(), [2]);
    world.state.ready(2, world.now);
    world.state.admit(false, 0, world.now);
    world.state.release(2, false, world.now);
    world.state.exited(2, None, world.now);
    assert_eq!(world.spawned(), [3]);
    assert_eq!(world.admit(false), Placement::Wait(1));
    assert_eq!(world.fail(3), [] as [Ticket; 0]);
    assert_eq!(world.state.health(), Health::Healthy);
    assert_eq!(world.spawned(), [4], "at once");
    assert_eq!(world.admit(false), Placement::Wait(2));
    assert_eq!(world.fail(4), [1, 2], "not a second time");
    assert!(matches!(world.admit(false), Placement::Failed(..)));
}

#[test]
fn the_least_loaded_worker_gets_the_call() {
    let mut world = World::new(2, 2, 2).boot();
    let placed: Vec<_> = (0..5).map(|_| world.admit(false)).collect();
    let on = Placement::Worker;
    assert_eq!(placed, [on(1), on(2), on(1), on(2), Placement::Wait(1)]);
    world.state.release(2, false, world.now);
    assert_eq!(world.state.seat(), Some((1, 2, false)));
    assert_eq!(world.state.seat(), None);
}

#[test]
fn plain_functions_queue_up_in_a_worker_only_when_no_other_can_be_started() {
    let mut world = World::new(1, 2, 8).boot();
    assert_eq!(world.admit(true), Placement::Worker(1));
    assert_eq!(world.admit(true), Placement::Wait(1));
    assert_eq!(world.admit(false), Placement::Worker(1), "the loop is free");
    assert_eq!(world.decide(), [], "not yet worth a process");
    assert_eq!(world.after(100).spawned(), [2]);
    assert_eq!(world.state.seat(), Some((1, 1, true)), "two is all there can be, so it waits in the worker");
    world.state.ready(2, world.now);
    assert_eq!(world.admit(true), Placement::Worker(2));
}

#[test]
fn workers_come_one_at_a_time_up_to_the_maximum() {
    let mut world = World::new(1, 3, 1).boot();
    for _ in 0..10 {
        world.admit(false);
    }
    assert_eq!(world.after(100).spawned(), [2]);
    assert_eq!(world.after(100).spawned(), NONE, "one is on its way");
    world.state.ready(2, world.now);
    assert!(world.state.seat().is_some());
    assert_eq!(world.spawned(), [3]);
    world.state.ready(3, world.now);
    assert!(world.state.seat().is_some());
    assert_eq!(world.after(10_000).spawned(), NONE, "three is the maximum");
}

#[test]
fn a_queue_delay_is_how_long_a_call_waits_for_a_worker_that_is_there() {
    let mut world = World::new(1, 3, 1).with(|limits| limits.scaler.value = 4).boot();
    assert_eq!(world.admit(false), Placement::Worker(1));
    assert_eq!(world.admit(false), Placement::Wait(1));
    assert_eq!(world.state.next_decision(world.now), Some(world.now + Duration::from_secs(4)));
    assert_eq!(world.after(3_999).spawned(), NONE);
    assert_eq!(world.after(1).spawned(), [2]);
}

#[test]
fn a_request_count_is_how_many_calls_there_may_be_for_each_worker() {
    let scaler = Scaler { scaler_type: ScalerType::RequestCount, value: 2 };
    let mut world = World::new(0, 3, 1).with(|limits| limits.scaler = scaler).boot();
    assert_eq!(world.admit(false), Placement::Worker(1));
    assert_eq!(world.admit(false), Placement::Wait(1));
    assert_eq!(world.after(60_000).spawned(), NONE, "two for one, however long that takes");
    world.admit(false);
    assert_eq!(world.spawned(), [2]);
    world.state.set_backlog(100);
    assert_eq!(world.spawned(), [3], "three is the maximum");
    world.state.set_backlog(0);
    for id in [2, 3] {
        world.state.ready(id, world.now);
        assert!(world.state.seat().is_some());
    }
    for id in [1, 2, 3] {
        world.state.release(id, false, world.now);
    }
    assert_eq!(world.after(5_000).decide().len(), 3, "nothing to do");
}

#[test]
fn a_worn_worker_is_followed_by_a_new_one_and_finishes_what_it_has() {
    let mut world = World::new(1, 1, 2).with(|limits| limits.calls_max = Some(3)).boot();
    for _ in 0..2 {
        assert_eq!(world.admit(false), Placement::Worker(1));
        world.state.release(1, false, world.now);
    }
    assert_eq!(world.decide(), []);
    assert_eq!(world.admit(false), Placement::Worker(1), "its last");
    assert_eq!(world.admit(false), Placement::Wait(1));
    assert_eq!(world.decide(), [Action::Spawn(2)], "before the old one is gone");
    world.state.ready(2, world.now);
    assert_eq!(world.state.seat(), Some((1, 2, false)));
    world.state.release(1, false, world.now);
    assert_eq!(world.decide(), [Action::Stop(1)]);
    world.state.exited(1, None, world.now);
    world.state.wear_out(2);
    assert_eq!(world.admit(false), Placement::Wait(2));
    assert_eq!(world.decide(), [Action::Spawn(3)]);
}

#[test]
fn code_that_cannot_load_fails_calls_at_once_and_is_tried_again_ever_later() {
    let mut world = World::new(0, 1, 1);
    assert_eq!(world.spawned(), [1]);
    assert_eq!(world.admit(false), Placement::Wait(1));
    assert_eq!(world.fail(1), [1], "nothing left to wait for");
    assert_eq!(world.state.health(), Health::Failed(broken()));
    for (id, seconds) in [(2, 1), (3, 2), (4, 4), (5, 8), (6, 16), (7, 30), (8, 30)] {
        assert_eq!(world.admit(false), Placement::Failed(broken(), Duration::from_secs(seconds)));
        assert_eq!(world.state.next_decision(world.now), Some(world.now + Duration::from_secs(seconds)));
        assert_eq!(world.after(seconds * 1_000 - 1).spawned(), NONE);
        assert_eq!(world.after(1).spawned(), [id]);
        assert!(matches!(world.admit(false), Placement::Wait(_)));
        assert_eq!(world.fail(id).len(), 1);
    }
    world.after(30_000);
    let id = world.spawned()[0];
    world.state.ready(id, world.now);
    assert_eq!(world.state.health(), Health::Healthy);
    assert_eq!(world.admit(false), Placement::Worker(id));
}

#[test]
fn a_worker_that_has_served_is_replaced_without_delay_one_that_never_did_is_not() {
    let mut world = World::new(1, 1, 1).boot();
    assert_eq!(world.admit(false), Placement::Worker(1));
    world.state.release(1, false, world.now);
    world.state.exited(1, None, world.now);
    assert_eq!(world.spawned(), [2]);
    for (id, delay_ms) in [(2, 0), (3, 1_000), (4, 2_000)] {
        world.state.ready(id, world.now);
        world.state.exited(id, None, world.now);
        if delay_ms > 0 {
            assert_eq!(world.after(delay_ms - 1).spawned(), NONE);
            world.after(1);
        }
        assert_eq!(world.spawned(), [id + 1]);
    }
}

#[test]
fn workers_that_we_end_do_not_count_and_bad_calls_only_when_many_in_a_row() {
    let mut world = World::new(1, 1, 1).boot();
    for id in 1..10 {
        assert_eq!(world.admit(false), Placement::Worker(id));
        world.state.stopping(id);
        world.state.exited(id, None, world.now);
        assert_eq!(world.spawned(), [id + 1], "ended by us");
        world.state.ready(id + 1, world.now);
    }
    for id in 10..20 {
        assert_eq!(world.admit(false), Placement::Worker(id));
        world.after(5_000);
        world.state.exited(id, None, world.now);
        assert_eq!(world.spawned(), [id + 1], "crashed late");
        world.state.ready(id + 1, world.now);
    }
    for (id, delay_ms) in [(20, 0), (21, 0), (22, 0), (23, 1_000), (24, 2_000)] {
        assert_eq!(world.admit(false), Placement::Worker(id));
        world.after(4_999);
        world.state.exited(id, None, world.now);
        if delay_ms > 0 {
            assert_eq!(world.after(delay_ms - 1).spawned(), NONE);
            world.after(1);
        }
        assert_eq!(world.spawned(), [id + 1], "crashed early");
        world.state.ready(id + 1, world.now);
    }
    assert_eq!(world.admit(false), Placement::Worker(25));
    world.state.release(25, false, world.now);
    world.state.exited(25, None, world.now);
    assert_eq!(world.spawned(), [26], "one that answers ends the row");
}

#[test]
fn the_door_has_a_limit_in_bytes_too() {
    let mut world = World::new(1, 1, 1).boot();
    let mut admit = |size_bytes: usize| world.state.admit(false, size_bytes, world.now);
    assert_eq!(admit(DOOR_BYTES_MAX), Placement::Worker(1), "what need not wait does not count");
    assert_eq!(admit(DOOR_BYTES_MAX - 1), Placement::Wait(1));
    assert_eq!(admit(1), Placement::Wait(2));
    assert_eq!(admit(1), Placement::DoorFullOfBytes);
    assert_eq!(admit(0), Placement::Wait(3));
    world.state.leave(1);
    assert_eq!(world.state.admit(false, 1, world.now), Placement::Wait(4));
}

#[test]
fn the_door_has_a_limit_and_drains() {
    let mut world = World::new(1, 1, 1).boot();
    world.admit(false);
    for _ in 0..DOOR_CALLS_MAX {
        assert!(matches!(world.admit(false), Placement::Wait(_)));
    }
    assert_eq!(world.admit(false), Placement::DoorFull);
    world.state.leave(1);
    assert!(matches!(world.admit(false), Placement::Wait(_)));
    let (workers, tickets) = world.state.drain();
    assert_eq!((workers.len(), tickets.len()), (1, DOOR_CALLS_MAX));
    assert_eq!(world.admit(false), Placement::Draining);
    assert_eq!(world.decide(), []);
    world.state.release(1, false, world.now);
    assert_eq!(world.after(60_000).decide(), []);
    assert_eq!(
        world.state.next_decision(world.now),
        None,
        "nothing is decided any more, so nobody need look"
    );
}

#[test]
fn slots_never_exceed_the_limits_whatever_happens() {
    // A seeded walk through everything that can happen; the seed is in the message.
    for seed in 1..200_u64 {
        let mut world = World::new(1, 3, 2);
        let (mut random, mut held) = (seed, Vec::new());
        for _ in 0..200 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let (choice, which) = ((random >> 33) % 7, (random >> 40) as usize);
            match choice {
                0 | 1 => {
                    if let Placement::Worker(id) = world.admit(which % 2 == 0) {
                        held.push((id, which % 2 == 0));
                    }
                }
                2 if !held.is_empty() => {
                    let (id, sync) = held.swap_remove(which % held.len());
                    world.state.release(id, sync, world.now);
                }
                3 => {
                    let id = world.state.next_worker.saturating_sub(1 + which as u32 % 3);
                    held.retain(|(holder, _)| *holder != id);
                    world.state.exited(id, None, world.now);
                }
                4 => world.state.ready(world.state.next_worker - 1, world.now),
                _ => drop(world.after(which as u64 % 3_000).decide()),
            }
            while world.state.seat().is_some() {}
            assert!(world.state.active() <= 3, "seed {seed}");
            assert!(world.state.workers.values().all(|worker| worker.in_flight <= 2), "seed {seed}");
            assert!(world.state.workers.values().all(|worker| worker.in_flight_sync <= worker.in_flight));
        }
    }
}

#[test]
fn the_first_worker_does_not_wait_for_gpus_and_one_beside_others_as_long_as_it_takes() {
    let mut world = World::new(0, 2, 1);
    let [first] = world.spawned()[..] else { panic!("one at boot") };
    assert_eq!(world.state.short_of_gpus(first, Duration::ZERO), Shortage::Share);
    world.state.ready(first, world.now);
    world.admit(true);
    world.admit(true);
    let [second] = world.after(100).spawned()[..] else { panic!("one for the call that waits") };
    assert_eq!(world.state.short_of_gpus(second, Duration::from_secs(3600)), Shortage::Wait);
    assert_eq!((world.state.counts().throttled, world.state.counts().initializing), (1, 0));
    world.state.exited(first, None, world.now);
    assert_eq!(world.state.short_of_gpus(second, GPU_PATIENCE / 2), Shortage::Wait);
    assert_eq!(world.state.short_of_gpus(second, GPU_PATIENCE), Shortage::Share);
    world.state.has_gpus(second);
    assert_eq!((world.state.counts().throttled, world.state.counts().initializing), (0, 1));
    world.state.drain();
    assert_eq!(world.state.short_of_gpus(second, Duration::ZERO), Shortage::Leave);
}
