//! Calls on their way between motherships and what they call, and everything else that is yet to happen, by time.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::faults::{Crash, Fate, Faults, Service, Trouble};
use super::pace::Pace;
use super::random::Random;
use super::realm::Realm;
use super::scenario::Happening;

pub(super) const PROCESSES_MAX: usize = 3;

/// One life of one mothership's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Life {
    pub(super) process: usize,
    pub(super) number: u32,
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", ["A", "B", "C"][self.process], self.number)
    }
}

/// How a request arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrival {
    pub(super) from: Life,
    /// It was here before.
    pub(super) is_repeat: bool,
    /// Its sender has been told meanwhile that there is no answer.
    pub(super) is_late: bool,
}

type Effect = Box<dyn FnMut(&mut Realm, Arrival) -> Box<dyn FnOnce() + Send> + Send>;

/// A request on its way.
pub(super) struct Request {
    from: Life,
    what: String,
    heard_ms: u64,
    repeated_ms: Option<u64>,
    is_repeat: bool,
    truth_is_heard: bool,
    effect: Effect,
}

pub(super) enum Event {
    Arrive(Box<Request>),
    Reply {
        to: Life,
        what: String,
        deliver: Box<dyn FnOnce() + Send>,
    },
    /// The process dies when its tasks have been polled so many times.
    Crash {
        life: Life,
        polls: u64,
    },
    Happen(Happening),
}

impl Event {
    /// Whether a process notices, or may notice what follows from it at the same time.
    fn concerns(&self, process: usize) -> bool {
        match self {
            Self::Arrive(request) => {
                request.truth_is_heard && !request.is_repeat && request.from.process == process
            }
            Self::Reply { to: life, .. } | Self::Crash { life, .. } => life.process == process,
            Self::Happen(happening) => happening.concerns(process),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Network(Arc<Mutex<Inner>>);

struct Inner {
    queue: BTreeMap<(u64, u64), Event>,
    /// Of these, by process: when something happens to it that is not of its own making.
    concerning: [BTreeSet<(u64, u64)>; PROCESSES_MAX],
    sequence: u64,
    random: Random,
    faults: Faults,
    /// When calls were last made whose answers were not heard.
    unheard: BTreeMap<String, u64>,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("queued", &self.queue.len()).finish_non_exhaustive()
    }
}

impl Network {
    pub(super) fn new(random: Random, faults: Faults) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            queue: BTreeMap::new(),
            concerning: Default::default(),
            sequence: 0,
            random,
            faults,
            unheard: BTreeMap::new(),
        })))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on nothing goes wrong. What is on its way already stays as it is.
    pub(super) fn calm(&self) {
        self.inner().faults = Faults::none();
    }

    pub(super) fn schedule(&self, at_ms: u64, event: Event) {
        self.inner().schedule(at_ms, event);
    }

    /// When the next thing happens that a process will notice. Until then it can go on by itself, whatever happens elsewhere.
    pub(super) fn next_ms(&self, process: usize) -> Option<u64> {
        self.inner().concerning[process].first().map(|(at_ms, _)| *at_ms)
    }

    pub(super) fn pop(&self) -> Option<(u64, Event)> {
        let mut inner = self.inner();
        let (key, event) = inner.queue.pop_first()?;
        for keys in &mut inner.concerning {
            keys.remove(&key);
        }
        Some((key.0, event))
    }

    /// When such a call was last made whose answer was not heard.
    pub(super) fn unheard_ms(&self, what: &str) -> Option<u64> {
        self.inner().unheard.get(what).copied()
    }

    /// Lets a request take effect, and puts its answer, and its repetition, on their way.
    pub(super) fn arrive(&self, realm: &mut Realm, mut request: Box<Request>) {
        let now_ms = realm.now_ms;
        let arrival = Arrival {
            from: request.from,
            is_repeat: request.is_repeat,
            is_late: now_ms > request.heard_ms || (!request.truth_is_heard && now_ms == request.heard_ms),
        };
        realm.note(|| {
            let how = match (arrival.is_repeat, arrival.is_late) {
                (true, _) => " (again)",
                (_, true) => " (late)",
                _ => "",
            };
            format!("{} → {}{how}", request.from, request.what)
        });
        let deliver = (request.effect)(realm, arrival);
        if request.truth_is_heard && !request.is_repeat {
            let reply = Event::Reply { to: request.from, what: request.what.clone(), deliver };
            self.schedule(request.heard_ms, reply);
        }
        if let Some(again_ms) = request.repeated_ms.take() {
            request.is_repeat = true;
            self.schedule(again_ms.max(now_ms), Event::Arrive(request));
        }
    }
}

