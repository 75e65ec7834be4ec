//! The processes below a worker, wherever they went: those in a session of their own are in no group that could be ended.

use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// At once and of one worker: each costs this process a descriptor.
const HELD_MAX: usize = 256;

/// A process, told from a later one with its number by when it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pid: i32,
    parent: i32,
    group: i32,
    /// In ticks since the machine booted.
    began: u64,
}

impl Process {
    /// None where there is no `/proc`.
    pub(super) fn of(pid: Pid) -> Option<Self> {
        Self::read(pid.as_raw_nonzero().get())
    }

    fn read(pid: i32) -> Option<Self> {
        Self::parse(pid, &std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// From `/proc/PID/stat`. A program's name may have any character in it, also `)`.
    fn parse(pid: i32, stat: &str) -> Option<Self> {
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let parent = fields.nth(1)?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        let began = fields.nth(16)?.parse().ok()?;
        Some(Self { pid, parent, group, began })
    }
}

/// Hold of those that are below `root` now and have left its group, for as long as their numbers are not given to others.
pub(super) fn hold(root: Process) -> Vec<OwnedFd> {
    // Most workers are gone by themselves by then, and reading of all processes takes a while.
    if Process::read(root.pid).is_none_or(|now| now.began != root.began) {
        return Vec::new();
    }
    let left = below(root, &all()).into_iter().filter(|process| process.group != root.pid);
    left.filter_map(hold_one).take(HELD_MAX).collect()
}

/// Fails for those that are gone.
pub(super) fn kill(held: &[OwnedFd]) {
    for process in held {
        let _ = pidfd_send_signal(process, Signal::KILL);
    }
}

fn hold_one(process: Process) -> Option<OwnedFd> {
    let held = pidfd_open(Pid::from_raw(process.pid)?, PidfdFlags::empty()).ok()?;
    // Between the list and here it may have ended and its number may have become another's.
    (Process::read(process.pid)?.began == process.began).then_some(held)
}

fn all() -> Vec<Process> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Process::read(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// None if `root` is no longer what it was.
fn below(root: Process, all: &[Process]) -> Vec<Process> {
    if !all.iter().any(|process| (process.pid, process.began) == (root.pid, root.began)) {
        return Vec::new();
    }
    let mut found: Vec<Process> = Vec::new();
    let mut parents = vec![root.pid];
    while let Some(parent) = parents.pop() {
        for process in all.iter().filter(|process| process.parent == parent) {
            if process.pid != root.pid && !found.contains(process) {
                found.push(*process);
                parents.push(process.pid);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32, began: u64) -> Process {
        Process { pid, parent, group: pid, began }
    }

    #[test]
    fn only_what_is_below_is_found() {
        let worker = process(10, 1, 100);
        let all = [
            process(1, 0, 1),
            worker,
            process(11, 10, 101),
            process(12, 11, 102),
            process(20, 1, 100),
            process(21, 20, 101),
        ];
        assert_eq!(below(worker, &all), [all[2], all[3]]);
    }

    #[test]
    fn a_number_that_became_anothers_has_nothing_below() {
        assert_eq!(below(process(10, 1, 100), &[process(10, 1, 200), process(11, 10, 201)]), []);
        assert_eq!(below(process(10, 1, 100), &[process(11, 10, 201)]), []);
    }

    #[test]
    fn a_name_may_look_like_fields() {
        let stat = "7 (a) b) S 3 6 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1000 1";
        assert_eq!(Process::parse(7, stat), Some(Process { group: 6, ..process(7, 3, 4242) }));
        assert_eq!(Process::parse(7, "7 (a) S"), None);
        assert_eq!(Process::parse(7, ""), None);
    }
}
