//! Hands out the slots of the workers and keeps as many workers as `state.rs` says.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use flash_model::wire::{WorkerCounts, WorkerStart};
use flash_model::{Code, TraceContext};
use tokio::sync::{Notify, oneshot};

use super::awake::Awake;
use super::link::{Answer, InFlight, Link, Origin, Reply};
use super::process::{self, Launch, TERMINATE_GRACE};
use super::protocol::{Frame, Kind, ReadyHeader, with_trace};
use super::size;
use super::state::{Action, Failure, Health, Placement, Shortage, State, Ticket, WorkerId};
use super::stream::Stream;
use super::template::{Standing, Template};
use crate::metrics::{Metrics, WorkerEnd};
use crate::refusal::Refusal;
use crate::relay::Relay;
use crate::trace::{Span, Tracer};

pub(crate) use super::state::Limits;

/// How long a call waits for a worker, start of one from nothing included.
const DOOR_TIMEOUT: Duration = Duration::from_secs(120);
/// Between asking a call that ran out of time to stop and telling its worker to end (`process.rs` says how).
pub(super) const CANCEL_GRACE: Duration = Duration::from_secs(1);

/// For workers that were killed to be gone.
const KILL_TIMEOUT: Duration = Duration::from_secs(1);
/// How soon a worker is noticed that has grown too large.
const SIZE_PERIOD: Duration = Duration::from_secs(2);
/// Between telling an idle worker to stop and ending it.
const STOP_GRACE: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no worker became free within {} s", DOOR_TIMEOUT.as_secs())]
    DoorTimeout,
    #[error("too many calls are waiting for a worker")]
    DoorFull,
    #[error("the calls that wait for a worker hold too many bytes")]
    DoorFullOfBytes,
    #[error("the endpoint is shutting down")]
    Draining,
    #[error("the worker cannot load the code: {}: {}", .0.kind, .0.message)]
    Failed(Failure, Duration),
    #[error("the call ran longer than {} ms", .0.as_millis())]
    ExecutionTimeout(Duration),
    #[error("the call was cancelled")]
    Cancelled,
    #[error("arguments are larger than a worker can be sent")]
    TooLarge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// A caller is waiting: give up after [`DOOR_TIMEOUT`].
    Door,
    /// The work is on disk and can wait as long as it takes.
    Endless,
}

/// A function called by name.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) function: &'a str,
    /// Whether it needs a worker's one thread for plain functions.
    pub(crate) is_sync: bool,
    pub(crate) trace: Option<&'a TraceContext>,
    pub(crate) header: Bytes,
    pub(crate) body: Bytes,
}

/// Cheap to clone; all clones are the same pool.
#[derive(Debug, Clone)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    core: Mutex<Core>,
    /// Something happened that may call for another decision.
    changed: Notify,
    /// A worker is gone.
    exited: Notify,
    execution_timeout: Option<Duration>,
    /// Calls that one worker runs at the same time.
    concurrency: u32,
    awake: Awake,
    template: Template,
    metrics: Arc<Metrics>,
    tracer: Tracer,
}

#[derive(Debug)]
struct Core {
    state: State,
    links: HashMap<WorkerId, Connected>,
    waiting: HashMap<Ticket, oneshot::Sender<Result<Lease, Error>>>,
    /// Also of workers that are not ready.
    running: HashMap<WorkerId, Arc<Link>>,
}

#[derive(Debug)]
struct Connected {
    link: Arc<Link>,
    pid: u32,
    port: Option<u16>,
}

impl Pool {
    pub(crate) fn new(
        limits: Limits,
        execution_timeout: Option<Duration>,
        metrics: Arc<Metrics>,
        tracer: Tracer,
    ) -> Self {
        let core = Core {
            state: State::new(limits),
            links: HashMap::new(),
            waiting: HashMap::new(),
            running: HashMap::new(),
        };
        let shared = Shared {
            core: Mutex::new(core),
            changed: Notify::new(),
            exited: Notify::new(),
            execution_timeout,
            concurrency: limits.concurrency,
            awake: Awake::new(),
            template: Template::new(),
            metrics,
            tracer,
        };
        Self { shared: Arc::new(shared) }
    }

