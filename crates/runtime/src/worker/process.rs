//! One worker process, from spawn to exit.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flash_model::wire::RemoteException;
use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::descendants;
use super::gpus::{Gpus, Taken};
use super::limits::Limits;
use super::link::{Death, Link};
use super::output::{Book, Output};
use super::pool::Pool;
use super::protocol::{ErrorHeader, Frame, Kind, ReadyHeader};
use super::socket::{self, Reader, Writer};
use super::state::WorkerId;
use super::template::Forked;
use crate::log::Log;
use crate::relay::Relay;

/// Loading a large model at import is legitimate; waiting for ever is not.
const START_TIMEOUT: Duration = Duration::from_secs(600);
/// Between the end of the socket and the end of the process, and the other way round.
const EXIT_TIMEOUT: Duration = Duration::from_millis(500);
/// Between SIGTERM and SIGKILL, for what user code does at its end. The worker's `_terminate.py` keeps within it.
pub(super) const TERMINATE_GRACE: Duration = Duration::from_secs(2);
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// How to start a worker.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) python: PathBuf,
    pub(crate) sdk_path: PathBuf,
    pub(crate) import_root: PathBuf,
    /// Body of START, for a worker and for the template.
    pub(crate) start: Bytes,
    pub(crate) template_start: Bytes,
    /// Where what workers print goes.
    pub(crate) log: Log,
    /// In front of a worker's number, for its name.
    pub(crate) prefix: String,
    /// None = what the endpoint itself sees.
    pub(crate) gpus: Option<Gpus>,
    pub(crate) limits: Limits,
}

