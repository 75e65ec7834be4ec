//! Asks a Python program one question: text in, text out, within a time limit.

use std::collections::VecDeque;
use std::io::{self, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::command::Cancel;

const POLL: Duration = Duration::from_millis(5);
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Of standard error, the end.
const COMPLAINT_BYTES_MAX: usize = 16 * 1024;

#[derive(Debug)]
pub struct Answer {
    /// `None`: it was ended, for taking too long or because it was cancelled.
    pub status: Option<ExitStatus>,
    pub stdout: Vec<u8>,
    /// The last 16 KiB.
    pub stderr: String,
}

/// Runs `command` in a process group of its own, which ends with it, with the limit or with the cancellation,
/// whichever comes first.
pub fn ask(mut command: Command, input: Vec<u8>, limit: Duration, cancel: &Cancel) -> io::Result<Answer> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn()?;
    // Writing and both kinds of reading at once: any of them may block until another goes on.
    if let Some(mut stdin) = child.stdin.take() {
        // Who does not read its input says why in its answer.
        thread::spawn(move || stdin.write_all(&input).ok());
    }
    let stdout = child.stdout.take().map(|pipe| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            pipe.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes).map(|_| bytes)
        })
    });
    let stderr = child.stderr.take().map(|pipe| thread::spawn(move || end_of(pipe)));

    let deadline = Instant::now() + limit;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break Some(status);
        }
        if Instant::now() > deadline || cancel.is_cancelled() {
            break None;
        }
        thread::sleep(POLL);
    };
    // Also what it started and left behind, which would hold the pipes open.
    end_group(&mut child);
    let joined = |reader: thread::JoinHandle<io::Result<Vec<u8>>>| match reader.join() {
        Ok(read) => read,
        Err(_) => Err(io::Error::other("a reader ended unexpectedly")),
    };
    Ok(Answer {
        status,
        stdout: stdout.map_or(Ok(Vec::new()), joined)?,
        stderr: String::from_utf8_lossy(&stderr.map_or(Ok(Vec::new()), joined)?).into_owned(),
    })
}

fn end_group(child: &mut Child) {
    if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}

fn end_of(mut pipe: impl Read) -> io::Result<Vec<u8>> {
    let mut end = VecDeque::new();
    let mut buffer = [0; 4096];
    loop {
        let count = pipe.read(&mut buffer)?;
        if count == 0 {
            return Ok(Vec::from(end));
        }
        end.extend(&buffer[..count]);
        end.drain(..end.len().saturating_sub(COMPLAINT_BYTES_MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn text_goes_in_and_comes_out_however_long() {
        let input = vec![b'x'; 300_000];
        let answer = ask(
            shell("cat; echo said >&2; exit 3"),
            input.clone(),
            Duration::from_secs(3600),
            &Cancel::default(),
        )
        .unwrap();
        assert_eq!(answer.status.unwrap().code(), Some(3));
        assert!(answer.stdout == input);
        assert_eq!(answer.stderr, "said\n");
    }

    #[test]
    fn what_takes_too_long_ends_with_everything_it_started() {
        // Both sleeps would hold the pipes open for longer than any test may take.
        let script = "echo begun; sleep 1000 & sleep 1000";
        let answer = ask(shell(script), Vec::new(), Duration::from_millis(50), &Cancel::default()).unwrap();
        assert!(answer.status.is_none());
        let cancel = Cancel::default();
        cancel.cancel();
        assert!(ask(shell(script), Vec::new(), Duration::from_secs(3600), &cancel).unwrap().status.is_none());
        let left =
            ask(shell("sleep 1000 & echo done"), Vec::new(), Duration::from_secs(3600), &Cancel::default());
        assert_eq!(left.unwrap().stdout, b"done\n");
    }
}
