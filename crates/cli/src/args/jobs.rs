//! Of the commands for a queue's jobs.

use std::path::PathBuf;

use clap::Subcommand;
use flash_model::wire::{DEAD_LIMIT, DEAD_LIMIT_DEFAULT};

#[derive(Debug, Subcommand)]
pub(crate) enum JobsCommand {
    /// List jobs that failed for good, the newest first
    Dead(DeadArgs),
    /// Queue jobs that failed for good again
    Redrive(RedriveArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct DeadArgs {
    /// Name of the queue resource
    pub(crate) resource: String,
    /// List so many at most
    #[arg(long, default_value_t = DEAD_LIMIT_DEFAULT, value_name = "N", value_parser = clap::value_parser!(u64).range(DEAD_LIMIT))]
    pub(crate) limit: u64,
    /// Print the list as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The project's folder; default: the nearest running project from here upward
    #[arg(long)]
    pub(crate) project: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RedriveArgs {
    /// Name of the queue resource
    pub(crate) resource: String,
    /// The jobs, as `flash jobs dead` lists them
    #[arg(value_name = "JOB_ID", required_unless_present = "all", conflicts_with = "all")]
    pub(crate) jobs: Vec<String>,
    /// Every one that there is
    #[arg(long)]
    pub(crate) all: bool,
    /// The project's folder; default: the nearest running project from here upward
    #[arg(long)]
    pub(crate) project: Option<PathBuf>,
}
