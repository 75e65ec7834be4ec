//! Peak memory of a short-lived program.
//!
//! `ru_maxrss` would count this process: Linux carries the parent's size over `fork` and `exec`. So the program is
//! caught at its end instead: its standard output is a socket that is full, its last write blocks, and the
//! kernel's own high-water mark of the new program image (`VmHWM`) is read while it waits.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const WAIT_MAX: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(5);

/// In MB (10^6 bytes). `None` where the system has no `/proc`.
pub(crate) fn peak_rss_mb(mut command: Command) -> Result<Option<f64>> {
    let (mut reader, writer) = UnixStream::pair()?;
    fill(&writer)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::from(OwnedFd::from(writer)))
        .stderr(Stdio::null())
        .spawn()?;
    drop(command); // and with it our copy of the socket, else its end would never come
    let peak = wait_for_blocked_write(&mut child);
    reader.set_read_timeout(Some(WAIT_MAX))?;
    let drained = io::copy(&mut reader, &mut io::sink());
    if drained.is_err() {
        child.kill()?;
    }
    let status = child.wait()?;
    drained?;
    if !status.success() {
        bail!("the program whose memory was measured ended with {status}");
    }
    peak
}

fn fill(mut socket: &UnixStream) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    for block in [&[0_u8; 4096][..], &[0_u8]] {
        loop {
            match socket.write(block) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
    }
    socket.set_nonblocking(false)
}

fn wait_for_blocked_write(child: &mut Child) -> Result<Option<f64>> {
    let folder = format!("/proc/{}", child.id());
    let deadline = Instant::now() + WAIT_MAX;
    while Instant::now() < deadline {
        if child.try_wait()?.is_some() {
            bail!("the program whose memory was measured ended without output");
        }
        // "NUMBER 0xARGUMENT …" of the system call it waits in: argument 0 is the descriptor, 1 standard output.
        let Ok(call) = fs::read_to_string(format!("{folder}/syscall")) else { return Ok(None) };
        if call.split(' ').nth(1) == Some("0x1") {
            let Ok(status) = fs::read_to_string(format!("{folder}/status")) else { return Ok(None) };
            return Ok(high_water_mark_mb(&status));
        }
        thread::sleep(POLL);
    }
    child.kill()?;
    bail!("the program whose memory was measured wrote nothing in {WAIT_MAX:?}")
}

fn high_water_mark_mb(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: f64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_read_from_the_status_file() {
        assert_eq!(high_water_mark_mb("Name:\tx\nVmHWM:\t    1000 kB\nVmRSS:\t 1 kB\n"), Some(1.024));
        assert_eq!(high_water_mark_mb("Name:\tx\n"), None);
    }

    #[test]
    fn a_program_that_takes_memory_and_gives_it_back_is_caught_at_its_peak() {
        // awk's string of 2^24 characters is freed before it prints.
        let program =
            r#"BEGIN { s = "x"; for (i = 0; i < 24; i++) s = s s; n = length(s); s = ""; print n }"#;
        let mut command = Command::new("awk");
        command.arg(program);
        let peak = peak_rss_mb(command).unwrap();
        if fs::exists("/proc/self/syscall").unwrap() {
            assert!(peak.unwrap() > 16.0, "{peak:?}");
        }
    }
}
