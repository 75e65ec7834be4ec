//! A control group (version 2) for each worker, below one in which this process may make some: its own, or the one above where
//! that was delegated. No process but the worker is ever moved.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Pid;

const PREFIX: &str = "flash-";
const CPU_PERIOD_US: u32 = 100_000;
/// Ended processes leave a group a little later than they end.
const REMOVE_TRIES: u32 = 20;
const REMOVE_PAUSE: Duration = Duration::from_millis(50);

/// Where groups for workers can be made.
#[derive(Debug, Clone)]
pub(super) struct Home {
    dir: PathBuf,
    has_cpu: bool,
}

/// Goes when dropped, if nobody is left in it.
#[derive(Debug)]
pub(super) struct Cgroup {
    dir: PathBuf,
    memory_bytes: Option<u64>,
}

impl Home {
    /// Or why there is none, in words.
    pub(super) fn find() -> Result<Self, String> {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let own = own_dir(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"))
            .ok_or("this machine has no cgroups of version 2")?;
        Self::at(&own).or_else(|why| match own.parent() {
            Some(above) if is_delegated(above) => Self::at(above),
            _ => Err(why),
        })
    }

    fn at(dir: &Path) -> Result<Self, String> {
        let list = |name: &str| std::fs::read_to_string(dir.join(name)).unwrap_or_default();
        let has = |names: &str, wanted: &str| names.split_whitespace().any(|name| name == wanted);
        if !has(&list("cgroup.controllers"), "memory") {
            return Err("the cgroup of this process controls no memory".to_owned());
        }
        for controller in ["memory", "cpu"] {
            if has(&list("cgroup.controllers"), controller)
                && !has(&list("cgroup.subtree_control"), controller)
            {
                // Refused where it is not ours, and where processes are in it; looked at below.
                let _ = std::fs::write(dir.join("cgroup.subtree_control"), format!("+{controller}"));
            }
        }
        let enabled = list("cgroup.subtree_control");
        if !has(&enabled, "memory") {
            return Err(
                "the cgroup of this process is not delegated to it, or has processes in it".to_owned()
            );
        }
        let trial = dir.join(format!("{PREFIX}{}", std::process::id()));
        std::fs::create_dir(&trial)
            .and_then(|()| std::fs::remove_dir(&trial))
            .map_err(|error| format!("no cgroup can be made: {error}"))?;
        sweep(dir);
        Ok(Self { dir: dir.to_owned(), has_cpu: has(&enabled, "cpu") })
    }

    /// A group with the process in it. Of what it starts, and of where that goes, nothing leaves.
    pub(super) fn enclose(
        &self,
        worker: u32,
        pid: Pid,
        memory_bytes: Option<u64>,
        cpus: Option<u32>,
    ) -> io::Result<Cgroup> {
        let process = pid.as_raw_nonzero();
        let dir = self.dir.join(format!("{PREFIX}{}-{worker}-{process}", std::process::id()));
        std::fs::create_dir(&dir)?;
        let made = Cgroup { dir, memory_bytes };
        if let Some(bytes) = memory_bytes {
            made.write("memory.max", &bytes.to_string())?;
        }
        if let Some(cpus) = cpus.filter(|_| self.has_cpu) {
            made.write(
                "cpu.max",
                &format!("{} {CPU_PERIOD_US}", u64::from(cpus) * u64::from(CPU_PERIOD_US)),
            )?;
        }
        made.write("cgroup.procs", &process.to_string())?;
        Ok(made)
    }
}

impl Cgroup {
    /// Gives why the kernel ended a process of it, if it did.
    pub(super) async fn end(self) -> Option<String> {
        let events = std::fs::read_to_string(self.dir.join("memory.events")).unwrap_or_default();
        let why = (oom_kills(&events) > 0)
            .then(|| format!("out of memory: it may use {} MB", self.memory_bytes.unwrap_or_default() >> 20));
        let _ = self.write("cgroup.kill", "1");
        for _ in 0..REMOVE_TRIES {
            match std::fs::remove_dir(&self.dir) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                    tokio::time::sleep(REMOVE_PAUSE).await;
                }
                _ => break,
            }
        }
        why
    }

    fn write(&self, name: &str, text: &str) -> io::Result<()> {
        std::fs::write(self.dir.join(name), text)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.dir);
    }
}

/// Groups of processes that are gone. One that is not empty stays.
fn sweep(dir: &Path) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('-').next());
        if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
            let _ = std::fs::remove_dir(entry.path());
        }
    }
}

/// The folder of this process's group, from what `/proc/self` says.
fn own_dir(mountinfo: &str, cgroup: &str) -> Option<PathBuf> {
    let mount = mountinfo.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        (kind.starts_with("cgroup2 ") && root == "/").then(|| PathBuf::from(point))
    })?;
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(if path.is_empty() { mount } else { mount.join(path) })
}

/// As systemd marks what it leaves to others (`Delegate=`).
fn is_delegated(dir: &Path) -> bool {
    ["user.delegate", "trusted.delegate"].iter().any(|name| {
        let mut value = [0; 8];
        rustix::fs::getxattr(dir, *name, &mut value).is_ok_and(|length| value[..length] == *b"1")
    })
}

fn oom_kills(events: &str) -> u64 {
    events.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_group_is_where_the_kernel_says() {
        let mounts = "30 23 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                      31 23 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:9 - cgroup2 cgroup2 rw\n";
        let check = |mounts, cgroup, expected: Option<&str>| {
            assert_eq!(own_dir(mounts, cgroup), expected.map(PathBuf::from), "{cgroup}");
        };
        check(mounts, "4:memory:/x\n0::/a.slice/b\n", Some("/sys/fs/cgroup/unified/a.slice/b"));
        check(mounts, "0::/\n", Some("/sys/fs/cgroup/unified"));
        check(mounts, "4:memory:/x\n", None);
        check("30 23 0:26 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n", "0::/\n", None);
        check("", "", None);
    }

    #[test]
    fn processes_that_the_kernel_ended_are_counted() {
        assert_eq!(oom_kills("low 0\noom 3\noom_kill 2\noom_group_kill 0\n"), 2);
        assert_eq!(oom_kills(""), 0);
    }

    #[test]
    fn a_home_has_memory_enabled_and_says_why_another_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        let why = || Home::at(dir.path()).unwrap_err();
        assert!(why().contains("no memory"), "{}", why());
        file("cgroup.controllers", "cpuset cpu memory pids\n");
        file("cgroup.subtree_control", "cpu memory\n");
        std::fs::create_dir(dir.path().join("flash-4294967295-1-2")).unwrap();
        std::fs::create_dir(dir.path().join("others")).unwrap();
        assert!(Home::at(dir.path()).unwrap().has_cpu);
        assert!(!dir.path().join("flash-4294967295-1-2").exists(), "its owner is gone");
        assert!(dir.path().join("others").exists());
    }

    #[tokio::test]
    async fn a_group_is_told_its_limits_and_who_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home { dir: dir.path().to_owned(), has_cpu: true };
        let pid = Pid::from_raw(77).unwrap();
        let made = home.enclose(3, pid, Some(64 << 20), Some(2)).unwrap();
        let told = |name: &str| std::fs::read_to_string(made.dir.join(name)).unwrap();
        assert_eq!(told("memory.max"), "67108864");
        assert_eq!(told("cpu.max"), "200000 100000");
        assert_eq!(told("cgroup.procs"), "77");
        made.write("memory.events", "oom_kill 1\n").unwrap();
        assert_eq!(made.end().await.unwrap(), "out of memory: it may use 64 MB");
    }
}
