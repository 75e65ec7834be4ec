//! The process that has loaded the user's code and is forked for each worker, where that is safe. Its other side is
//! `_template.py`. Where there is none, or it does not answer, workers are spawned.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::Deserialize;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Mutex, Notify, mpsc, oneshot, watch};
use tokio::time::timeout;

use super::awake::Awake;
use super::link::Link;
use super::output::{Book, Output};
use super::process::{Ends, Environment, Launch};
use super::protocol::{Frame, Kind};
use super::socket::{self, Writer};
use crate::metrics::Metrics;

/// A fork takes milliseconds; one that does not come is not waited for.
const FORK_TIMEOUT: Duration = Duration::from_secs(2);
const REAP_TIMEOUT: Duration = Duration::from_secs(1);
const REQUESTS_MAX: usize = 64;
const RESTART_DELAY_MIN: Duration = Duration::from_secs(1);
const RESTART_DELAY_MAX: Duration = Duration::from_secs(60);
const READ_BUFFER_BYTES: usize = 4 * 1024;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Not asked for, or not yet.
    #[default]
    Off,
    Loading,
    Ready,
    /// A fork would not be as good as a new process.
    Unsafe(Arc<str>),
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    standing: watch::Sender<Standing>,
    wanted: Arc<Notify>,
    requests: mpsc::Sender<Request>,
    inbox: Arc<Mutex<mpsc::Receiver<Request>>>,
}

#[derive(Debug)]
enum Request {
    /// With the worker's ends of its socket, its standard output and its standard error.
    Fork {
        ends: [OwnedFd; 3],
        header: Bytes,
        reply: oneshot::Sender<i32>,
    },
    Reap {
        pid: i32,
        reply: oneshot::Sender<ExitStatus>,
    },
}

#[derive(Deserialize)]
struct UnsafeHeader {
    reason: String,
}

#[derive(Deserialize)]
struct ForkedHeader {
    pid: i32,
}

#[derive(Deserialize)]
struct ReapedHeader {
    /// As `waitpid` has it; none if it was not the template's.
    status: Option<i32>,
}

impl Template {
    pub(super) fn new() -> Self {
        let (requests, inbox) = mpsc::channel(REQUESTS_MAX);
        let inbox = Arc::new(Mutex::new(inbox));
        Self { standing: watch::Sender::default(), wanted: Arc::default(), requests, inbox }
    }

    pub(crate) fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// Workers come and go, so it is worth having.
    pub(super) fn want(&self) {
        self.wanted.notify_one();
    }

    /// A new worker, if there is a template to fork it from.
    pub(super) async fn fork(&self, environment: &Environment) -> Option<(Forked, Ends)> {
        if *self.standing.borrow() != Standing::Ready {
            return None;
        }
        let (ours, theirs) = UnixStream::pair().ok()?;
        let (reader, writer) = socket::split(ours).ok()?;
        let [(stdout, into_stdout), (stderr, into_stderr)] = [io::pipe().ok()?, io::pipe().ok()?];
        let (reply, forked) = oneshot::channel();
        let ends = [theirs.into(), into_stdout.into(), into_stderr.into()];
        let header = environment.as_ref().map_or_else(Bytes::new, |(name, value)| {
            Bytes::from(serde_json::json!({"environment": {*name: value}}).to_string())
        });
        self.requests.try_send(Request::Fork { ends, header, reply }).ok()?;
        let pid = Pid::from_raw(timeout(FORK_TIMEOUT, forked).await.ok()?.ok()?)?;
        // Its number is its own until the template is told to reap it.
        let ended = socket::watch_readable(pidfd_open(pid, PidfdFlags::empty()).ok()?).ok()?;
        let forked = Forked { pid, ended, requests: self.requests.clone(), status: None, reaping: None };
        Some((forked, Ends { reader, writer, pipes: [stdout.into(), stderr.into()] }))
    }

    /// Keeps a template from when it is wanted, for as long as it is polled, unless it turns out not to be safe.
    pub(crate) async fn keep(&self, launch: &Launch, metrics: &Arc<Metrics>) {
        self.wanted.notified().await;
        let mut inbox = self.inbox.lock().await;
        let mut delay = RESTART_DELAY_MIN;
        loop {
            self.standing.send_replace(Standing::Loading);
            match self.run_one(launch, metrics, &mut inbox).await {
                Ok(Some(reason)) => {
                    tracing::info!(reason = &*reason, "workers are spawned, not forked");
                    self.standing.send_replace(Standing::Unsafe(reason));
                    return;
                }
                Ok(None) => tracing::warn!("the workers' template is gone"),
                Err(error) => tracing::warn!(%error, "the workers' template cannot be started"),
            }
            self.standing.send_replace(Standing::Off);
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(RESTART_DELAY_MAX);
        }
    }

