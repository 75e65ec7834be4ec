//! Whatever happens to jobs, in whatever order and at whichever of two endpoints: random lives of a queue beside a small model of it.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

const HAPPENINGS_MAX: usize = 60;
const ENDPOINTS: [&str; 2] = ["one", "two"];
const BODIES: [&str; 2] = ["{}", r#"{"x":1}"#];

#[derive(Debug, Clone)]
enum Happening {
    Submit {
        retries: u32,
        low_priority: bool,
        ttl_ms: Option<u64>,
        key: Option<usize>,
        body: usize,
    },
    Claim {
        count: usize,
    },
    /// Of a job in progress; `Some` = by an attempt that is not the current one.
    Finish {
        which: Index,
        end: End,
        stale: bool,
    },
    TryAgain {
        which: Index,
        pause_ms: u64,
    },
    Release(Index),
    Cancel(Index),
    Retry(Index),
    Redrive(Index),
    RedriveAll,
    Purge,
    Pass(u64),
    /// `kill -9` of the endpoint, in the middle of a transaction.
    Crash,
}

fn happening() -> impl Strategy<Value = Happening> {
    let end = prop_oneof![Just(End::Completed), Just(End::Failed), Just(End::TimedOut)];
    let some_ms = || prop::option::weighted(0.2, 50..2_000_u64);
    let any_job = any::<Index>;
    prop_oneof![
        8 => (0..3_u32, any::<bool>(), some_ms(), prop::option::of(0..3_usize), 0..BODIES.len()).prop_map(
            |(retries, low_priority, ttl_ms, key, body)| Happening::Submit { retries, low_priority, ttl_ms, key, body }
        ),
        6 => (1..4_usize).prop_map(|count| Happening::Claim { count }),
        5 => (any_job(), end, prop::bool::weighted(0.2)).prop_map(|(which, end, stale)| Happening::Finish { which, end, stale }),
        3 => (any_job(), 0..500_u64).prop_map(|(which, pause_ms)| Happening::TryAgain { which, pause_ms }),
        1 => any_job().prop_map(Happening::Release),
        2 => any_job().prop_map(Happening::Cancel),
        2 => any_job().prop_map(Happening::Retry),
        2 => any_job().prop_map(Happening::Redrive),
        1 => Just(Happening::RedriveAll),
        1 => Just(Happening::Purge),
        4 => (1..400_u64).prop_map(Happening::Pass),
        3 => Just(Happening::Crash),
    ]
}

#[derive(Debug, Clone)]
struct Job {
    status: JobStatus,
    /// Of the queue: the least is next.
    place: u64,
    attempts: u32,
    failures: u32,
    retries: u32,
    max_retries: u32,
    low_priority: bool,
    expires_ms: Option<u64>,
    due_ms: Option<u64>,
    finished_ms: Option<u64>,
    dead: bool,
    /// Which endpoint runs it.
    at: Option<usize>,
    key: Option<(usize, usize)>,
    bytes: u64,
}

struct Model {
    path: std::path::PathBuf,
    stores: [Store; 2],
    now_ms: u64,
    next: u64,
    jobs: BTreeMap<String, Job>,
}

fn open(path: &Path) -> Store {
    let store = Store::open(path).unwrap();
    // A crash of the process loses nothing that was handed to the system.
    store.connection.pragma_update(None, "synchronous", "OFF").unwrap();
    store.connection.busy_timeout(Duration::ZERO).unwrap();
    store
}

fn key(number: usize, body: usize) -> Key {
    Key { text: format!("k{number}").into(), digest: BODIES[body].into() }
}

impl Model {
    fn new(folder: &Path) -> Self {
        let path = folder.join("jobs.sqlite");
        Self { stores: [open(&path), open(&path)], path, now_ms: 1_000, next: 0, jobs: BTreeMap::new() }
    }

    /// In one transaction of one endpoint, as the writer does it.
    fn apply(&mut self, at: usize, happening: &Happening) {
        if let Happening::Crash = happening {
            self.crash(at);
        } else {
            self.stores[at].begin().unwrap();
            self.act(at, happening);
            self.stores[at].commit().unwrap();
        }
        self.check();
    }

    fn act(&mut self, at: usize, happening: &Happening) {
        let now_ms = self.now_ms;
        let pick = |which: &Index, jobs: Vec<String>| (!jobs.is_empty()).then(|| which.get(&jobs).clone());
        match happening {
            Happening::Submit { retries, low_priority, ttl_ms, key, body } => {
                self.submit(at, *retries, *low_priority, *ttl_ms, key.map(|key| (key, *body)), *body);
            }
            Happening::Claim { count } => self.claim(at, *count),
            Happening::Finish { which, end, stale } => {
                let Some(id) = pick(which, self.running()) else { return };
                let attempt = self.jobs[&id].attempts + u32::from(*stale);
                let output = (*end == End::Completed).then(|| "1".to_owned());
                let error = (*end != End::Completed).then(|| "no".to_owned());
                let outcome = Outcome { end: *end, output, error, is_retriable: false };
                self.stores[at].finish(&id, attempt, &outcome, now_ms).unwrap();
                let job = self.jobs.get_mut(&id).unwrap();
                if !stale {
                    job.end(end.status(), now_ms);
                    job.dead = *end != End::Completed && job.max_retries > 0;
                }
            }
            Happening::TryAgain { which, pause_ms } => {
                let Some(id) = pick(which, self.running()) else { return };
                let job = self.jobs.get_mut(&id).unwrap();
                let due_ms = now_ms + pause_ms;
                self.stores[at].try_again(&id, job.attempts, Some("no"), due_ms).unwrap();
                (job.status, job.at, job.due_ms) = (JobStatus::InQueue, None, Some(due_ms));
                (job.failures, job.retries) = (job.failures + 1, job.retries + 1);
            }
            Happening::Release(which) => {
                let Some(id) = pick(which, self.running()) else { return };
                let job = self.jobs.get_mut(&id).unwrap();
                self.stores[at].release(&id, job.attempts).unwrap();
                (job.status, job.at, job.attempts) = (JobStatus::InQueue, None, job.attempts - 1);
            }
            Happening::Cancel(which) => {
                let Some(id) = pick(which, self.ids()) else { return };
                let job = self.jobs.get_mut(&id).unwrap();
                let was = job.status;
                if !was.is_terminal() {
                    job.end(JobStatus::Cancelled, now_ms);
                }
                let expected = Cancelled { status: job.status, was_running: was == JobStatus::InProgress };
                assert_eq!(self.stores[at].cancel(&id, now_ms).unwrap(), Some(expected));
            }
            Happening::Retry(which) => {
                let Some(id) = pick(which, self.ids()) else { return };
                let job = self.jobs.get_mut(&id).unwrap();
                let retried = self.stores[at].retry(&id, now_ms).unwrap();
                match job.status {
                    JobStatus::Failed | JobStatus::TimedOut => {
                        assert_eq!(retried, Retried::Queued);
                        job.begin_afresh();
                    }
                    other => assert_eq!(retried, Retried::Refused(other)),
                }
            }
            Happening::Redrive(which) => {
                let Some(id) = pick(which, self.ids()) else { return };
                let redriven = self.stores[at].redrive(&id, now_ms).unwrap();
                let job = &self.jobs[&id];
                if job.dead {
                    assert_eq!(redriven, Redrive::Queued);
                    self.redrive(&id);
                } else {
                    assert_eq!(redriven, Redrive::NotDead(job.status));
                }
            }
            Happening::RedriveAll => {
                let mut dead: Vec<(u64, u64, String)> = self
                    .jobs
                    .iter()
                    .filter(|(_, job)| job.dead && job.finished_ms.unwrap() < now_ms)
                    .map(|(id, job)| (job.finished_ms.unwrap(), job.place, id.clone()))
                    .collect();
                dead.sort();
                let redriven = self.stores[at].redrive_some(now_ms, u64::MAX >> 1, now_ms).unwrap();
                assert_eq!(redriven, dead.len() as u64);
                for (_, _, id) in dead {
                    self.redrive(&id);
                }
            }
            Happening::Purge => {
                let mut purged = self.stores[at].purge(now_ms).unwrap();
                purged.sort();
                let waiting = self.jobs.iter_mut().filter(|(_, job)| job.status == JobStatus::InQueue);
                let waiting = waiting.map(|(id, job)| {
                    job.end(JobStatus::Cancelled, now_ms);
                    id.clone()
                });
                assert_eq!(purged, waiting.collect::<Vec<_>>());
            }
            Happening::Pass(ms) => self.pass(at, *ms),
            Happening::Crash => {}
        }
    }

    fn submit(
        &mut self,
        at: usize,
        max_retries: u32,
        low_priority: bool,
        ttl_ms: Option<u64>,
        keyed: Option<(usize, usize)>,
        body: usize,
    ) {
        let store = &self.stores[at];
        if let Some((number, body)) = keyed {
            let known = self.jobs.iter().find(|(_, job)| job.key.is_some_and(|(key, _)| key == number));
            let expected = known.map(|(id, job)| match job.key {
                Some((_, of)) if of == body => {
                    Known::Same(flash_model::wire::JobAccepted { id: id.clone(), status: job.status })
                }
                _ => Known::OtherBody,
            });
            assert_eq!(store.known(&key(number, body), self.now_ms).unwrap(), expected);
            if expected.is_some() {
                return;
            }
        }
        let policy = Policy { max_retries, is_low_priority: low_priority, ttl_ms, ..Policy::default() };
        let key = keyed.map(|(number, body)| key(number, body));
        let job = Submission { input: BODIES[body].into(), policy, webhook: None, key, trace: None };
        self.next += 1;
        let id = format!("j{:03}", self.next);
        store.submit(&id, &job, self.now_ms).unwrap();
        let place = self.last_place() + 1;
        let expires_ms = ttl_ms.map(|ttl| self.now_ms + ttl);
        let (status, bytes) = (JobStatus::InQueue, BODIES[body].len() as u64);
        let job = Job {
            status,
            place,
            attempts: 0,
            failures: 0,
            retries: 0,
            max_retries,
            low_priority,
            expires_ms,
            due_ms: None,
            finished_ms: None,
            dead: false,
            at: None,
            key: keyed,
            bytes,
        };
        self.jobs.insert(id, job);
    }

    /// First come, first served; nobody is given a job that somebody has.
    fn claim(&mut self, at: usize, count: usize) {
        let workers: Vec<String> = (0..count).map(|number| format!("{}-{number}", ENDPOINTS[at])).collect();
        let claimed = self.stores[at].claim(&workers, self.now_ms).unwrap();
        let mut next: Vec<(&String, &mut Job)> =
            self.jobs.iter_mut().filter(|(_, job)| job.is_ripe()).collect();
        next.sort_by_key(|(_, job)| job.place);
        next.truncate(count);
        assert_eq!(claimed.len(), next.len());
        for (claimed, (id, job)) in claimed.iter().zip(next) {
            (job.status, job.at, job.attempts) = (JobStatus::InProgress, Some(at), job.attempts + 1);
            assert_eq!((&claimed.id, claimed.attempt, claimed.failures), (id, job.attempts, job.failures));
            assert_eq!((claimed.input.len() as u64, claimed.max_retries), (job.bytes, job.max_retries));
        }
    }

    fn redrive(&mut self, id: &str) {
        let place = self.last_place() + 1;
        let job = self.jobs.get_mut(id).unwrap();
        job.begin_afresh();
        job.place = place;
    }

    fn pass(&mut self, at: usize, ms: u64) {
        self.now_ms += ms;
        let now_ms = self.now_ms;
        let mut expired = self.stores[at].expire(now_ms).unwrap();
        expired.sort();
        let gone = self.jobs.iter().filter(|(_, job)| job.expires_ms.is_some_and(|at| at <= now_ms));
        let gone: Vec<String> = gone.map(|(id, _)| id.clone()).collect();
        assert_eq!(expired, gone);
        self.jobs.retain(|id, _| !gone.contains(id));
        let ripe =
            |job: &&mut Job| job.status == JobStatus::InQueue && job.due_ms.is_some_and(|due| due <= now_ms);
        let ripened = self.jobs.values_mut().filter(ripe).map(|job| job.due_ms = None).count();
        assert_eq!(self.stores[at].ripen(now_ms).unwrap(), ripened);
    }

    /// What was not committed is as if it had not been; what the endpoint ran is queued again, three times at most.
    fn crash(&mut self, at: usize) {
        self.stores[at].begin().unwrap();
        self.stores[at].submit("torn", &super::tests::job("{}"), self.now_ms).unwrap();
        self.stores[at].claim(&[format!("{}-9", ENDPOINTS[at])], self.now_ms).unwrap();
        // The old connection is closed, without a commit, before there is a new one.
        self.stores[at] = open(Path::new(":memory:"));
        self.stores[at] = open(&self.path);
        self.stores[at].begin().unwrap();
        self.stores[at].recover(Gone::This(ENDPOINTS[at]), self.now_ms).unwrap();
        self.stores[at].commit().unwrap();
        for job in self.jobs.values_mut().filter(|job| job.at == Some(at)) {
            if job.attempts - job.failures >= ATTEMPTS_MAX {
                job.end(JobStatus::Failed, self.now_ms);
                job.dead = true;
            } else {
                (job.status, job.at) = (JobStatus::InQueue, None);
            }
        }
    }

    fn check(&self) {
        for store in &self.stores {
            store.begin().unwrap();
            for (id, job) in &self.jobs {
                let view = store.view(id, self.now_ms).unwrap().unwrap();
                assert_eq!((view.status, view.retries), (job.status, job.retries.into()), "{id}: {view:?}");
            }
            let of = |status: JobStatus| self.jobs.values().filter(|job| job.status == status).count() as u64;
            let counts = store.counts().unwrap();
            assert_eq!(
                (counts.in_queue, counts.in_progress),
                (of(JobStatus::InQueue), of(JobStatus::InProgress))
            );
            assert_eq!(counts.completed, of(JobStatus::Completed));
            assert_eq!(counts.failed, of(JobStatus::Failed) + of(JobStatus::TimedOut));
            assert_eq!(store.backlog(), self.backlog());
            let dead = self.jobs.values().filter(|job| job.dead).count() as u64;
            assert_eq!(store.dead(u64::MAX >> 1, self.now_ms).unwrap().total, dead);
            store.commit().unwrap();
        }
    }

    fn backlog(&self) -> Backlog {
        let queued = || self.jobs.values().filter(|job| job.status == JobStatus::InQueue);
        Backlog {
            jobs: queued().filter(|job| job.is_ripe()).count() as u64,
            low_priority: queued().filter(|job| job.is_ripe() && job.low_priority).count() as u64,
            later: queued().filter(|job| !job.is_ripe()).count() as u64,
            bytes: queued().map(|job| job.bytes).sum(),
        }
    }

    fn ids(&self) -> Vec<String> {
        self.jobs.keys().cloned().collect()
    }

    fn running(&self) -> Vec<String> {
        let running = self.jobs.iter().filter(|(_, job)| job.status == JobStatus::InProgress);
        running.map(|(id, _)| id.clone()).collect()
    }

    fn last_place(&self) -> u64 {
        self.jobs.values().map(|job| job.place).max().unwrap_or_default()
    }
}

impl Job {
    fn is_ripe(&self) -> bool {
        self.status == JobStatus::InQueue && self.due_ms.is_none()
    }

    fn end(&mut self, status: JobStatus, now_ms: u64) {
        (self.status, self.finished_ms, self.at) = (status, Some(now_ms), None);
    }

    fn begin_afresh(&mut self) {
        (self.status, self.attempts, self.failures) = (JobStatus::InQueue, 0, 0);
        (self.due_ms, self.finished_ms, self.dead, self.retries) = (None, None, false, self.retries + 1);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn jobs_are_queued_in_progress_or_ended_once_whatever_happens_and_whoever_crashes(
        happenings in vec((0..ENDPOINTS.len(), happening()), 1..HAPPENINGS_MAX),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut model = Model::new(folder.path());
        for (at, happening) in &happenings {
            model.apply(*at, happening);
        }
    }
}
