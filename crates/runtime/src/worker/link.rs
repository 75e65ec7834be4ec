//! The calls in flight on one worker: numbered, answered once, failed together when the worker dies.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use flash_model::TraceId;
use tokio::sync::{Notify, oneshot};

use super::awake::Awake;
use super::pool::Lease;
use super::protocol::{ErrorHeader, Frame, HEAD_BYTES, Kind, ResultHeader};
use super::socket::Writer;
use super::stream::{self, End, Stream};

/// Bodies up to this size are copied behind their head so that many frames leave in one write.
const COALESCED_BODY_BYTES_MAX: usize = 16 * 1024;
/// Calls that have ended here and whose last lines may still be in the worker's pipes.
const ENDED_MAX: usize = 256;

/// What a trace says of a call whose worker is gone.
const WORKER_DIED: &str = "worker died";

/// Why a worker is gone, in words for a caller.
pub(crate) type Death = Arc<str>;

#[derive(Debug)]
pub(crate) enum Answer {
    Result { header: ResultHeader, body: Bytes },
    Error(ErrorHeader),
    Died(Death),
}

/// How a call is answered: at once, or part by part.
#[derive(Debug)]
pub(crate) enum Reply {
    Whole(Answer),
    Stream(Stream),
}

/// What a call is done for, as far as that has a name.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) job: Option<Arc<str>>,
    pub(super) trace: Option<TraceId>,
}

#[derive(Debug)]
pub(crate) struct Link {
    pending: Mutex<Pending>,
    outbox: Mutex<Vec<Frame>>,
    filled: Notify,
    awake: Awake,
    /// Functions whose routes are told the whole request. Set once, before READY is.
    whole_requests: OnceLock<Vec<String>>,
    /// Told when the process must end, whatever it is doing.
    pub(super) end: Notify,
}

#[derive(Debug)]
struct Pending {
    next: u32,
    calls: HashMap<u32, PendingCall>,
    ended: VecDeque<(u32, Origin)>,
    death: Option<Death>,
}

/// The slot is held until the worker has answered, even when nobody waits for the answer any more.
#[derive(Debug)]
struct PendingCall {
    caller: Caller,
    slot: Lease,
}

#[derive(Debug)]
enum Caller {
    Waits(oneshot::Sender<Reply>),
    Reads(stream::Sender),
}

impl Link {
    pub(super) fn new(awake: Awake) -> Self {
        Self {
            awake,
            pending: Mutex::new(Pending {
                next: 1,
                calls: HashMap::new(),
                ended: VecDeque::new(),
                death: None,
            }),
            outbox: Mutex::new(Vec::new()),
            filled: Notify::new(),
            whole_requests: OnceLock::new(),
            end: Notify::new(),
        }
    }

    pub(super) fn tells_whole_requests_to(&self, functions: Vec<String>) {
        let _ = self.whole_requests.set(functions);
    }

    pub(super) fn wants_whole_request(&self, function: &str) -> bool {
        self.whole_requests.get().is_some_and(|functions| functions.iter().any(|known| known == function))
    }

    pub(super) fn call(self: &Arc<Self>, slot: Lease, header: Bytes, body: Bytes) -> InFlight {
        let (caller, answer) = oneshot::channel();
        let (id, is_alone) = {
            let mut pending = lock(&self.pending);
            if let Some(death) = pending.death.clone() {
                // The slot goes when the guard is gone: giving it back takes other locks.
                drop(pending);
                let _ = caller.send(Reply::Whole(Answer::Died(death)));
                return InFlight { answer, link: Arc::clone(self), id: 0, is_open: false };
            }
            let id = pending.next;
            // 0 means "no call".
            pending.next = pending.next.checked_add(1).unwrap_or(1);
            pending.calls.insert(id, PendingCall { caller: Caller::Waits(caller), slot });
            (id, pending.calls.len() == 1)
        };
        self.send(Frame::new(Kind::Call, id, header, body));
        if is_alone {
            self.awake.extend();
        }
        InFlight { answer, link: Arc::clone(self), id, is_open: true }
    }

    pub(super) fn send(&self, frame: Frame) {
        let mut outbox = lock(&self.outbox);
        outbox.push(frame);
        if outbox.len() == 1 {
            drop(outbox);
            self.filled.notify_one();
        }
    }