    /// A slot of a worker, now or when one is free. The caller keeps so many bytes until then.
    pub(crate) async fn lease(
        &self,
        sync: bool,
        size_bytes: usize,
        patience: Patience,
    ) -> Result<Lease, Error> {
        let began = Instant::now();
        let (ticket, seat, is_cold) = {
            let mut core = self.lock();
            match core.state.admit(sync, size_bytes, began) {
                Placement::Worker(id) => {
                    if let Some(lease) = self.seat(&core, id, sync) {
                        self.shared.metrics.waited(Duration::ZERO, false);
                        return Ok(lease);
                    }
                    return Err(Error::Draining);
                }
                Placement::Wait(ticket) => {
                    let (sender, seat) = oneshot::channel();
                    core.waiting.insert(ticket, sender);
                    (ticket, seat, core.state.counts().ready == 0)
                }
                Placement::Failed(failure, pause) => return Err(Error::Failed(failure, pause)),
                Placement::DoorFull => return Err(Error::DoorFull),
                Placement::DoorFullOfBytes => return Err(Error::DoorFullOfBytes),
                Placement::Draining => return Err(Error::Draining),
            }
        };
        self.shared.changed.notify_one();
        let _place = PlaceAtDoor { pool: self, ticket };
        let seated = match patience {
            Patience::Door => {
                tokio::time::timeout(DOOR_TIMEOUT, seat).await.map_err(|_| Error::DoorTimeout)?
            }
            Patience::Endless => seat.await,
        };
        self.shared.metrics.waited(began.elapsed(), is_cold);
        seated.unwrap_or(Err(Error::Draining))
    }

    /// A slot of a worker if one is free now.
    pub(crate) fn try_lease(&self, sync: bool) -> Option<Lease> {
        let mut core = self.lock();
        let worker = core.state.try_admit(sync)?;
        self.seat(&core, worker, sync)
    }

    /// Takes a slot and runs one call in it that is answered at once: gives the result's bytes.
    pub(crate) async fn call(&self, call: Call<'_>) -> Result<Bytes, Refusal> {
        let Call { function, is_sync, trace, header, body } = call;
        let lease = self.lease(is_sync, body.len(), Patience::Door).await?;
        match self.run(lease.traced(trace, function), header, body).await? {
            Reply::Whole(Answer::Result { body, .. }) => Ok(body),
            Reply::Whole(Answer::Error(header)) => Err(header.into()),
            Reply::Whole(Answer::Died(death)) => Err(Refusal::worker_died(&death)),
            // What nobody reads part by part is not sent on; dropping it ends the call.
            Reply::Stream(_) => {
                let detail = "the result is a stream, which only a route can give";
                Err(Refusal::new(Code::ResultNotSerializable, 500, detail))
            }
        }
    }

    /// Runs one call in a slot, no longer than the resource allows, until the end of its stream if it has one.
    pub(crate) async fn run(&self, lease: Lease, header: Bytes, body: Bytes) -> Result<Reply, Error> {
        let began = Instant::now();
        let mut call = begin(lease, header, body)?;
        let Some(limit) = self.shared.execution_timeout else {
            let reply = call.await;
            self.shared.metrics.executed(began.elapsed());
            return Ok(reply);
        };
        let until = tokio::time::Instant::now() + limit;
        let replied = tokio::time::timeout_at(until, &mut call).await;
        self.shared.metrics.executed(began.elapsed());
        match replied {
            Ok(Reply::Stream(stream)) => Ok(Reply::Stream(stream.until(until, limit))),
            Ok(reply) => Ok(reply),
            Err(_) => {
                tokio::spawn(end(call));
                Err(Error::ExecutionTimeout(limit))
            }
        }
    }

