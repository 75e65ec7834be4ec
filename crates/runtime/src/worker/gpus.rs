//! Which GPUs of this machine a worker gets. A GPU is taken by whoever has the lock of its file, in a folder that all
//! endpoints of this user share: the kernel gives it back when its holder is gone, whatever way that went.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::Duration;

use flash_model::child_environment::VISIBLE_GPUS;
use flash_model::{Hardware, ResourceSpec};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::state::Shortage;
use crate::settings::GpuSettings;

/// How soon a GPU is noticed that became free.
const LOOK_PERIOD: Duration = Duration::from_millis(200);

/// Those that one endpoint's workers may be given, and how many each gets.
#[derive(Debug, Clone)]
pub(crate) struct Gpus {
    dir: PathBuf,
    numbers: Vec<u32>,
    wanted: usize,
}

/// Of one worker, until dropped.
#[derive(Debug)]
pub(super) struct Taken {
    numbers: Vec<u32>,
    _locks: Vec<File>,
    /// Waits for the locks of those that others have too.
    _claims: JoinSet<()>,
}

impl Gpus {
    /// None where workers are given none: the resource asks for none or says itself which, or there are none to hand out.
    pub(crate) fn of(settings: &GpuSettings, spec: &ResourceSpec) -> Option<Self> {
        let Hardware::Gpu { gpu_count, .. } = &spec.hardware else { return None };
        if spec.env.iter().any(|name| name == VISIBLE_GPUS) {
            return None;
        }
        let numbers = numbers(settings.visible.as_deref(), settings.count.unwrap_or_else(device_files))?;
        let asked = (*gpu_count).max(1) as usize;
        if numbers.is_empty() {
            tracing::info!("no GPU on this machine: workers run without");
            return None;
        }
        if asked > numbers.len() {
            tracing::warn!(asked, there_are = numbers.len(), "workers get fewer GPUs than they ask for");
        }
        if let Err(error) = ensure_own(&settings.locks_dir) {
            tracing::warn!(%error, path = %settings.locks_dir.display(), "GPUs are not handed out: no place for their locks");
            return None;
        }
        Some(Self { dir: settings.locks_dir.clone(), wanted: asked.min(numbers.len()), numbers })
    }

    /// When enough are free, or as `short` says, which is told how long this has waited. `None` to leave without.
    pub(super) async fn take(
        &self,
        worker: u32,
        mut short: impl FnMut(Duration) -> Shortage,
    ) -> Option<Taken> {
        let began = Instant::now();
        loop {
            let free = self.lock_free();
            if free.len() >= self.wanted {
                return Some(self.taken(free, &[]));
            }
            match short(began.elapsed()) {
                Shortage::Leave => return None,
                Shortage::Share => {
                    let locked: Vec<u32> = free.iter().map(|(number, _)| *number).collect();
                    let shared = shared(&self.numbers, &locked, self.wanted, worker);
                    tracing::warn!(worker, gpus = ?shared, "not enough GPUs are free: these are shared with other workers");
                    return Some(self.taken(free, &shared));
                }
                Shortage::Wait => {
                    drop(free);
                    sleep(LOOK_PERIOD).await;
                }
            }
        }
    }

    fn taken(&self, locked: Vec<(u32, File)>, shared: &[u32]) -> Taken {
        let mut claims = JoinSet::new();
        for number in shared.iter().copied() {
            let gpus = self.clone();
            claims.spawn(async move {
                loop {
                    sleep(LOOK_PERIOD).await;
                    if let Some(_lock) = gpus.try_lock(number) {
                        return std::future::pending().await;
                    }
                }
            });
        }
        let (mut numbers, locks): (Vec<u32>, Vec<File>) = locked.into_iter().unzip();
        numbers.extend(shared);
        numbers.sort_unstable();
        Taken { numbers, _locks: locks, _claims: claims }
    }

    /// At most as many as wanted.
    fn lock_free(&self) -> Vec<(u32, File)> {
        let locked = self.numbers.iter().filter_map(|number| Some((*number, self.try_lock(*number)?)));
        locked.take(self.wanted).collect()
    }

    fn try_lock(&self, number: u32) -> Option<File> {
        let path = self.dir.join(number.to_string());
        let opened = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let locked = opened.and_then(|file| match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        });
        locked.unwrap_or_else(|error| {
            tracing::warn!(%error, path = %path.display(), "cannot look whether a GPU is free");
            None
        })
    }
}

