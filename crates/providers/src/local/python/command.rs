//! Runs one program to its end, passing its output on line by line and keeping the end of it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// Building packages from source takes long; longer than this is taken as hung.
pub(super) const RUN_SECONDS_MAX: u64 = 3600;
/// How soon a cancellation is seen.
const CANCEL_PAUSE: Duration = Duration::from_millis(100);
const OUTPUT_LINES_MAX: usize = 60;
const LINE_BYTES_MAX: u64 = 64 * 1024;
const QUEUED_LINES_MAX: usize = 256;

/// Ends the programs that run, and those that would: for a person who does not want to wait for them any more.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
pub(super) struct Finished {
    /// `None` when it was cancelled or ended for taking too long.
    pub(super) status: Option<ExitStatus>,
    /// The last lines of stdout and stderr together.
    pub(super) output: String,
}

impl Finished {
    pub(super) fn success(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }
}

/// The child's standard input is `lock`, an empty file: it reads nothing from it, but a lock on that file holds until
/// the child and its own children are gone, even if this process is killed meanwhile.
pub(super) fn run(
    mut command: Command,
    lock: &File,
    cancel: &Cancel,
    on_line: &dyn Fn(String),
) -> io::Result<Finished> {
    let (reader, writer) = io::pipe()?;
    command.stdin(lock.try_clone()?).stdout(writer.try_clone()?).stderr(writer);
    // A group of its own, so that what it starts can be ended with it.
    let mut child = command.process_group(0).spawn()?;
    // It holds the pipe's writing ends, without which the reader would never see the end.
    drop(command);

    let (sender, lines) = mpsc::sync_channel(QUEUED_LINES_MAX);
    std::thread::spawn(move || {
        let lines = Lines { reader: BufReader::new(reader) };
        // Fails only once nobody listens any more.
        lines.map(|line| sender.send(line)).take_while(Result::is_ok).for_each(drop);
    });

    let deadline = Instant::now() + Duration::from_secs(RUN_SECONDS_MAX);
    let mut last = VecDeque::new();
    loop {
        let now = Instant::now();
        if cancel.is_cancelled() || now > deadline {
            kill_group(&mut child)?;
            return Ok(Finished { status: None, output: Vec::from(last).join("\n") });
        }
        match lines.recv_timeout(CANCEL_PAUSE.min(deadline.saturating_duration_since(now))) {
            Ok(line) => {
                if last.len() == OUTPUT_LINES_MAX {
                    last.pop_front();
                }
                last.push_back(line.clone());
                on_line(line);
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = Some(child.wait()?);
                return Ok(Finished { status, output: Vec::from(last).join("\n") });
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn kill_group(child: &mut Child) -> io::Result<()> {
    if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    child.wait().map(drop)
}

/// Lines without their end, white space and bytes that are not UTF-8; over-long ones in parts. Read errors end it.
struct Lines<R> {
    reader: BufReader<R>,
}

impl<R: io::Read> Iterator for Lines<R> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        loop {
            let mut bytes = Vec::new();
            match self.reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes) {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
            // Of a line that was drawn over itself, the last state.
            let text = String::from_utf8_lossy(&bytes);
            let line = text.trim_end().rsplit('\r').next().unwrap_or_default().trim_end();
            if !line.is_empty() {
                return Some(line.to_owned());
            }
        }
    }
}
