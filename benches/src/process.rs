//! Processes of this machine, as `/proc` shows them.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use rustix::param::clock_ticks_per_second;
use rustix::process::{Pid, Signal, kill_process};

/// A process that is still the same one: ids are used again, start times are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) id: u32,
    start_time: u64,
}

impl Process {
    pub(crate) fn of(id: u32) -> Option<Self> {
        Stat::read(id).map(|stat| Self { id, start_time: stat.start_time })
    }

    pub(crate) fn is_alive(&self) -> bool {
        Stat::read(self.id).is_some_and(|stat| stat.start_time == self.start_time && stat.state != 'Z')
    }

    /// All processes below `root`, at this moment. Empty where the system has no `/proc`.
    pub(crate) fn below(root: u32) -> Vec<Self> {
        let mut children: HashMap<u32, Vec<Self>> = HashMap::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if let Some(stat) = Stat::read(id) {
                children.entry(stat.parent).or_default().push(Self { id, start_time: stat.start_time });
            }
        }
        let mut found = Vec::new();
        let mut parents = vec![root];
        while let Some(parent) = parents.pop() {
            for process in children.remove(&parent).unwrap_or_default() {
                parents.push(process.id);
                found.push(process);
            }
        }
        found
    }
}

/// Processor time, user and system, that a process and all below it have taken until now. `None` where the system has
/// no `/proc`.
fn processor_time(root: u32) -> Option<Duration> {
    let ticks = Stat::read(root)?.ticks;
    let below = Process::below(root).into_iter().filter_map(|process| Stat::read(process.id));
    let ticks = ticks + below.map(|stat| stat.ticks).sum::<u64>();
    Some(Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64))
}

/// Memory of a process in MB (10^6 bytes), of pages that it shares with others its part (PSS). `None` where the system does
/// not say.
pub(crate) fn pss_mb(id: u32) -> Option<f64> {
    let rollup = fs::read_to_string(format!("/proc/{id}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kibibytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024.0 / 1e6)
}

/// Memory of a process in MB (10^6 bytes), shared pages included (RSS). `None` where the system does not say.
pub(crate) fn rss_mb(id: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0 / 1e6)
}

pub(crate) fn open_descriptors(id: u32) -> Option<usize> {
    Some(fs::read_dir(format!("/proc/{id}/fd")).ok()?.count())
}

/// Runs `work`, and says what processor time `root` and all below it took meanwhile. `None` where the system does not say, or
/// some of them have ended.
pub(crate) async fn processor_time_of<T>(root: u32, work: impl Future<Output = T>) -> (T, Option<Duration>) {
    let before = processor_time(root);
    let result = work.await;
    let after = processor_time(root);
    (result, after.zip(before).and_then(|(after, before)| after.checked_sub(before)))
}

pub(crate) fn signal(id: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        // It fails only where the process has ended meanwhile.
        let _ = kill_process(pid, signal);
    }
}

struct Stat {
    state: char,
    parent: u32,
    /// User and system time.
    ticks: u64,
    start_time: u64,
}

impl Stat {
    /// `proc_pid_stat(5)`: the name in parentheses may hold blanks, so the fields are counted from its end.
    fn read(id: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self {
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            ticks: number(11)? + number(12)?,
            start_time: number(19)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn what_this_process_takes_is_counted() {
        if !fs::exists("/proc/self/stat").unwrap() {
            return;
        }
        let own = std::process::id();
        let before = processor_time(own).unwrap();
        let begun = Instant::now();
        while processor_time(own).unwrap() == before && begun.elapsed() < Duration::from_secs(10) {}
        assert!(processor_time(own).unwrap() > before);
        assert!(pss_mb(own).unwrap() > 0.0);
    }
}
