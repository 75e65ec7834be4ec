//! The endpoint's log: what user code prints and what the endpoint says itself, a JSON object a line, in files of bounded size.
//!
//! `segments.rs` are the files as they are written, `reader.rs` is for whoever reads them. What user code prints comes from
//! `worker/output.rs`.

mod reader;
mod segments;

use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flash_model::wire::{LogLine, LogStream};

pub use self::reader::LogReader;
use self::segments::Segments;

/// Of an endpoint's folder.
pub(crate) const LOG_DIR: &str = "log";
/// Lines that the disk has not taken yet; what is more is lost. Far less than a file holds.
const PENDING_BYTES_MAX: usize = 2 * 1024 * 1024;
/// For the last lines to be written. A disk that hangs must not keep an endpoint from ending.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Cheap to clone. Lines reach the disk by way of a thread: a slow one holds up no call. Those from before the log is
/// opened are kept until it is.
#[derive(Debug, Clone, Default)]
pub struct Log {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    pending: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Pending {
    lines: Vec<u8>,
    lost_lines: u64,
    is_closing: bool,
    is_closed: bool,
}

impl Log {
    pub(crate) fn write(&self, line: &LogLine) {
        let mut pending = self.shared.lock();
        if pending.lines.len() >= PENDING_BYTES_MAX {
            pending.lost_lines += 1;
            return;
        }
        let was_empty = pending.lines.is_empty();
        append(&mut pending.lines, line);
        drop(pending);
        if was_empty {
            self.shared.changed.notify_all();
        }
    }

    /// A line of the endpoint's own.
    pub(crate) fn say(&self, text: impl Into<String>) {
        self.write(&LogLine::new(now_ms(), LogStream::Flash, text));
    }

    /// Goes on behind what is in the folder, for as long as the result is held. One process at a time.
    pub(crate) fn open(&self, folder: &Path) -> io::Result<Writing> {
        let segments = Segments::open(&folder.join(LOG_DIR))?;
        let shared = Arc::clone(&self.shared);
        std::thread::Builder::new().name("flash-log".to_owned()).spawn(move || shared.write_to(segments))?;
        Ok(Writing { log: self.clone() })
    }
}

/// A text that is written is one line of the endpoint's own, whatever white space is around it.
impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.say(String::from_utf8_lossy(text).trim());
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Until this is dropped, the log reaches the disk. Dropping waits for the last lines.
#[derive(Debug)]
pub(crate) struct Writing {
    log: Log,
}

impl Drop for Writing {
    fn drop(&mut self) {
        let shared = &*self.log.shared;
        let mut pending = shared.lock();
        pending.is_closing = true;
        shared.changed.notify_all();
        drop(shared.changed.wait_timeout_while(pending, CLOSE_TIMEOUT, |pending| !pending.is_closed));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_to(&self, mut segments: Segments) {
        let (mut lines, mut lost) = (Vec::new(), Lost::default());
        while self.take(&mut lines, &mut lost) {
            if let Some(line) = lost.line() {
                append(&mut lines, &line);
            }
            match segments.write(&lines) {
                Ok(()) => lost = Lost::default(),
                Err(error) => {
                    lost.lines += count(&lines) - u64::from(lost.lines > 0);
                    lost.failure = Some(error);
                }
            }
            lines.clear();
        }
    }

    /// What is pending, when there is something. False at the end.
    fn take(&self, lines: &mut Vec<u8>, lost: &mut Lost) -> bool {
        let is_idle = |pending: &mut Pending| pending.lines.is_empty() && !pending.is_closing;
        let waited = self.changed.wait_while(self.lock(), is_idle);
        let mut pending = waited.unwrap_or_else(PoisonError::into_inner);
        if pending.lines.is_empty() {
            pending.is_closed = true;
            self.changed.notify_all();
            return false;
        }
        std::mem::swap(&mut pending.lines, lines);
        lost.lines += std::mem::take(&mut pending.lost_lines);
        true
    }
}

/// Lines that did not reach the disk; the next that do say so.
#[derive(Debug, Default)]
struct Lost {
    lines: u64,
    failure: Option<io::Error>,
}

impl Lost {
    fn line(&self) -> Option<LogLine> {
        let why = match &self.failure {
            _ if self.lines == 0 => return None,
            Some(error) => format!("{} lines could not be written: {error}", self.lines),
            None => format!("{} lines are missing: the disk did not take them in time", self.lines),
        };
        let line = LogLine::new(now_ms(), LogStream::Flash, why);
        Some(LogLine { dropped_lines: self.lines, ..line })
    }
}

fn append(lines: &mut Vec<u8>, line: &LogLine) {
    let begin = lines.len();
    // Texts and numbers always serialise; half a line would spoil the next.
    match serde_json::to_writer(&mut *lines, line) {
        Ok(()) => lines.push(b'\n'),
        Err(_) => lines.truncate(begin),
    }
}

fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(folder: &Path) -> Vec<LogLine> {
        let mut lines = Vec::new();
        LogReader::new(folder).read(|_, line| lines.push(line)).unwrap();
        lines
    }

    #[test]
    fn lines_from_before_it_is_opened_come_first_and_all_are_there_when_it_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::default();
        log.say("early");
        let writing = log.open(folder.path()).unwrap();
        for number in 0..1000 {
            log.say(number.to_string());
        }
        drop(writing);
        let texts: Vec<_> = read(folder.path()).into_iter().map(|line| line.text).collect();
        assert_eq!((texts.len(), texts[0].as_str(), texts[1000].as_str()), (1001, "early", "999"));
    }

    #[test]
    fn what_the_disk_did_not_take_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::default();
        let text = "x".repeat(1024);
        for _ in 0..3 * PENDING_BYTES_MAX / text.len() {
            log.say(text.as_str());
        }
        drop(log.open(folder.path()).unwrap());
        let lines = read(folder.path());
        let last = lines.last().unwrap();
        assert_eq!(lines.len() as u64 - 1 + last.dropped_lines, 3 * (PENDING_BYTES_MAX / text.len()) as u64);
        assert!(last.dropped_lines > 0 && last.text.contains("lines are missing"), "{last:?}");
    }
}
