//! A server process under test. Dropping it ends it and everything it started, by process id.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use crate::process::{Process, signal};

const STOP_MAX: Duration = Duration::from_secs(10);
const DESCENDANTS_STOP_MAX: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(10);
const LOG_TAIL_LINES: usize = 20;

#[derive(Debug)]
pub(crate) struct Server {
    name: String,
    child: Child,
    log: PathBuf,
    pub(crate) address: SocketAddr,
    pub(crate) started: Instant,
    /// Processes below this one, found so far: they may outlive it and then have another parent.
    descendants: Vec<Process>,
}

impl Server {
    pub(crate) fn start(name: &str, command: Command, port: u16, log: PathBuf) -> Result<Self> {
        let (started, child) = spawn(name, command, &log)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Ok(Self { name: name.to_owned(), child, log, address, started, descendants: Vec::new() })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// An error, with the end of its log, if it has ended by itself.
    pub(crate) fn check_running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended with {status}; its output:\n{}", self.name, tail(&self.log)),
        }
    }

    pub(crate) fn failure(&self, what: &str) -> anyhow::Error {
        anyhow::anyhow!("{} {what}; its output:\n{}", self.name, tail(&self.log))
    }

    /// To be called whenever it may have started more processes.
    pub(crate) fn note_descendants(&mut self) {
        self.note(Process::below(self.child.id()));
    }

    /// One that it started and that has outlived an earlier life of it.
    pub(crate) fn note_with_descendants(&mut self, process: Process) {
        self.note(Process::below(process.id));
        self.note(vec![process]);
    }

    fn note(&mut self, processes: Vec<Process>) {
        self.descendants.retain(Process::is_alive);
        for process in processes {
            if !self.descendants.contains(&process) {
                self.descendants.push(process);
            }
        }
    }

    /// Kills it and nothing of what it started, and starts it again.
    pub(crate) fn crash(&mut self, again: Command) -> Result<()> {
        self.note_descendants();
        self.child.kill()?;
        self.child.wait()?;
        (self.started, self.child) = spawn(&self.name, again, &self.log)?;
        Ok(())
    }

    /// Asks it to end. An error if it does not within the limit, or leaves processes behind.
    pub(crate) fn stop(mut self) -> Result<()> {
        match self.end()? {
            0 => Ok(()),
            left => Err(self.failure(&format!("left {left} processes behind"))),
        }
    }

    /// Asks it to end. How many processes it leaves behind, which are then killed.
    pub(crate) fn stop_and_count(mut self) -> Result<usize> {
        self.end()
    }

    fn end(&mut self) -> Result<usize> {
        self.note_descendants();
        let status = self.interrupt()?;
        let left = self.wait_for_descendants();
        if status.is_none() {
            return Err(self.failure(&format!("did not end within {STOP_MAX:?} of SIGINT")));
        }
        Ok(left)
    }

    /// How many of them are still there after a while: a worker may end a moment after its endpoint.
    fn wait_for_descendants(&self) -> usize {
        let deadline = Instant::now() + DESCENDANTS_STOP_MAX;
        loop {
            let left = self.descendants.iter().filter(|process| process.is_alive()).count();
            if left == 0 || Instant::now() > deadline {
                return left;
            }
            thread::sleep(POLL);
        }
    }

    fn interrupt(&mut self) -> Result<Option<ExitStatus>> {
        let deadline = Instant::now() + STOP_MAX;
        if self.child.try_wait()?.is_none() {
            signal(self.child.id(), Signal::INT);
        }
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() > deadline {
                return Ok(None);
            }
            thread::sleep(POLL);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.note_descendants();
        if !matches!(self.interrupt(), Ok(Some(_))) {
            // Both fail only where it has ended meanwhile.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        for process in &self.descendants {
            if process.is_alive() {
                signal(process.id, Signal::KILL);
            }
        }
    }
}

fn spawn(name: &str, mut command: Command, log: &Path) -> Result<(Instant, Child)> {
    let output = fs::File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    let started = Instant::now();
    Ok((started, command.spawn().with_context(|| format!("cannot start {name}"))?))
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropping_a_server_ends_what_it_started() {
        let log = std::env::temp_dir().join(format!("flash-bench-{}.log", std::process::id()));
        let mut command = Command::new("sh");
        // A child in a session of its own, which ignores what the parent gets.
        command.args(["-c", "setsid sleep 60 & wait"]);
        let mut server = Server::start("shell", command, 1, log.clone()).unwrap();
        let deadline = Instant::now() + STOP_MAX;
        while server.descendants.is_empty() && Instant::now() < deadline {
            server.note_descendants();
        }
        let child = server.descendants.first().cloned();
        drop(server);
        fs::remove_file(log).unwrap();
        let child = child.expect("the shell starts a child");
        let deadline = Instant::now() + STOP_MAX;
        while child.is_alive() && Instant::now() < deadline {
            thread::sleep(POLL);
        }
        assert!(!child.is_alive());
    }
}
