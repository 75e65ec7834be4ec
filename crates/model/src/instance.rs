//! What the name of a CPU instance says of its size.

use crate::Hardware;

/// Of one worker's machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstanceSize {
    pub cpus: u32,
    pub memory_bytes: u64,
}

impl InstanceSize {
    /// `cpu3c-2-4` is one of 2 vCPUs and 4 GB. None for names that say no size, as `any`.
    fn of(instance: &str) -> Option<Self> {
        let mut parts =
            instance.split('-').skip(1).map(|part| part.parse::<u32>().ok().filter(|part| *part > 0));
        let (cpus, gigabytes) = (parts.next()??, parts.next()??);
        parts.next().is_none().then_some(Self { cpus, memory_bytes: u64::from(gigabytes) << 30 })
    }
}

impl Hardware {
    /// The largest of the instances that were asked for. None on GPUs, and where one of them may have any size.
    pub fn instance_size(&self) -> Option<InstanceSize> {
        let Self::Cpu { instance_ids } = self else { return None };
        let sizes: Option<Vec<InstanceSize>> = instance_ids.iter().map(|id| InstanceSize::of(id)).collect();
        let sizes = sizes?;
        Some(InstanceSize {
            cpus: sizes.iter().map(|size| size.cpus).max()?,
            memory_bytes: sizes.iter().map(|size| size.memory_bytes).max()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_is_that_of_the_largest_instance() {
        let check = |ids: &[&str], expected: Option<(u32, u64)>| {
            let hardware = Hardware::Cpu { instance_ids: ids.iter().map(ToString::to_string).collect() };
            let size = hardware.instance_size().map(|size| (size.cpus, size.memory_bytes >> 30));
            assert_eq!(size, expected, "{ids:?}");
        };
        check(&["cpu3c-2-4"], Some((2, 4)));
        check(&["cpu3c-1-2", "cpu3g-1-4"], Some((1, 4)));
        check(&["cpu3c-1-2", "any"], None);
        check(&[], None);
        for nonsense in
            ["", "cpu3c", "cpu3c-2", "cpu3c-0-4", "cpu3c-2-x", "cpu3c-2-4-8", "cpu3c-2-99999999999"]
        {
            check(&[nonsense], None);
        }
    }

    #[test]
    fn a_gpu_has_none() {
        let hardware = Hardware::Gpu { gpus: vec![], gpu_count: 1, cuda_versions: vec![] };
        assert_eq!(hardware.instance_size(), None);
    }
}