impl Inner {
    fn schedule(&mut self, at_ms: u64, event: Event) {
        self.sequence += 1;
        let key = (at_ms, self.sequence);
        for (process, keys) in self.concerning.iter_mut().enumerate() {
            if event.concerns(process) {
                keys.insert(key);
            }
        }
        self.queue.insert(key, event);
    }
}

/// How a process calls out. Its clock is the runtime's that it lives in.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) network: Network,
    pub(super) life: Life,
    pub(super) born_ms: u64,
    pub(super) epoch: Instant,
    /// Told of every call made.
    pub(super) sent: Arc<Notify>,
    /// How many since somebody looked.
    pub(super) made: Arc<AtomicU64>,
    pub(super) pace: Pace,
}

impl Line {
    pub(super) fn now_ms(&self) -> u64 {
        let lived = Instant::now().saturating_duration_since(self.epoch);
        self.born_ms + u64::try_from(lived.as_millis()).unwrap_or(u64::MAX)
    }

    /// Sends a request and waits for its answer, which may never come.
    pub(super) async fn call<T, E>(
        &self,
        service: Service,
        what: String,
        mut effect: impl FnMut(&mut Realm, Arrival) -> Result<T, E> + Send + 'static,
        trouble: fn(Trouble) -> E,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: Send + 'static,
    {
        let answered = {
            let (answer, answered) = oneshot::channel();
            let answer = Arc::new(Mutex::new(Some(answer)));
            let give = move |result: Result<T, E>| -> Box<dyn FnOnce() + Send> {
                let answer = Arc::clone(&answer);
                Box::new(move || {
                    let answer = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
                    // Whoever asked may be gone.
                    let _ = answer.map(|answer| answer.send(result));
                })
            };
            let give_trouble = give.clone();
            let now_ms = self.now_ms();
            let inner = &mut *self.network.inner();
            let Fate { arrives_ms, repeated_ms, refused, heard_ms, is_heard, truth_is_heard, crash } =
                inner.faults.fate(service, &mut inner.random);
            let life = self.life;
            if crash != Some(Crash::BeforeRequest)
                && let Some(arrives_ms) = arrives_ms
            {
                let request = Request {
                    from: life,
                    what: what.clone(),
                    heard_ms: now_ms + heard_ms,
                    repeated_ms: repeated_ms.map(|after_ms| now_ms + after_ms),
                    is_repeat: false,
                    truth_is_heard,
                    effect: Box::new(move |realm, arrival| match refused {
                        Some(refused) => {
                            realm.note(|| format!("  {refused:?}"));
                            give(Err(trouble(refused)))
                        }
                        None => {
                            let result = effect(realm, arrival);
                            give(result)
                        }
                    }),
                };
                inner.schedule(now_ms + arrives_ms, Event::Arrive(Box::new(request)));
            }
            if !truth_is_heard {
                inner.unheard.insert(what.clone(), now_ms);
            }
            if is_heard && !truth_is_heard {
                let deliver = give_trouble(Err(trouble(Trouble::NoAnswer)));
                let what = format!("{what}: no answer");
                inner.schedule(now_ms + heard_ms, Event::Reply { to: life, what, deliver });
            }
            if let Some(crash) = crash {
                let (at_ms, polls) = match crash {
                    Crash::BeforeRequest | Crash::AfterRequest => (now_ms, 0),
                    Crash::AfterEffect => (now_ms + arrives_ms.unwrap_or(0), 0),
                    Crash::AfterReply { polls } => (now_ms + heard_ms, polls),
                };
                inner.schedule(at_ms, Event::Crash { life, polls });
            }
            answered
        };
        self.made.fetch_add(1, Ordering::Relaxed);
        self.sent.notify_one();
        match answered.await {
            Ok(result) => result,
            Err(_) => std::future::pending().await,
        }
    }
}
