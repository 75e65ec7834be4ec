//! Arguments of `flash-bench`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

pub(crate) const USAGE: &str = "\
usage: flash-bench [serve|engine|scan|reconcile|soak] --flash FILE --python FILE --benches DIR --work DIR [--rounds N] [--seconds N] [--starts N] [--minutes N]

  serve            only starts
  engine           only what an endpoint does: load, first calls, jobs, large values, memory
  scan             only reading and building projects
  reconcile        only what a mothership does
  soak             only minutes of load while processes are killed; left out unless it is named
  --flash FILE     the binary that is measured
  --python FILE    interpreter that has benches/requirements.txt, for the peers
  --benches DIR    this package's folder
  --work DIR       scratch folder: project copy and logs
  --rounds N       load rounds per peer and connection count, rounds of scans, 1 to 20 [5]
  --seconds N      seconds per load round, 1 to 30 [2]
  --starts N       starts of each server, 1 to 50 [11]
  --minutes N      of the soak, 1 to 600 [24]
";

#[derive(Debug)]
pub(crate) enum Mode {
    Help,
    /// Serve the hyper baseline in this process.
    Baseline {
        port: u16,
    },
    /// Be the mothership that is measured, on this port, with a provider that takes this long, and this state.
    Mothership {
        port: u16,
        latency: Duration,
        state: PathBuf,
    },
    Bench(Args),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Serve,
    Engine,
    Scan,
    Reconcile,
    /// Too long to be part of everything.
    Soak,
}

impl Part {
    fn parse(word: &str) -> Option<Self> {
        match word {
            "serve" => Some(Self::Serve),
            "engine" => Some(Self::Engine),
            "scan" => Some(Self::Scan),
            "reconcile" => Some(Self::Reconcile),
            "soak" => Some(Self::Soak),
            _ => None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Args {
    /// Everything but the soak where none is named.
    pub(crate) part: Option<Part>,
    pub(crate) flash: PathBuf,
    pub(crate) python: PathBuf,
    pub(crate) benches: PathBuf,
    pub(crate) work: PathBuf,
    pub(crate) rounds: usize,
    pub(crate) round_time: Duration,
    pub(crate) starts: usize,
    pub(crate) soak_time: Duration,
}

impl Args {
    pub(crate) fn measures(&self, part: Part) -> bool {
        self.part.is_none_or(|only| only == part)
    }

    /// Where the peers' code is.
    pub(crate) fn peer(&self) -> PathBuf {
        self.benches.join("peer")
    }

    pub(crate) fn log(&self, peer: &str) -> PathBuf {
        self.work.join(format!("{peer}.log"))
    }
}

pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Mode> {
    let (mut part, mut flash, mut python, mut benches, mut work) = (None, None, None, None, None);
    let (mut rounds, mut seconds, mut starts, mut minutes) = (5, 2, 11, 24);
    while let Some(word) = words.next() {
        if matches!(word.as_str(), "--help" | "-h") {
            return Ok(Mode::Help);
        }
        if let Some(named) = Part::parse(&word) {
            part = Some(named);
            continue;
        }
        let value = words.next().with_context(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "baseline" => {
                return Ok(Mode::Baseline { port: value.parse().context("baseline needs a port")? });
            }
            "mothership" => return mothership(&value),
            "--flash" => flash = Some(PathBuf::from(value)),
            "--python" => python = Some(PathBuf::from(value)),
            "--benches" => benches = Some(PathBuf::from(value)),
            "--work" => work = Some(PathBuf::from(value)),
            "--rounds" => rounds = number(&word, &value, 20)?,
            "--seconds" => seconds = number(&word, &value, 30)?,
            "--starts" => starts = number(&word, &value, 50)?,
            "--minutes" => minutes = number(&word, &value, 600)?,
            _ => bail!("unknown argument {word}"),
        }
    }
    Ok(Mode::Bench(Args {
        part,
        flash: flash.context("--flash is missing")?,
        python: python.context("--python is missing")?,
        benches: benches.context("--benches is missing")?,
        work: work.context("--work is missing")?,
        rounds,
        round_time: Duration::from_secs(seconds as u64),
        starts,
        soak_time: Duration::from_secs(minutes as u64 * 60),
    }))
}

/// `PORT:MILLISECONDS:STATE`.
fn mothership(value: &str) -> Result<Mode> {
    let mut parts = value.splitn(3, ':');
    let mut next = || parts.next().with_context(|| format!("{value}: PORT:MILLISECONDS:STATE is needed"));
    let port = next()?.parse()?;
    let latency = Duration::from_millis(next()?.parse()?);
    Ok(Mode::Mothership { port, latency, state: PathBuf::from(next()?) })
}

fn number(name: &str, value: &str, max: usize) -> Result<usize> {
    match value.parse() {
        Ok(number) if (1..=max).contains(&number) => Ok(number),
        _ => bail!("{name} {value}: a number from 1 to {max} is needed"),
    }
}