/// Variables of one worker beside the endpoint's own.
pub(super) type Environment = Option<(&'static str, String)>;

#[derive(Debug, Default)]
pub(super) struct Exit {
    pub(super) status: Option<ExitStatus>,
    /// What FAILED said.
    pub(super) failed: Option<RemoteException>,
    pub(super) was_ready: bool,
    /// The pool asked for its end.
    pub(super) was_killed: bool,
    /// What ended it from our side, or kept it from starting.
    pub(super) cause: Option<String>,
}

impl Launch {
    pub(super) fn spawn(&self, environment: &Environment) -> io::Result<(Child, Ends)> {
        let (ours, theirs) = UnixStream::pair()?;
        let (reader, writer) = socket::split(ours)?;
        let [(stdout, into_stdout), (stderr, into_stderr)] = [io::pipe()?, io::pipe()?];
        let mut python_path = self.sdk_path.clone().into_os_string();
        for folder in [&self.import_root, &self.import_root.join("src")] {
            python_path.push(":");
            python_path.push(folder);
        }
        let child = Command::new(&self.python)
            .args(["-X", "utf8", "-m", "tetra_rp._worker"])
            .current_dir(&self.import_root)
            .env("PYTHONPATH", python_path)
            .env("PYTHONUNBUFFERED", "1")
            .env_remove("FLASH_TOKEN")
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(into_stdout)
            .stderr(into_stderr)
            // Ctrl+C in a terminal is for the gateway, which then tells its workers.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        Ok((child, Ends { reader, writer, pipes: [stdout.into(), stderr.into()] }))
    }
}

/// Runs one worker to its end. The pool is told when it is ready; the caller tells it when it is gone.
pub(super) async fn run(id: WorkerId, launch: &Launch, link: &Arc<Link>, pool: &Pool, relay: &Relay) -> Exit {
    let gpus = match launch.gpus.as_ref() {
        Some(gpus) => {
            let Some(taken) = gpus.take(id, |waited| pool.short_of_gpus(id, waited)).await else {
                return Exit { was_killed: true, ..Exit::default() };
            };
            pool.has_gpus(id);
            Some(taken)
        }
        None => None,
    };
    let environment = gpus.as_ref().map(Taken::variable);
    let started = Process::start(launch, &environment, link, pool).await;
    let (mut process, Ends { reader, writer, pipes }) = match started {
        Ok(started) => started,
        Err(error) => {
            let cause = format!("cannot run {}: {error}", launch.python.display());
            return Exit { cause: Some(cause), ..Exit::default() };
        }
    };
    let confined = launch.limits.confine(id, process.pid());
    let worker = format!("{}-{id}", launch.prefix);
    let book = Book::new(launch.log.clone(), Arc::clone(pool.metrics()), Arc::clone(link), worker);
    let mut group = Group::of(process.pid());
    let mut output = match Output::of(pipes, book) {
        Ok(output) => output,
        Err(error) => {
            let cause = format!("what it prints cannot be read: {error}");
            return Exit { cause: Some(cause), ..Exit::default() };
        }
    };
    let mut was_killed = false;
    tracing::info!(
        worker = id,
        pid = group.pid.map(Pid::as_raw_nonzero),
        by = process.origin(),
        gpus = environment.map(|(_, numbers)| numbers),
        "worker started"
    );

    let mut exit = Exit::default();
    let cause = {
        let mut conversation = Conversation { id, link, pool, relay, exit: &mut exit };
        let mut reading = std::pin::pin!(conversation.read(reader));
        let mut writing = std::pin::pin!(link.write_to(writer));
        let mut following = std::pin::pin!(output.follow());
        // A failed write means that the other side is gone; reading then ends too, with the last answers.
        let mut is_writing = true;
        let mut grace = std::pin::pin!(tokio::time::sleep(TERMINATE_GRACE));
        loop {
            tokio::select! {
                biased;
                never = &mut following => match never {},
                cause = &mut reading => {
                    // Its last words may be more than a pipe holds.
                    let exited = async {
                        tokio::select! {
                            never = &mut following => match never {},
                            status = process.wait() => status,
                        }
                    };
                    if tokio::time::timeout(EXIT_TIMEOUT, exited).await.is_err() {
                        group.end();
                    }
                    break cause;
                }
                _ = process.wait() => {
                    // What it started may hold its end of the socket.
                    group.end();
                    break tokio::time::timeout(EXIT_TIMEOUT, &mut reading).await.unwrap_or_default();
                }
                () = link.end.notified(), if !was_killed => {
                    was_killed = true;
                    group.terminate();
                    grace.as_mut().reset(Instant::now() + TERMINATE_GRACE);
                }
                () = &mut grace, if was_killed && !group.has_ended() => group.end(),
                _ = &mut writing, if is_writing => is_writing = false,
            }
        }
    };
    let status = process.wait().await;
    group.end();
    output.finish();
    let cause = cause.or(confined.end().await.filter(|_| !was_killed));
    Exit { status, cause, was_killed, ..exit }
}

/// Our ends of a worker's socket and of what it prints.
pub(super) struct Ends {
    pub(super) reader: Reader,
    pub(super) writer: Writer,
    /// Standard output and error.
    pub(super) pipes: [OwnedFd; 2],
}

/// However it came to be.
enum Process {
    Spawned(Child),
    Forked(Forked),
}

impl Process {
    async fn start(
        launch: &Launch,
        environment: &Environment,
        link: &Link,
        pool: &Pool,
    ) -> io::Result<(Self, Ends)> {
        let (process, ends) = match pool.template().fork(environment).await {
            Some((forked, ends)) => (Self::Forked(forked), ends),
            None => {
                let (child, ends) = launch.spawn(environment)?;
                link.send(Frame::new(Kind::Start, 0, Bytes::new(), launch.start.clone()));
                (Self::Spawned(child), ends)
            }
        };
        pool.metrics().worker_started(process.origin());
        Ok((process, ends))
    }

    fn origin(&self) -> &'static str {
        match self {
            Self::Spawned(_) => "spawn",
            Self::Forked(_) => "fork",
        }
    }

    fn pid(&self) -> Option<Pid> {
        match self {
            Self::Spawned(child) => child.id().and_then(|id| Pid::from_raw(id.cast_signed())),
            Self::Forked(forked) => Some(forked.pid()),
        }
    }

    async fn wait(&mut self) -> Option<ExitStatus> {
        match self {
            Self::Spawned(child) => child.wait().await.ok(),
            Self::Forked(forked) => forked.wait().await,
        }
    }
}

/// The worker and the processes that user code started in it. Dropping ends what is left of them: they never outlive it.
///
/// Ended once only: the number of an empty group may become another's.
struct Group {
    pid: Option<Pid>,
    worker: Option<descendants::Process>,
    /// What was below the worker when it was asked to end: it may be gone before the rest, and they are then below another.
    held: Vec<OwnedFd>,
}

impl Group {
    fn of(pid: Option<Pid>) -> Self {
        Self { pid, worker: pid.and_then(descendants::Process::of), held: Vec::new() }
    }

    /// Asks it to end.
    fn terminate(&mut self) {
        if let Some(pid) = self.pid {
            self.held = self.worker.map(descendants::hold).unwrap_or_default();
            let _ = rustix::process::kill_process_group(pid, Signal::TERM);
        }
    }

    fn has_ended(&self) -> bool {
        self.pid.is_none()
    }