    /// To its end; gives why it is not safe if it said so.
    async fn run_one(
        &self,
        launch: &Launch,
        metrics: &Arc<Metrics>,
        inbox: &mut mpsc::Receiver<Request>,
    ) -> io::Result<Option<Arc<str>>> {
        let (_child, Ends { mut reader, writer, pipes }) = launch.spawn(&None)?;
        let name = format!("{}-template", launch.prefix);
        let nobodys = Arc::new(Link::new(Awake::new()));
        let mut output =
            Output::of(pipes, Book::new(launch.log.clone(), Arc::clone(metrics), nobodys, name))?;
        let mut start = BytesMut::new();
        Frame::new(Kind::Start, 0, Bytes::new(), launch.template_start.clone()).encode_head(&mut start);
        start.extend_from_slice(&launch.template_start);
        writer.write_all(&start).await?;
        let mut talk = Talk { template: self, writer, next: 0, forks: HashMap::new(), reaps: HashMap::new() };
        let mut buffer = BytesMut::with_capacity(READ_BUFFER_BYTES);
        let mut following = std::pin::pin!(output.follow());
        loop {
            tokio::select! {
                never = &mut following => match never {},
                read = reader.read(&mut buffer) => {
                    if !matches!(read, Ok(1..)) {
                        return Ok(None);
                    }
                    while let Some(frame) = Frame::decode(&mut buffer).map_err(io::Error::other)? {
                        if let Some(reason) = talk.receive(&frame) {
                            return Ok(Some(reason));
                        }
                    }
                }
                Some(request) = inbox.recv() => talk.ask(request).await?,
            }
        }
    }
}

/// With one template. What it was asked for and has not answered ends with this.
struct Talk<'a> {
    template: &'a Template,
    writer: Writer,
    next: u32,
    forks: HashMap<u32, oneshot::Sender<i32>>,
    reaps: HashMap<u32, oneshot::Sender<ExitStatus>>,
}

impl Talk<'_> {
    async fn ask(&mut self, request: Request) -> io::Result<()> {
        self.next = self.next.wrapping_add(1);
        let mut bytes = BytesMut::new();
        match request {
            Request::Fork { ends, header, reply } => {
                Frame::new(Kind::Fork, self.next, header, Bytes::new()).encode_head(&mut bytes);
                self.writer.send_with(&bytes, ends)?;
                self.forks.insert(self.next, reply);
            }
            Request::Reap { pid, reply } => {
                let body = Bytes::from(serde_json::json!({"pid": pid}).to_string());
                Frame::new(Kind::Reap, self.next, Bytes::new(), body.clone()).encode_head(&mut bytes);
                bytes.extend_from_slice(&body);
                self.writer.write_all(&bytes).await?;
                self.reaps.insert(self.next, reply);
            }
        }
        Ok(())
    }

    /// Gives why it is not safe, if it says so.
    fn receive(&mut self, frame: &Frame) -> Option<Arc<str>> {
        match frame.kind {
            Kind::Ready => drop(self.template.standing.send_replace(Standing::Ready)),
            Kind::Unsafe => {
                let reason = serde_json::from_slice(&frame.header).map(|UnsafeHeader { reason }| reason);
                return Some(reason.unwrap_or_default().into());
            }
            Kind::Forked => {
                if let (Some(reply), Ok(ForkedHeader { pid })) =
                    (self.forks.remove(&frame.call), serde_json::from_slice(&frame.header))
                {
                    let _ = reply.send(pid);
                }
            }
            Kind::Reaped => {
                if let (Some(reply), Ok(ReapedHeader { status: Some(status) })) =
                    (self.reaps.remove(&frame.call), serde_json::from_slice(&frame.header))
                {
                    let _ = reply.send(ExitStatus::from_raw(status));
                }
            }
            other => tracing::warn!(kind = ?other, "frame that no template sends"),
        }
        None
    }
}

/// A worker that the template forked: its child, not ours, and a zombie until the template is told to reap it.
#[derive(Debug)]
pub(super) struct Forked {
    pid: Pid,
    /// Readable once the process has ended.
    ended: AsyncFd<OwnedFd>,
    requests: mpsc::Sender<Request>,
    reaping: Option<oneshot::Receiver<ExitStatus>>,
    status: Option<Option<ExitStatus>>,
}

impl Forked {
    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// Its status, where the template lives to tell it. Safe to drop while waiting.
    pub(super) async fn wait(&mut self) -> Option<ExitStatus> {
        if let Some(status) = self.status {
            return status;
        }
        let _ = self.ended.readable().await;
        if self.reaping.is_none() {
            let (reply, reaping) = oneshot::channel();
            let _ = self.requests.try_send(Request::Reap { pid: self.pid.as_raw_nonzero().get(), reply });
            self.reaping = Some(reaping);
        }
        let reaped = async {
            match &mut self.reaping {
                Some(reaping) => reaping.await.ok(),
                None => None,
            }
        };
        let status = timeout(REAP_TIMEOUT, reaped).await.unwrap_or_default();
        self.status = Some(status);
        status
    }
}
