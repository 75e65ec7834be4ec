//! What a worker prints: read from its pipes, put together as lines, and written to the endpoint's log under the job or
//! request that printed it.

use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use flash_model::wire::{LogLine, LogStream};
use tokio::net::unix::pipe::Receiver;

use super::lines::{Line, Lines};
use super::link::Link;
use super::quota::{Amount, BYTES_PER_SECOND_MAX, LINES_PER_SECOND_MAX, Quota};
use crate::log::{Log, now_ms};
use crate::metrics::Metrics;

/// What a pipe holds, so that one read takes all that was written before.
const READ_BYTES_MAX: usize = 64 * 1024;
/// After the worker's end: as much as a pipe can be made to hold. Somebody else may go on writing.
const LAST_READS_MAX: usize = 16;

#[derive(Debug)]
pub(super) struct Output {
    pipes: [Pipe; 2],
    chunk: Vec<u8>,
    book: Book,
}

#[derive(Debug)]
struct Pipe {
    stream: LogStream,
    /// None when everybody has closed the other end.
    receiver: Option<Receiver>,
    lines: Lines,
}

/// Where lines are written down.
#[derive(Debug)]
pub(super) struct Book {
    log: Log,
    metrics: Arc<Metrics>,
    link: Arc<Link>,
    /// As jobs' views name it.
    worker: String,
    /// In front of a call's number, for a name that no other call of the endpoint has.
    run: String,
    quota: Quota,
}

impl Output {
    /// Takes our ends of the worker's standard output and error.
    pub(super) fn of([stdout, stderr]: [OwnedFd; 2], book: Book) -> io::Result<Self> {
        let pipe = |stream, descriptor| {
            let receiver = Some(Receiver::from_owned_fd(descriptor)?);
            io::Result::Ok(Pipe { stream, receiver, lines: Lines::default() })
        };
        let pipes = [pipe(LogStream::Stdout, stdout)?, pipe(LogStream::Stderr, stderr)?];
        Ok(Self { pipes, chunk: vec![0; READ_BYTES_MAX], book })
    }

    /// Reads for as long as it is polled. Polled before answers are read, it has read what was printed before them: that
    /// is how text that says of no call is known to be of the only one that runs.
    pub(super) async fn follow(&mut self) -> Infallible {
        loop {
            let due = self.due();
            let [stdout, stderr] = &self.pipes;
            tokio::select! {
                () = stdout.readable() => {}
                () = stderr.readable() => {}
                () = sleep_until(due) => {}
            }
            let now = Instant::now();
            for pipe in &mut self.pipes {
                pipe.read(&mut self.chunk, now, &mut self.book);
            }
            self.book.tell_dropped(now);
            // One that prints without end must not keep the gateway from its other work.
            tokio::task::yield_now().await;
        }
    }

    /// The worker is gone: what is left in its pipes.
    pub(super) fn finish(mut self) {
        let now = Instant::now();
        for Pipe { stream, receiver, lines } in &mut self.pipes {
            for _ in 0..LAST_READS_MAX {
                // Past the runtime, which may not know yet that there is something.
                let read = receiver.as_ref().map(|pipe| rustix::io::read(pipe, &mut self.chunk[..]));
                let Some(Ok(count @ 1..)) = read else { break };
                let only = self.book.link.only_call();
                lines.feed(&self.chunk[..count], only, now, |line| self.book.write(*stream, line, now));
            }
            lines.finish(now, |line| self.book.write(*stream, line, now));
        }
        self.book.finish();
    }

    fn due(&self) -> Option<Instant> {
        let lines = self.pipes.iter().filter_map(|pipe| pipe.lines.due());
        lines.chain(self.book.quota.due()).min()
    }
}

impl Pipe {
    async fn readable(&self) {
        match &self.receiver {
            // What is wrong shows when it is read.
            Some(receiver) => drop(receiver.readable().await),
            None => std::future::pending().await,
        }
    }

    fn read(&mut self, chunk: &mut [u8], now: Instant, book: &mut Book) {
        let stream = self.stream;
        match self.receiver.as_ref().map(|receiver| receiver.try_read(chunk)) {
            Some(Ok(count @ 1..)) => {
                let link = Arc::clone(&book.link);
                self.lines.end_calls(|call| !link.is_running(call), |line| book.write(stream, line, now));
                let only = link.only_call();
                self.lines.feed(&chunk[..count], only, now, |line| book.write(stream, line, now));
            }
            Some(Err(error)) if is_for_now(&error) => {}
            Some(_) => self.receiver = None,
            None => {}
        }
        self.lines.expire(now, |line| book.write(stream, line, now));
    }
}

fn is_for_now(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

impl Book {
    pub(super) fn new(log: Log, metrics: Arc<Metrics>, link: Arc<Link>, worker: String) -> Self {
        // Random: numbers of workers and of their calls begin anew with each process.
        let run = format!("{:06x}", getrandom::u32().unwrap_or_default() >> 8);
        Self { log, metrics, link, worker, run, quota: Quota::default() }
    }

    fn write(&mut self, stream: LogStream, line: Line<'_>, now: Instant) {
        self.tell_dropped(now);
        let bytes = line.text.len() as u64;
        if !self.quota.take(bytes, now) {
            self.metrics.log_dropped(bytes + line.cut_bytes);
            return;
        }
        self.metrics.logged();
        let origin = line.call.and_then(|call| self.link.origin(call));
        let job = origin.as_ref().and_then(|origin| origin.job.as_deref());
        let request = line.call.filter(|_| job.is_none()).map(|call| format!("{}-{call}", self.run));
        self.log.write(&LogLine {
            job: job.map(str::to_owned),
            request,
            trace: origin.and_then(|origin| origin.trace).map(|trace| trace.to_string()),
            cut_bytes: line.cut_bytes,
            ..self.line(stream, String::from_utf8_lossy(line.text))
        });
    }

    fn tell_dropped(&mut self, now: Instant) {
        if let Some(dropped) = self.quota.dropped(now) {
            self.note(dropped);
        }
    }

    fn finish(&mut self) {
        if let Some(dropped) = self.quota.end() {
            self.note(dropped);
        }
    }

    fn note(&self, Amount { lines, bytes }: Amount) {
        let text = format!(
            "{lines} lines ({bytes} bytes) of this worker are dropped: it may print {LINES_PER_SECOND_MAX} lines \
             and {BYTES_PER_SECOND_MAX} bytes a second"
        );
        let line = self.line(LogStream::Flash, text);
        self.log.write(&LogLine { dropped_lines: lines, ..line });
    }

    fn line(&self, stream: LogStream, text: impl Into<String>) -> LogLine {
        LogLine { worker: Some(self.worker.clone()), ..LogLine::new(now_ms(), stream, text) }
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