    fn end(&mut self) {
        if let Some(pid) = self.pid.take() {
            self.held.extend(self.worker.map(descendants::hold).unwrap_or_default());
            // Fails when nobody is left.
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
            descendants::kill(&self.held);
            self.held.clear();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.end();
    }
}

struct Conversation<'a> {
    id: WorkerId,
    link: &'a Arc<Link>,
    pool: &'a Pool,
    relay: &'a Relay,
    exit: &'a mut Exit,
}

impl Conversation<'_> {
    /// Reads until the worker closes its end; gives what was wrong if it was not that.
    async fn read(&mut self, mut reader: Reader) -> Option<String> {
        let mut buffer = BytesMut::with_capacity(READ_BUFFER_BYTES);
        // Calls that this worker makes end with it.
        let mut relayed = JoinSet::new();
        let started = Instant::now();
        loop {
            let read = if self.exit.was_ready {
                reader.read(&mut buffer).await
            } else {
                match tokio::time::timeout_at(started + START_TIMEOUT, reader.read(&mut buffer)).await {
                    Ok(read) => read,
                    Err(_) => return Some(format!("not ready after {} s", START_TIMEOUT.as_secs())),
                }
            };
            if !matches!(read, Ok(1..)) {
                return None;
            }
            loop {
                match Frame::decode(&mut buffer) {
                    Ok(Some(frame)) => self.receive(frame, &mut relayed),
                    Ok(None) => break,
                    Err(error) => return Some(error.to_string()),
                }
            }
            while relayed.try_join_next().is_some() {}
        }
    }

    fn receive(&mut self, frame: Frame, relayed: &mut JoinSet<()>) {
        match frame.kind {
            Kind::Result | Kind::Error => self.link.answer(frame),
            Kind::Call => {
                let (relay, pool, link) = (self.relay.clone(), self.pool.clone(), Arc::clone(self.link));
                relayed.spawn(async move {
                    let answer = relay.answer(&pool, frame).await;
                    link.send(answer);
                });
            }
            Kind::Ready => match serde_json::from_slice::<ReadyHeader>(&frame.header) {
                Ok(ready) => {
                    tracing::info!(worker = self.id, pid = ready.pid, python = ready.python, "worker ready");
                    self.exit.was_ready = true;
                    self.link.tells_whole_requests_to(ready.whole_requests.clone());
                    self.pool.ready(self.id, Arc::clone(self.link), &ready);
                }
                Err(error) => tracing::warn!(worker = self.id, %error, "READY cannot be read"),
            },
            Kind::Failed => {
                let ErrorHeader { kind, message, traceback, .. } = ErrorHeader::decode(&frame.header);
                self.exit.failed = Some(RemoteException { kind, message, traceback });
            }
            Kind::Part => self.link.part(frame),
            Kind::Unsafe | Kind::Forked | Kind::Reaped => {
                tracing::warn!(worker = self.id, kind = ?frame.kind, "frame that only a template sends");
            }
            Kind::Start | Kind::Cancel | Kind::Stop | Kind::Credit | Kind::Fork | Kind::Reap => {
                tracing::warn!(worker = self.id, kind = ?frame.kind, "frame that only a gateway sends");
            }
        }
    }
}

impl Exit {
    /// In words for the callers whose calls it ended.
    pub(super) fn death(&self, id: WorkerId) -> Death {
        use std::os::unix::process::ExitStatusExt;
        let how = match (&self.cause, self.status) {
            (Some(cause), _) => format!("was ended: {cause}"),
            (None, Some(status)) => match (status.signal(), status.code()) {
                (Some(signal), _) => format!("was killed by signal {signal}{}", signal_name(signal)),
                (None, code) => format!("exited with status {}", code.unwrap_or_default()),
            },
            (None, None) => "is gone".to_owned(),
        };
        format!("worker {id} {how}").into()
    }

    /// Why the code could not be loaded, if the worker ended before it was ready.
    pub(super) fn failure(&mut self, death: &Death) -> Option<RemoteException> {
        if self.was_ready {
            return None;
        }
        Some(self.failed.take().unwrap_or_else(|| RemoteException {
            kind: "WorkerStartError".to_owned(),
            message: format!("{death} before it was ready; the endpoint's log has its output"),
            traceback: String::new(),
        }))
    }
}

fn signal_name(signal: i32) -> &'static str {
    match signal {
        4 => " (SIGILL)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL)",
        11 => " (SIGSEGV)",
        15 => " (SIGTERM)",
        _ => "",
    }
}
