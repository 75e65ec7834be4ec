//! How fast a project is read: `flash manifest` beside a Python walk that parses the same files with `ast`, and `flash build`.
//!
//! Wall time of whole processes, start and output included on both sides; both read the same files, which the system has
//! in memory from the first round on. Runs alternate, so that both sides see the same weather.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::args::Args;
use crate::generate::{self, Needed};
use crate::memory;
use crate::startup::wall_ms;
use crate::stats::median;

pub(crate) const TREES: [(usize, Needed); 3] =
    [(1_000, Needed::Fifth), (5_000, Needed::Fifth), (1_000, Needed::TwoFifths)];
pub(crate) const BUILT: usize = 1_000;
pub(crate) const LARGEST: usize = 5_000;

fn folder(files: usize, needed: Needed) -> String {
    format!("scan-{files}-{needed:?}")
}

#[derive(Debug)]
pub(crate) struct Scan {
    pub(crate) trees: Vec<Tree>,
    /// `flash build --no-deps` of the smaller tree without anything of an earlier build.
    pub(crate) build_ms: f64,
    /// The same again after one file's code changed.
    pub(crate) rebuild_ms: f64,
    /// Of `flash manifest` on the larger tree.
    pub(crate) peak_rss_mb: Option<f64>,
}

#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) files: usize,
    pub(crate) needed: Needed,
    pub(crate) flash_ms: f64,
    pub(crate) python_ms: f64,
}

impl Tree {
    pub(crate) fn flash_per_second(&self) -> f64 {
        self.files as f64 * 1e3 / self.flash_ms
    }

    pub(crate) fn python_per_second(&self) -> f64 {
        self.files as f64 * 1e3 / self.python_ms
    }
}

pub(crate) fn measure(args: &Args) -> Result<Scan> {
    let manifest = |project: &Path| {
        let mut command = Command::new(&args.flash);
        command.arg("manifest").arg(project);
        command
    };
    let walk = |project: &Path| {
        let mut command = Command::new(&args.python);
        command.arg(args.benches.join("peer/walk.py")).arg(project);
        command
    };
    let build = |project: &Path| {
        let mut command = Command::new(&args.flash);
        command.args(["build", "--no-deps"]).arg(project);
        command
    };

    let mut trees = Vec::new();
    let mut peak_rss_mb = None;
    for (files, needed) in TREES {
        eprintln!("measuring scans of {files} files, {} rounds", args.rounds);
        let project = args.work.join(folder(files, needed));
        if project.exists() {
            fs::remove_dir_all(&project)?;
        }
        generate::project(&project, files, needed)?;
        let (mut flash, mut python) = (Vec::new(), Vec::new());
        wall_ms(manifest(&project))?;
        for _ in 0..args.rounds {
            python.push(wall_ms(walk(&project))?);
            // Short beside the walk: several, so that one unlucky moment does not count for a round.
            for _ in 0..5 {
                flash.push(wall_ms(manifest(&project))?);
            }
        }
        trees.push(Tree { files, needed, flash_ms: median(&flash), python_ms: median(&python) });
        if files == LARGEST {
            peak_rss_mb = memory::peak_rss_mb(manifest(&project))?;
        }
    }

    eprintln!("measuring builds, {} rounds", args.rounds);
    let project = args.work.join(folder(BUILT, Needed::Fifth));
    let (mut fresh, mut again) = (Vec::new(), Vec::new());
    for round in 0..args.rounds {
        let artifacts = project.join(".flash");
        if artifacts.exists() {
            fs::remove_dir_all(artifacts)?;
        }
        fresh.push(wall_ms(build(&project))?);
        fs::write(project.join(generate::CHANGED), generate::changed(round))?;
        again.push(wall_ms(build(&project))?);
    }
    Ok(Scan { trees, build_ms: median(&fresh), rebuild_ms: median(&again), peak_rss_mb })
}