    /// RESULT or ERROR has come. One that answers nothing is dropped.
    pub(super) fn answer(&self, frame: Frame) {
        let (call, is_idle) = {
            let mut pending = lock(&self.pending);
            let call = pending.calls.remove(&frame.call);
            if let Some(origin) = call.as_ref().and_then(|call| call.slot.origin()) {
                pending.ended.truncate(ENDED_MAX - 1);
                pending.ended.push_front((frame.call, origin));
            }
            (call, pending.calls.is_empty())
        };
        let Some(mut call) = call else { return };
        if is_idle {
            self.awake.extend();
        }
        let error = (frame.kind == Kind::Error).then(|| ErrorHeader::decode(&frame.header));
        if let Some(error) = &error {
            call.slot.fail(error.name());
        }
        match (call.caller, error) {
            (Caller::Waits(caller), error) => {
                let answer = match error {
                    Some(error) => Answer::Error(error),
                    None => Answer::Result { header: ResultHeader::decode(&frame.header), body: frame.body },
                };
                let _ = caller.send(Reply::Whole(answer));
            }
            (Caller::Reads(reader), error) => reader.end(error.map_or(End::Complete, End::Failed)),
        }
    }

    /// PART has come. The first one turns the answer into a stream.
    pub(super) fn part(self: &Arc<Self>, frame: Frame) {
        let mut pending = lock(&self.pending);
        let Some(call) = pending.calls.get_mut(&frame.call) else { return };
        if let Caller::Reads(reader) = &call.caller {
            let is_within_credit = reader.send(frame.body);
            drop(pending);
            if !is_within_credit {
                tracing::warn!(call = frame.call, "a worker sends more parts than it has credit for");
                self.end.notify_one();
            }
            return;
        }
        let (reader, stream) = Stream::begin(Arc::clone(self), frame);
        let caller = std::mem::replace(&mut call.caller, Caller::Reads(reader));
        drop(pending);
        if let Caller::Waits(caller) = caller {
            // A caller who is gone has the stream dropped here, which tells the worker.
            let _ = caller.send(Reply::Stream(stream));
        }
    }

    /// The call that runs, if there is exactly one.
    pub(super) fn only_call(&self) -> Option<u32> {
        let pending = lock(&self.pending);
        let mut calls = pending.calls.keys();
        calls.next().copied().filter(|_| calls.next().is_none())
    }

    pub(super) fn is_running(&self, call: u32) -> bool {
        lock(&self.pending).calls.contains_key(&call)
    }

    /// What a call is done for, or was just now.
    pub(super) fn origin(&self, call: u32) -> Option<Origin> {
        let pending = lock(&self.pending);
        if let Some(call) = pending.calls.get(&call) {
            return call.slot.origin();
        }
        pending.ended.iter().find(|(ended, _)| *ended == call).map(|(_, origin)| origin.clone())
    }

    /// The worker is gone: all that is in flight fails, and all that still comes.
    pub(super) fn close(&self, death: &Death) {
        let calls = {
            let mut pending = lock(&self.pending);
            pending.death = Some(Arc::clone(death));
            std::mem::take(&mut pending.calls)
        };
        for (_, mut call) in calls {
            call.slot.fail(WORKER_DIED);
            match call.caller {
                Caller::Waits(caller) => drop(caller.send(Reply::Whole(Answer::Died(Arc::clone(death))))),
                Caller::Reads(reader) => reader.end(End::Died(Arc::clone(death))),
            }
        }
    }

    /// Writes what [`Self::send`] leaves, many frames at a time; ends when the worker is gone.
    pub(super) async fn write_to(&self, writer: Writer) -> std::io::Result<()> {
        let (mut buffer, mut frames) = (BytesMut::with_capacity(64 * 1024), Vec::new());
        loop {
            self.filled.notified().await;
            std::mem::swap(&mut *lock(&self.outbox), &mut frames);
            for frame in frames.drain(..) {
                buffer.reserve(HEAD_BYTES + frame.header.len());
                frame.encode_head(&mut buffer);
                if frame.body.len() <= COALESCED_BODY_BYTES_MAX {
                    buffer.extend_from_slice(&frame.body);
                } else {
                    writer.write_all(&buffer).await?;
                    buffer.clear();
                    writer.write_all(&frame.body).await?;
                }
            }
            writer.write_all(&buffer).await?;
            buffer.clear();
        }
    }
}

/// A call that was sent. Dropping it before the answer tells the worker that the caller is gone; with a stream, its reader
/// is the caller.
#[derive(Debug)]
pub(crate) struct InFlight {
    answer: oneshot::Receiver<Reply>,
    link: Arc<Link>,
    id: u32,
    is_open: bool,
}

impl InFlight {
    pub(crate) fn cancel(&self) {
        self.link.send(Frame::bare(Kind::Cancel, self.id));
    }

    /// Ends the whole worker.
    pub(crate) fn end_worker(&self) {
        self.link.end.notify_one();
    }
}

impl Future for InFlight {
    type Output = Reply;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Reply> {
        let answer = std::task::ready!(Pin::new(&mut self.answer).poll(context));
        self.is_open = false;
        Poll::Ready(
            answer.unwrap_or_else(|_| Reply::Whole(Answer::Died("the worker's link was closed".into()))),
        )
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.is_open {
            self.cancel();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
