//! What happens to a simulated project and its machines: who starts, dies, is stopped, changes their mind or meddles.

use std::sync::Arc;

use flash_model::*;
use flash_mothership::{Desired, Drift};
use flash_testkit::{name, resource, scope};

use super::faults::Faults;
use super::invariants::OWN_RESOURCE;
use super::network::{Event, Network};
use super::process::environment;
use super::random::Random;
use super::world::POISONED_WORKERS;

const RESOURCES: [&str; 5] = ["api", "batch", "chat", "draw", "edit"];

/// What stays the same for a whole life.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub(super) seed: u64,
    pub(super) scope: Scope,
    pub(super) motherships: usize,
    pub(super) is_sqlite: bool,
    pub(super) parallel_calls_max: usize,
    pub(super) calls_per_second_max: Option<u32>,
    pub(super) drift: Drift,
    /// Whether a process sits in the seat of the one before it, and need not wait for its lease to end.
    pub(super) has_seats: bool,
    /// A process that is not seen again.
    pub(super) retires: Option<(usize, Retirement)>,
    /// How long things go wrong.
    pub(super) trouble_ms: u64,
}

impl Setting {
    pub(super) fn drawn(seed: u64, random: &mut Random) -> Self {
        let motherships = *random.pick(&[1, 2, 2, 3]);
        let how = *random.pick(&[Retirement::Dead, Retirement::Stopped]);
        let retires = (motherships > 1 && random.chance(250)).then(|| (random.index(motherships), how));
        Self {
            seed,
            scope: scope(),
            motherships,
            calls_per_second_max: *random.pick(&[None, None, None, None, Some(5), Some(20)]),
            drift: if random.chance(200) { Drift::Report } else { Drift::Repair },
            has_seats: random.chance(250),
            retires,
            is_sqlite: random.chance(125),
            parallel_calls_max: *random.pick(&[1, 2, 8, 64]),
            trouble_ms: random.between(8_000..=45_000),
        }
    }
}

/// How a mothership is asked to end: with its endpoints, as Ctrl+C does, or without them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Suspend,
    Leave,
}

/// How a process goes for good: its machine is lost, or it is stopped, as by SIGSTOP, and nobody lets it go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retirement {
    Dead,
    Stopped,
}

/// Something that happens by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Happening {
    Start {
        process: usize,
    },
    Crash {
        process: usize,
    },
    Stop {
        process: usize,
        ending: Ending,
    },
    Pause {
        process: usize,
        for_ms: u64,
    },
    Resume {
        process: usize,
    },
    /// The project changes. Each mothership hears of it a while later.
    Deploy,
    Hear {
        process: usize,
        version: usize,
    },
    /// Somebody plans a change of the project, or wants an earlier generation back, and hands that to a mothership: to the
    /// one that leads, or to any.
    Plan {
        to_leader: bool,
    },
    RollBack {
        to_leader: bool,
    },
    Hand {
        process: usize,
        asked: usize,
    },
    Retire {
        process: usize,
        how: Retirement,
    },
    /// Somebody changes, deletes or ends an endpoint.
    Tamper,
    Lose,
    Die,
    Sicken {
        for_ms: u64,
    },
    ProviderNotices,
    StoreAway {
        for_ms: u64,
    },
    StoreClockJumps {
        by_ms: i64,
    },
    ProcessClockJumps {
        process: usize,
        by_ms: i64,
    },
    /// Nothing goes wrong any more.
    Calm,
    /// A look at whether everything is as wanted.
    Look,
}

impl Happening {
    /// Whether a process notices, or may notice what follows from it at the same time.
    pub(super) fn concerns(&self, other: usize) -> bool {
        match self {
            Self::Start { process }
            | Self::Crash { process }
            | Self::Stop { process, .. }
            | Self::Pause { process, .. }
            | Self::Resume { process }
            | Self::Hear { process, .. }
            | Self::Hand { process, .. }
            | Self::Retire { process, .. }
            | Self::ProcessClockJumps { process, .. } => *process == other,
            Self::Deploy | Self::Tamper | Self::Lose | Self::Die | Self::Sicken { .. } => true,
            Self::ProviderNotices | Self::Calm => true,
            Self::Plan { .. } | Self::RollBack { .. } => false,
            Self::StoreAway { .. } | Self::StoreClockJumps { .. } | Self::Look => false,
        }
    }
}

