//! Of the commands that plan, apply and watch over endpoints.

use std::path::PathBuf;
use std::time::Duration;

use flash_mothership::Drift;

use super::{ListenArgs, StateUrlArgs};

#[derive(Debug, clap::Args)]
pub(crate) struct PlanArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) state: StateUrlArgs,
    /// Print the plan file instead
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the plan file, for `flash apply`
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Exit with 3 if there is something to do
    #[arg(long)]
    pub(crate) exit_code: bool,
    /// What happens to endpoints that somebody else changed: repair or report
    #[arg(long, default_value = "repair", value_name = "WHAT", value_parser = drift)]
    pub(crate) drift: Drift,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ApplyArgs {
    /// The plan file, as `flash plan -o FILE` wrote it
    pub(crate) file: PathBuf,
    /// The project's folder
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) state: StateUrlArgs,
    /// Python interpreter for the workers
    #[arg(long, env = "FLASH_PYTHON")]
    pub(crate) python: Option<PathBuf>,
    /// Print the outcome as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RollbackArgs {
    /// The generation to go back to; default: the one before
    #[arg(value_name = "GENERATION")]
    first: Option<String>,
    /// The project's folder; default: the one you are in
    #[arg(value_name = "PATH")]
    second: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) state: StateUrlArgs,
    /// Show the generations that there are instead
    #[arg(long)]
    pub(crate) list: bool,
    /// Python interpreter for the workers
    #[arg(long, env = "FLASH_PYTHON")]
    pub(crate) python: Option<PathBuf>,
    /// Print the outcome, or the list, as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

impl RollbackArgs {
    /// The generation and the folder. A single argument that is no number is a folder; `./3` is one too.
    pub(crate) fn target(&self) -> (Option<u64>, PathBuf) {
        let number = self.first.as_ref().and_then(|first| first.parse().ok());
        let path = match (&self.first, &self.second) {
            (_, Some(path)) => path.clone(),
            (Some(first), None) if number.is_none() => first.into(),
            _ => PathBuf::from("."),
        };
        (number, path)
    }

    /// What stands where a number is to be.
    pub(crate) fn misplaced(&self) -> Option<&str> {
        let first = self.first.as_deref()?;
        (self.second.is_some() && first.parse::<u64>().is_err()).then_some(first)
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct MothershipArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) state: StateUrlArgs,
    #[command(flatten)]
    pub(crate) listen: ListenArgs,
    /// Python interpreter for the workers
    #[arg(long, env = "FLASH_PYTHON")]
    pub(crate) python: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) watch: WatchArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct OrphansArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) state: StateUrlArgs,
    /// Delete them with their queues, after asking
    #[arg(long)]
    pub(crate) delete: bool,
    /// Answer yes
    #[arg(long, requires = "delete")]
    pub(crate) yes: bool,
    /// Print the list as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct TestMothershipArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
    /// Port to listen on meanwhile; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    pub(crate) port: u16,
    /// Python interpreter for the workers
    #[arg(long, env = "FLASH_PYTHON")]
    pub(crate) python: Option<PathBuf>,
    /// Stop what was started, and leave its folders with the logs until the next test
    #[arg(long)]
    pub(crate) keep: bool,
    /// Nothing has to be built; accepted for those who are used to typing it
    #[arg(long, hide = true)]
    no_build: bool,
    #[arg(long, hide = true)]
    image: Option<String>,
    #[arg(long, hide = true)]
    endpoint_id: Option<String>,
    #[arg(long, hide = true)]
    build_dir: Option<String>,
}

impl TestMothershipArgs {
    /// An option of another time, and what is there instead.
    pub(crate) fn replaced(&self) -> Option<(&'static str, &'static str)> {
        if self.image.is_some() {
            return Some(("--image", "endpoints are processes of this machine, and no container is made"));
        }
        if self.endpoint_id.is_some() {
            return Some((
                "--endpoint-id",
                "the test has an environment of its own, with a name that nobody has",
            ));
        }
        if self.build_dir.is_some() {
            return Some(("--build-dir", "the project's files are used as they are; name their folder"));
        }
        None
    }
}

/// How a mothership looks after what runs.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct WatchArgs {
    /// What happens to endpoints that somebody else changed: repair or report
    #[arg(long, default_value = "repair", value_name = "WHAT", value_parser = drift)]
    pub(crate) drift: Drift,
    /// Look at what exists at least this often
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    period: u32,
}

impl WatchArgs {
    pub(crate) fn period(&self) -> Duration {
        Duration::from_secs(self.period.into())
    }
}

fn drift(text: &str) -> Result<Drift, String> {
    match text {
        "repair" => Ok(Drift::Repair),
        "report" => Ok(Drift::Report),
        _ => Err("say repair (bring them back to what was applied) or report (only say so)".to_owned()),
    }
}
