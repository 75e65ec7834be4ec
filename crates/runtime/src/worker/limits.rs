//! What a worker may use of the machine, where the instance that its resource names is smaller: by a cgroup where one may be
//! made, else by a limit of its data, which knows no CPUs.

use flash_model::wire::WorkerLimits;
use flash_model::{InstanceSize, ResourceSpec};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use super::cgroup::{Cgroup, Home};

/// The kernel counts what is mapped for writing, used or not: thread stacks, pools of allocators and of numeric libraries.
/// So the limit is this many times the instance's memory.
const DATA_FACTOR: u64 = 2;

#[derive(Debug, Clone)]
pub(crate) struct Limits {
    said: WorkerLimits,
    home: Option<Home>,
}

/// One worker's, until dropped.
#[derive(Debug)]
pub(super) struct Confined {
    cgroup: Option<Cgroup>,
}

#[derive(Debug, Clone, Copy)]
struct Machine {
    cpus: u32,
    memory_bytes: u64,
}

impl Limits {
    /// Looks at the machine, and says in the log what applies.
    pub(crate) fn of(spec: &ResourceSpec, is_on: bool) -> Self {
        let home = Home::find();
        let said = decide(spec.hardware.instance_size(), is_on, Machine::look(), home.as_ref().err());
        tracing::info!(
            by = said.by,
            memory_bytes = said.memory_bytes,
            cpus = said.cpus,
            reason = said.reason,
            "limits of workers"
        );
        let home = home.ok().filter(|_| said.by == "cgroup");
        Self { said, home }
    }

    pub(crate) fn said(&self) -> WorkerLimits {
        self.said.clone()
    }

    /// From here on. Where it cannot be done the worker runs without.
    pub(super) fn confine(&self, worker: u32, pid: Option<Pid>) -> Confined {
        let mut confined = Confined { cgroup: None };
        let Some(pid) = pid else { return confined };
        let done = match &self.home {
            Some(home) => home
                .enclose(worker, pid, self.said.memory_bytes, self.said.cpus)
                .map(|made| confined.cgroup = Some(made)),
            None => self.said.memory_bytes.map_or(Ok(()), |bytes| limit_data(pid, bytes)),
        };
        if let Err(error) = done {
            tracing::warn!(worker, %error, "this worker runs without limits");
        }
        confined
    }
}

impl Confined {
    /// Ends what is left of the worker's processes, wherever they went. Gives why the kernel ended some, if it did.
    pub(super) async fn end(self) -> Option<String> {
        self.cgroup?.end().await
    }
}

/// Only what is below what there is, and never more than there was.
fn limit_data(pid: Pid, bytes: u64) -> std::io::Result<()> {
    let own = getrlimit(Resource::Data);
    let current = own.current.map_or(bytes, |own| own.min(bytes));
    prlimit(Some(pid), Resource::Data, Rlimit { current: Some(current), maximum: own.maximum })?;
    Ok(())
}

fn decide(
    size: Option<InstanceSize>,
    is_on: bool,
    machine: Option<Machine>,
    no_cgroup: Option<&String>,
) -> WorkerLimits {
    let none = |reason: &str| WorkerLimits {
        by: "none".to_owned(),
        reason: Some(reason.to_owned()),
        ..WorkerLimits::default()
    };
    if !is_on {
        return none("switched off");
    }
    let Some(size) = size else { return none("the resource names no CPU instance of a certain size") };
    let Some(machine) = machine else { return none("what this machine has is not known") };
    let memory_bytes = Some(size.memory_bytes).filter(|bytes| *bytes < machine.memory_bytes);
    let cpus = Some(size.cpus).filter(|cpus| *cpus < machine.cpus);
    if memory_bytes.is_none() && cpus.is_none() {
        return none("this machine has no more than the instance");
    }
    let Some(no_cgroup) = no_cgroup else {
        return WorkerLimits { by: "cgroup".to_owned(), memory_bytes, cpus, reason: None };
    };
    let data_bytes = size.memory_bytes.saturating_mul(DATA_FACTOR);
    if data_bytes < machine.memory_bytes {
        return WorkerLimits {
            by: "rlimit".to_owned(),
            memory_bytes: Some(data_bytes),
            cpus: None,
            reason: Some(no_cgroup.clone()),
        };
    }
    none(no_cgroup)
}

impl Machine {
    fn look() -> Option<Self> {
        let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
        let kibibytes: u64 = meminfo.lines().find_map(|line| {
            line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse().ok()
        })?;
        let cpus = std::thread::available_parallelism().ok()?.get() as u32;
        Some(Self { cpus, memory_bytes: kibibytes * 1024 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1 << 30;

    #[test]
    fn only_what_is_below_what_the_machine_has_is_limited() {
        let refused = "no cgroup".to_owned();
        let check = |(cpus, gigabytes),
                     machine: (u32, u64),
                     no_cgroup,
                     expected: (&str, Option<u64>, Option<u32>)| {
            let size = Some(InstanceSize { cpus, memory_bytes: gigabytes * GB });
            let machine = Machine { cpus: machine.0, memory_bytes: machine.1 * GB };
            let said = decide(size, true, Some(machine), no_cgroup);
            let memory = said.memory_bytes.map(|bytes| bytes / GB);
            assert_eq!((said.by.as_str(), memory, said.cpus), expected, "{size:?} on {machine:?}");
            assert_eq!(said.reason.is_none(), said.by == "cgroup", "{said:?}");
        };
        check((2, 4), (8, 32), None, ("cgroup", Some(4), Some(2)));
        check((2, 4), (2, 32), None, ("cgroup", Some(4), None));
        check((2, 4), (4, 4), None, ("cgroup", None, Some(2)));
        check((2, 4), (2, 4), None, ("none", None, None));
        check((2, 4), (8, 32), Some(&refused), ("rlimit", Some(8), None));
        check((2, 4), (8, 8), Some(&refused), ("none", None, None));
        check((8, 16), (2, 8), Some(&refused), ("none", None, None));
    }

    #[test]
    fn nothing_is_limited_where_that_is_not_wanted_or_not_known() {
        let (size, machine) =
            (InstanceSize { cpus: 1, memory_bytes: GB }, Machine { cpus: 8, memory_bytes: 8 * GB });
        assert_eq!(decide(Some(size), false, Some(machine), None).by, "none");
        assert_eq!(decide(None, true, Some(machine), None).by, "none");
        assert_eq!(decide(Some(size), true, None, None).by, "none");
    }

    #[test]
    fn this_machine_has_something() {
        assert!(Machine::look().is_some_and(|machine| machine.cpus > 0 && machine.memory_bytes > 1 << 20));
    }
}