    /// As [`Self::run`], and no longer than until `cancelled`; of a stream only up to its begin. A `limit` stands before the
    /// resource's.
    pub(crate) async fn run_until(
        &self,
        lease: Lease,
        header: Bytes,
        body: Bytes,
        limit: Option<Duration>,
        cancelled: impl Future<Output = ()>,
    ) -> Result<Reply, Error> {
        let began = Instant::now();
        let mut call = begin(lease, header, body)?;
        let until =
            limit.or(self.shared.execution_timeout).map(|limit| (tokio::time::Instant::now() + limit, limit));
        let elapsed = async {
            match until {
                Some((at, _)) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let error = tokio::select! {
            reply = &mut call => {
                self.shared.metrics.executed(began.elapsed());
                return Ok(match (reply, until) {
                    (Reply::Stream(stream), Some((at, limit))) => Reply::Stream(stream.until(at, limit)),
                    (reply, _) => reply,
                });
            }
            () = cancelled => Error::Cancelled,
            () = elapsed => Error::ExecutionTimeout(until.map_or(Duration::ZERO, |(_, limit)| limit)),
        };
        self.shared.metrics.executed(began.elapsed());
        if matches!(error, Error::Cancelled) && self.shares_workers() {
            drop(call);
        } else {
            tokio::spawn(end(call));
        }
        Err(error)
    }

    /// Nobody wants the rest of it.
    pub(crate) fn give_up(&self, stream: Stream) {
        if self.shares_workers() {
            drop(stream);
        } else {
            tokio::spawn(stream.cut_off());
        }
    }

    /// Ending a worker would end the calls of others; a plain function runs on for nobody.
    fn shares_workers(&self) -> bool {
        self.shared.concurrency > 1
    }

    pub(crate) fn health(&self) -> Health {
        self.lock().state.health()
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.lock().state.is_draining()
    }

    /// Where some worker listens itself, without taking a slot of it.
    pub(crate) fn any_port(&self) -> Option<u16> {
        self.lock().links.values().find_map(|connected| connected.port)
    }

    pub(crate) fn counts(&self) -> WorkerCounts {
        self.lock().state.counts()
    }

    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        &self.shared.metrics
    }

    /// Keeps the thread awake around calls, for as long as it is polled.
    pub(crate) async fn stay_awake(&self) {
        self.shared.awake.keep().await;
    }

    pub(super) fn template(&self) -> &Template {
        &self.shared.template
    }

    /// For as long as it is polled.
    pub(crate) async fn keep_template(&self, launch: &Launch) {
        self.shared.template.keep(launch, &self.shared.metrics).await;
    }

    /// How the next worker comes to be.
    pub(crate) fn worker_start(&self) -> WorkerStart {
        let (by, reason) = match self.shared.template.standing() {
            Standing::Ready => ("fork", None),
            Standing::Unsafe(reason) => ("spawn", Some(reason.to_string())),
            Standing::Loading => ("spawn", Some("the code is still being loaded".to_owned())),
            Standing::Off => ("spawn", None),
        };
        WorkerStart { by: by.to_owned(), reason }
    }

    /// Starts and stops workers for as long as it is polled.
    pub(crate) async fn supervise(&self, launch: Arc<Launch>, relay: Relay) {
        loop {
            let (actions, next) = {
                let mut core = self.lock();
                let now = Instant::now();
                let actions = core.state.decide(now);
                self.carry_out(&mut core, &actions);
                (actions, core.state.next_decision(now))
            };
            for action in actions {
                if let Action::Spawn(id) = action {
                    let (pool, launch, relay) = (self.clone(), Arc::clone(&launch), relay.clone());
                    tokio::spawn(async move { pool.run_worker(id, &launch, &relay).await });
                }
            }
            let changed = self.shared.changed.notified();
            match next {
                Some(at) => drop(tokio::time::timeout_at(at.into(), changed).await),
                None => changed.await,
            }
        }
    }

    /// Calls that wait elsewhere, and come when there is room.
    pub(crate) fn set_backlog(&self, calls: u64) {
        self.lock().state.set_backlog(calls);
        self.shared.changed.notify_one();
    }

    /// Replaces workers that have grown too large, for as long as it is polled.
    pub(crate) async fn watch_sizes(&self, bytes_max: u64) {
        loop {
            tokio::time::sleep(SIZE_PERIOD).await;
            let mut core = self.lock();
            let workers: Vec<(WorkerId, u32)> =
                core.links.iter().map(|(id, connected)| (*id, connected.pid)).collect();
            for (id, pid) in workers {
                if let Some(bytes) = size::resident_bytes(pid).filter(|bytes| *bytes > bytes_max) {
                    tracing::info!(worker = id, bytes, bytes_max, "worker is too large and is replaced");
                    core.state.wear_out(id);
                }
            }
            drop(core);
            self.shared.changed.notify_one();
        }
    }

    /// No new calls. Lets those in flight finish until `limit`, then ends all workers.
    pub(crate) async fn drain(&self, limit: Duration) {
        let (links, refused) = {
            let mut core = self.lock();
            let (_, tickets) = core.state.drain();
            let refused: Vec<_> = tickets.iter().filter_map(|ticket| core.waiting.remove(ticket)).collect();
            (core.running.values().cloned().collect::<Vec<_>>(), refused)
        };
        for caller in refused {
            let _ = caller.send(Err(Error::Draining));
        }
        for link in &links {
            link.send(Frame::bare(Kind::Stop, 0));
        }
        if tokio::time::timeout(limit, self.wait_for_exits()).await.is_err() {
            for link in &links {
                link.end.notify_one();
            }
            let _ = tokio::time::timeout(TERMINATE_GRACE + KILL_TIMEOUT, self.wait_for_exits()).await;
        }
    }

    pub(super) fn short_of_gpus(&self, id: WorkerId, waited: Duration) -> Shortage {
        self.lock().state.short_of_gpus(id, waited)
    }

    pub(super) fn has_gpus(&self, id: WorkerId) {
        self.lock().state.has_gpus(id);
    }

    pub(super) fn ready(&self, id: WorkerId, link: Arc<Link>, ready: &ReadyHeader) {
        let mut core = self.lock();
        core.links.insert(id, Connected { link, pid: ready.pid, port: ready.port });
        core.state.ready(id, Instant::now());
        self.seat_waiting(core);
        self.shared.changed.notify_one();
    }

    async fn run_worker(&self, id: WorkerId, launch: &Launch, relay: &Relay) {
        let link = self.lock().running.get(&id).cloned();
        let Some(link) = link else { return };
        let mut exit = process::run(id, launch, &link, self, relay).await;
        let death = exit.death(id);
        let failure = exit.failure(&death).map(Arc::new);
        match &failure {
            Some(failure) => tracing::error!(
                worker = id, error = %failure.message, kind = %failure.kind, "worker cannot load the code"
            ),
            None => tracing::info!(worker = id, exit = %death, "worker gone"),
        }
        let mut refused = Vec::new();
        let pause;
        {
            let mut core = self.lock();
            core.links.remove(&id);
            core.running.remove(&id);
            let now = Instant::now();
            if exit.was_killed {
                core.state.stopping(id);
            }
            self.shared.metrics.worker_gone(match &failure {
                _ if core.state.is_stopping(id) => WorkerEnd::Stopped,
                Some(_) => WorkerEnd::Failed,
                None => WorkerEnd::Crashed,
            });
            for ticket in core.state.exited(id, failure.clone(), now) {
                refused.extend(core.waiting.remove(&ticket));
            }
            pause = core.state.next_decision(now).map_or(Duration::ZERO, |at| at - now);
            self.seat_waiting(core);
        }
        if let Some(failure) = failure {
            for caller in refused {
                let _ = caller.send(Err(Error::Failed(Arc::clone(&failure), pause)));
            }
        }
        link.close(&death);
        self.shared.changed.notify_one();
        self.shared.exited.notify_waiters();
    }

    fn carry_out(&self, core: &mut Core, actions: &[Action]) {
        for action in actions {
            match action {
                Action::Spawn(id) => {
                    if !core.links.is_empty() {
                        self.shared.template.want();
                    }
                    drop(core.running.insert(*id, Arc::new(Link::new(self.shared.awake.clone()))))
                }
                Action::Stop(id) => {
                    // The next one will be wanted in a hurry.
                    self.shared.template.want();
                    if let Some(link) = core.running.get(id).cloned() {
                        link.send(Frame::bare(Kind::Stop, 0));
                        tokio::spawn(async move {
                            tokio::time::sleep(STOP_GRACE).await;
                            // Of no effect if it has ended, as it should.
                            link.end.notify_one();
                        });
                    }
                }
            }
        }
    }

    /// Must not be called with a [`Lease`] about to drop inside: that takes the lock again.
    fn seat_waiting(&self, mut core: MutexGuard<'_, Core>) {
        let mut seated = Vec::new();
        while let Some((ticket, id, sync)) = core.state.seat() {
            let caller = core.waiting.remove(&ticket);
            if let (Some(lease), Some(caller)) = (self.seat(&core, id, sync), caller) {
                seated.push((caller, lease));
            }
        }
        drop(core);
        for (caller, lease) in seated {
            // One that has just given up drops the lease, which frees the slot for the next.
            let _ = caller.send(Ok(lease));
        }
    }

    fn seat(&self, core: &Core, worker: WorkerId, sync: bool) -> Option<Lease> {
        let connected = core.links.get(&worker)?;
        let link = Arc::clone(&connected.link);
        Some(Lease { pool: self.clone(), worker, sync, port: connected.port, link, job: None, span: None })
    }

    async fn wait_for_exits(&self) {
        loop {
            let exited = self.shared.exited.notified();
            if self.lock().running.is_empty() {
                return;
            }
            exited.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Core> {
        self.shared.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn begin(lease: Lease, header: Bytes, body: Bytes) -> Result<InFlight, Error> {
    let header = match &lease.span {
        None => header,
        Some(span) => with_trace(&header, span.context()),
    };
    if !Frame::fits(&header, &body) {
        return Err(Error::TooLarge);
    }
    let link = Arc::clone(&lease.link);
    Ok(link.call(lease, header, body))
}

/// Asks a call that ran out of time to stop, and ends its worker if it does not.
async fn end(mut call: InFlight) {
    call.cancel();
    if tokio::time::timeout(CANCEL_GRACE, &mut call).await.is_err() {
        call.end_worker();
        // Not dropped before the worker is gone, so that nothing else is sent to it.
        call.await;
    }
}

/// One slot of one worker; dropping it gives the slot to the next caller.
#[derive(Debug)]
pub(crate) struct Lease {
    pool: Pool,
    worker: WorkerId,
    sync: bool,
    port: Option<u16>,
    link: Arc<Link>,
    /// What it is used for, if that is a job.
    job: Option<Arc<str>>,
    /// The use in its trace, if it belongs to one.
    span: Option<Span>,
}

impl Lease {
    /// For what the job prints to be known as the job's, and its trace's if it was submitted in one.
    pub(crate) fn for_job(mut self, id: &str, attempt: u32, trace: Option<&TraceContext>) -> Self {
        self.job = Some(id.into());
        self.span = trace.map(|trace| self.pool.shared.tracer.attempt(trace, id, attempt));
        self
    }

    /// The worker is told, and what the call prints is known as the trace's.
    pub(crate) fn traced(mut self, trace: Option<&TraceContext>, function: &str) -> Self {
        self.span = trace.map(|trace| self.pool.shared.tracer.call(trace, function));
        self
    }

    /// What it was used for has gone wrong.
    pub(super) fn fail(&mut self, kind: &str) {
        if let Some(span) = &mut self.span {
            span.fail(kind);
        }
    }

    pub(super) fn origin(&self) -> Option<Origin> {
        let trace = self.span.as_ref().map(|span| span.context().trace());
        (self.job.is_some() || trace.is_some()).then(|| Origin { job: self.job.clone(), trace })
    }

    pub(crate) fn worker(&self) -> WorkerId {
        self.worker
    }

    /// Whether the worker's function asks for more than path, query and body.
    pub(crate) fn wants_whole_request(&self, function: &str) -> bool {
        self.link.wants_whole_request(function)
    }

    /// Where the worker listens itself, if it serves a web application.
    pub(crate) fn port(&self) -> Option<u16> {
        self.port
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut core = self.pool.lock();
        core.state.release(self.worker, self.sync, Instant::now());
        self.pool.seat_waiting(core);
    }
}

/// A waiting call that goes away leaves the door.
struct PlaceAtDoor<'a> {
    pool: &'a Pool,
    ticket: Ticket,
}

impl Drop for PlaceAtDoor<'_> {
    fn drop(&mut self) {
        let mut core = self.pool.lock();
        core.state.leave(self.ticket);
        let caller = core.waiting.remove(&self.ticket);
        drop(core);
        drop(caller);
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