impl Taken {
    pub(super) fn variable(&self) -> (&'static str, String) {
        let numbers: Vec<String> = self.numbers.iter().map(u32::to_string).collect();
        (VISIBLE_GPUS, numbers.join(","))
    }
}

/// Which there are to hand out, where `visible` is what the endpoint itself may see. `None` where it names them in ways that
/// only CUDA understands.
fn numbers(visible: Option<&str>, count: u32) -> Option<Vec<u32>> {
    let Some(visible) = visible else { return Some((0..count).collect()) };
    let mut numbers = Vec::new();
    for name in visible.split(',') {
        let number = name.trim().parse().ok()?;
        if number < count && !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    Some(numbers)
}

/// Which to use beside the `free` ones, though others have them. Workers begin at different ones.
fn shared(numbers: &[u32], free: &[u32], wanted: usize, worker: u32) -> Vec<u32> {
    let others: Vec<u32> = numbers.iter().copied().filter(|number| !free.contains(number)).collect();
    let begin = worker as usize % others.len().max(1);
    others
        .iter()
        .cycle()
        .skip(begin)
        .take(wanted.saturating_sub(free.len()).min(others.len()))
        .copied()
        .collect()
}

fn device_files() -> u32 {
    let Ok(entries) = std::fs::read_dir("/dev") else { return 0 };
    let is_gpu = |name: &str| {
        name.strip_prefix("nvidia")
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_gpu)).count() as u32
}

/// Nobody else's, so that nobody else can keep GPUs from this user.
fn ensure_own(dir: &PathBuf) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let owner = std::fs::symlink_metadata(dir)?.uid();
    if owner == rustix::process::getuid().as_raw() {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "it belongs to somebody else"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_that_the_endpoint_sees() {
        let check = |visible, count, expected: Option<&[u32]>| {
            assert_eq!(numbers(visible, count).as_deref(), expected, "{visible:?} of {count}");
        };
        check(None, 3, Some(&[0, 1, 2]));
        check(None, 0, Some(&[]));
        check(Some("2, 0"), 3, Some(&[2, 0]));
        check(Some("1,1,7"), 3, Some(&[1]));
        check(Some("GPU-8a1c"), 3, None);
        check(Some("-1"), 3, None);
    }

    #[test]
    fn workers_that_share_begin_at_different_ones() {
        let check = |free: &[u32], wanted, worker, expected: &[u32]| {
            assert_eq!(shared(&[0, 1, 2], free, wanted, worker), expected);
        };
        check(&[], 1, 0, &[0]);
        check(&[], 1, 1, &[1]);
        check(&[], 2, 2, &[2, 0]);
        check(&[1], 3, 1, &[2, 0]);
        check(&[0, 1, 2], 3, 1, &[]);
    }

    #[tokio::test]
    async fn a_gpu_is_free_again_when_its_worker_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let gpus = Gpus { dir: dir.path().to_owned(), numbers: vec![0, 1, 2], wanted: 2 };
        let taken = gpus.take(1, |_| Shortage::Leave).await.unwrap();
        assert_eq!(taken.variable().1, "0,1");
        assert!(gpus.take(2, |_| Shortage::Leave).await.is_none());
        let mut asked = 0;
        let mut taken = Some(taken);
        let next = gpus.take(2, |_| {
            asked += 1;
            drop(taken.take());
            Shortage::Wait
        });
        assert_eq!(next.await.unwrap().variable().1, "0,1");
        assert_eq!(asked, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_shared_gpu_is_its_sharers_when_its_holder_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let gpus = Gpus { dir: dir.path().to_owned(), numbers: vec![0], wanted: 1 };
        let holder = gpus.take(1, |_| Shortage::Leave).await.unwrap();
        let sharer = gpus.take(2, |_| Shortage::Share).await.unwrap();
        assert_eq!(sharer.variable().1, "0");
        drop(holder);
        sleep(LOOK_PERIOD * 2).await;
        assert!(gpus.try_lock(0).is_none(), "the sharer has it now");
        drop(sharer);
        tokio::task::yield_now().await;
        assert!(gpus.try_lock(0).is_some());
    }
}
