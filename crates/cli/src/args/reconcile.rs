//! Of the commands that plan, apply and watch over endpoints.

use std::path::PathBuf;
use std::time::Duration;

use flash_mothership::Drift;

#[derive(Debug, clap::Args)]
pub(crate) struct PlanArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
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