/// Puts a whole life's happenings into the queue.
pub(super) fn schedule(network: &Network, setting: &Setting, faults: &Faults, random: &mut Random) {
    let put = |at_ms: u64, happening: Happening| network.schedule(at_ms, Event::Happen(happening));
    for process in 0..setting.motherships {
        put(random.between(0..=5_000), Happening::Start { process });
    }
    for second in 0..setting.trouble_ms / 1000 {
        let mut may = |permille: u64, happening: &mut dyn FnMut(&mut Random) -> Happening| {
            if random.chance(permille) {
                let happening = happening(random);
                put(second * 1000 + random.between(0..=999), happening);
            }
        };
        let process = |random: &mut Random| random.index(setting.motherships);
        may(faults.crashes, &mut |random| Happening::Crash { process: process(random) });
        may(faults.stops, &mut |random| Happening::Stop {
            process: process(random),
            ending: *random.pick(&[Ending::Suspend, Ending::Leave]),
        });
        may(faults.pauses, &mut |random| Happening::Pause {
            process: process(random),
            for_ms: random.between(100..=40_000),
        });
        may(faults.deploys, &mut |_| Happening::Deploy);
        may(faults.plans, &mut |random| Happening::Plan { to_leader: random.chance(800) });
        may(faults.rollbacks, &mut |random| Happening::RollBack { to_leader: random.chance(800) });
        may(faults.tampering, &mut |_| Happening::Tamper);
        may(faults.losses, &mut |_| Happening::Lose);
        may(faults.deaths, &mut |_| Happening::Die);
        may(faults.sickness, &mut |random| Happening::Sicken { for_ms: random.between(100..=20_000) });
        may(faults.outages, &mut |random| Happening::StoreAway { for_ms: random.between(100..=25_000) });
        may(faults.clock_jumps, &mut |random| {
            let by_ms = i64::try_from(random.between(0..=80_000)).unwrap() - 30_000;
            match random.chance(500) {
                true => Happening::StoreClockJumps { by_ms },
                false => Happening::ProcessClockJumps { process: process(random), by_ms: by_ms * 100 },
            }
        });
    }
    if let Some((process, how)) = setting.retires {
        put(random.between(2_000..=setting.trouble_ms), Happening::Retire { process, how });
    }
    put(setting.trouble_ms, Happening::Calm);
}

/// The versions of the project so far; the last one is what the user wants.
#[derive(Debug)]
pub(super) struct Project {
    pub(super) versions: Vec<Arc<Desired>>,
    random: Random,
}

impl Project {
    pub(super) fn new(random: Random) -> Self {
        let mut project = Self { versions: Vec::new(), random };
        let count = project.random.between(1..=4) as usize;
        let resources: Vec<_> = RESOURCES[..count].iter().map(|name| (*name, 1)).collect();
        project.add(&manifest(&resources));
        project
    }

    pub(super) fn wanted(&self) -> &Arc<Desired> {
        self.versions.last().unwrap()
    }

    /// The user adds, changes or removes something, or takes an earlier version back.
    pub(super) fn change(&mut self) {
        if self.random.chance(150) {
            let earlier = self.versions[self.random.index(self.versions.len())].clone();
            return self.versions.push(earlier);
        }
        let next = self.draft();
        self.add(&next);
    }

    /// What came about at a person's request is what is wanted from now on.
    pub(super) fn accept(&mut self, manifest: &Manifest) {
        self.add(manifest);
    }

    /// What the user may want next.
    pub(super) fn draft(&mut self) -> Manifest {
        let now = workers(&self.wanted().manifest);
        let changed = *self.random.pick(&RESOURCES);
        let others = now.iter().filter(|(name, _)| *name != changed).copied();
        let mut next: Vec<(&str, u32)> = others.collect();
        match self.random.index(10) {
            0..3 if next.len() < now.len() => {}
            3 => next.push((changed, POISONED_WORKERS)),
            _ => next.push((changed, self.random.between(1..=4) as u32)),
        }
        manifest(&next)
    }

    /// The user takes back what cannot work.
    pub(super) fn mend(&mut self) {
        let mended: Vec<_> = workers(&self.wanted().manifest)
            .into_iter()
            .map(|(name, workers)| (name, if workers == POISONED_WORKERS { 2 } else { workers }))
            .collect();
        self.add(&manifest(&mended));
    }

    fn add(&mut self, manifest: &Manifest) {
        let desired = Desired { manifest: Arc::new(manifest.clone()), environment: environment(manifest) };
        self.versions.push(Arc::new(desired));
    }
}

fn workers(manifest: &Manifest) -> Vec<(&'static str, u32)> {
    let of = |text: &&'static str| {
        let resource = manifest.resources.get(*text)?;
        Some((*text, resource.spec.workers_max))
    };
    RESOURCES.iter().filter_map(of).collect()
}

/// Some of the resources are load balanced, some take a secret, some mount a volume; and the mothership is one of them.
fn manifest(resources: &[(&str, u32)]) -> Manifest {
    let mut manifest = Manifest::empty("shop");
    for (text, workers) in resources.iter().chain(&[(OWN_RESOURCE, 1)]) {
        let mut resource = resource(*workers, "");
        let place = RESOURCES.iter().position(|name| name == text).unwrap_or(0);
        if place % 2 == 0 {
            resource.spec_mut().kind = EndpointKind::LoadBalanced;
            resource.is_load_balanced = true;
        }
        if place % 3 == 0 {
            resource.spec_mut().env = vec!["API_KEY".into()];
        }
        if place % 4 == 1 {
            let name = Some(format!("models-of-{text}"));
            resource.spec_mut().volumes =
                vec![VolumeSpec { id: None, name, size_gb: Some(10), datacenter: None }];
        }
        resource.config_hash = resource.compute_config_hash().unwrap();
        manifest.resources.insert(name(text), resource);
        manifest.function_registry.insert(FunctionName::new(*text).unwrap(), name(text));
    }
    manifest
}
