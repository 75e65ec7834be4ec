//! The command line as typed.

mod jobs;
mod logs;
mod reconcile;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use flash_artifact::requirements::Excluded;
use flash_artifact::size::ByteSize;
use flash_artifact::{Include, Platform, PythonVersion};
use flash_model::{AppName, EnvironmentName, Scope, Secret};

pub(crate) use self::jobs::{DeadArgs, JobsCommand, RedriveArgs};
pub(crate) use self::logs::{LogsArgs, Since};
pub(crate) use self::reconcile::{
    ApplyArgs, MothershipArgs, OrphansArgs, PlanArgs, RollbackArgs, TestMothershipArgs, WatchArgs,
};

/// Runs Python functions as endpoints that scale, call each other and stay up.
#[derive(Debug, Parser)]
#[command(name = "flash", version, propagate_version = false, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Command {
    /// What cannot be read ends the process.
    pub(crate) fn typed() -> Self {
        // An endpoint is started so, and there may be hundreds: knowing all commands takes memory in each.
        if std::env::args_os().skip(1).eq(["serve"]) { Self::Serve } else { Args::parse().command }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a project on this machine: provision every endpoint it names and serve calls until Ctrl+C
    Run(RunArgs),
    /// Show what applying the project would do, and do nothing
    Plan(PlanArgs),
    /// Do exactly what a plan file says, or nothing
    Apply(ApplyArgs),
    /// Apply an earlier generation's specifications again
    Rollback(RollbackArgs),
    /// Serve what was applied, and take over when whoever leads is gone
    Mothership(MothershipArgs),
    /// Start everything in a throw-away environment, call every function, and remove it all
    TestMothership(TestMothershipArgs),
    /// Write the manifest and the artifact to the project's .flash folder
    Build(BuildArgs),
    /// Print the project's manifest as JSON
    Manifest(ManifestArgs),
    /// Call a function of the running project and print its result as JSON
    Call(CallArgs),
    /// Show what is running, or what was recorded where nothing is
    Status(StatusArgs),
    /// Show what a resource's functions print, and what its endpoints say
    Logs(LogsArgs),
    /// Look after jobs that failed for good: list them, queue them again
    #[command(subcommand)]
    Jobs(JobsCommand),
    /// Look after what motherships know: who leads, what was applied, what happened, backups
    #[command(subcommand)]
    State(StateCommand),
    /// Explain an error code
    Explain(ExplainArgs),
    /// Serve one endpoint (started by a mothership, told by the environment who it is)
    #[command(hide = true)]
    Serve,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) listen: ListenArgs,
    /// Python interpreter for the workers
    #[arg(long, env = "FLASH_PYTHON")]
    pub(crate) python: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) state: StateUrlArgs,
    /// Leave running endpoints as they are when files change
    #[arg(long)]
    pub(crate) no_reload: bool,
    #[command(flatten)]
    pub(crate) watch: WatchArgs,
    /// What happens anyway; accepted for those who are used to typing it
    #[arg(long, hide = true, conflicts_with = "no_reload")]
    pub(crate) reload: bool,
    /// Endpoints are always provisioned; accepted for those who are used to typing it
    #[arg(long, hide = true)]
    pub(crate) auto_provision: bool,
}

/// Where a mothership answers, and whom.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ListenArgs {
    /// Address to listen on
    #[arg(long, env = "FLASH_HOST", default_value = "127.0.0.1", value_parser = host)]
    pub(crate) host: IpAddr,
    /// Port to listen on; 0 takes a free one
    #[arg(long, short, env = "FLASH_PORT", default_value_t = 8888)]
    pub(crate) port: u16,
    /// Answer only who sends the project's token, also on this machine; other addresses than loopback always do
    #[arg(long)]
    pub(crate) require_token: bool,
}

impl ListenArgs {
    /// For this machine alone, and whoever is on it.
    pub(crate) fn local(port: u16) -> Self {
        Self { host: Ipv4Addr::LOCALHOST.into(), port, require_token: false }
    }

    pub(crate) fn needs_token(&self) -> bool {
        self.require_token || !self.host.is_loopback()
    }
}

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct BuildArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
    /// Python that the artifact is for, 3.10 to 3.13; default: what the project says, else 3.12
    #[arg(long, alias = "python-version", value_name = "X.Y")]
    pub(crate) python: Option<PythonVersion>,
    /// Platform that the artifact is for: linux/amd64 or linux/arm64
    #[arg(long, default_value_t, value_name = "PLATFORM")]
    pub(crate) platform: Platform,
    /// Pack no packages
    #[arg(long)]
    pub(crate) no_deps: bool,
    /// Packages to leave out, with commas between them
    #[arg(long, value_name = "NAMES", value_parser = excluded)]
    pub(crate) exclude: Vec<String>,
    /// Pack files that match, whatever leaves them out; as in .gitignore, may be repeated
    #[arg(long, value_name = "PATTERN", value_parser = included)]
    pub(crate) include: Vec<String>,
    /// Where the artifact goes; default: .flash/archive.tar.gz in the project
    #[arg(long, short, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Refuse to make an artifact that unpacks to more
    #[arg(long, default_value = "500MiB", value_name = "SIZE", allow_negative_numbers = true)]
    pub(crate) max_size: ByteSize,
    /// Leave what was packed as files in .flash/.build
    #[arg(long)]
    pub(crate) keep_build: bool,
    /// Import the project in a process of its own too, and compare
    #[arg(long)]
    pub(crate) probe: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// The SDK is always packed; accepted for those who are used to typing it
    #[arg(long, hide = true)]
    pub(crate) use_local_tetra: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ManifestArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
    /// Print the JSON Schema of manifests instead
    #[arg(long)]
    pub(crate) schema: bool,
    /// Print the OpenAPI document of a load-balanced resource instead
    #[arg(long, value_name = "RESOURCE", conflicts_with = "schema")]
    pub(crate) openapi: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct CallArgs {
    /// Name of the function, or Class.method
    pub(crate) function: String,
    /// Keyword arguments as a JSON object
    #[arg(default_value = "{}")]
    pub(crate) arguments: String,
    /// The project's folder; default: the nearest running project from here upward
    #[arg(long)]
    pub(crate) project: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// The project's folder; default: the nearest running project from here upward
    pub(crate) path: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) state: StateUrlArgs,
    /// Print the served manifest's resources as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where the state lies.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct StateUrlArgs {
    /// Where the state lies: sqlite:PATH, http://HOST:PORT or postgres://…; default: in the project
    #[arg(long = "state", env = "FLASH_STATE_URL", hide_env_values = true, value_name = "URL", value_parser = secret)]
    pub(crate) url: Option<Secret>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum StateCommand {
    /// Serve the state to motherships of other machines, until Ctrl+C
    Serve(StateServeArgs),
    /// Show who leads, since when and what for
    Lease(StateLeaseArgs),
    /// Write a copy of the state to a new file
    Backup(StateBackupArgs),
    /// Put a backup in the place of the state
    Restore(StateRestoreArgs),
    /// List the manifests that were applied, the newest first
    Generations(StateReadArgs),
    /// Show what happened, the oldest first
    Events(StateEventsArgs),
    /// List endpoints that carry our tag and that no record names
    Orphans(OrphansArgs),
}

/// Which state a command is about.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct StateArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
    /// Another app and environment than the project's
    #[arg(long, value_name = "APP/ENVIRONMENT", value_parser = scope)]
    pub(crate) scope: Option<Scope>,
    #[command(flatten)]
    pub(crate) state: StateUrlArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct StateServeArgs {
    /// The project's folder
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) state: StateUrlArgs,
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1", value_parser = host)]
    pub(crate) host: IpAddr,
    /// Port to listen on; 0 takes a free one
    #[arg(long, short, default_value_t = 8889)]
    pub(crate) port: u16,
}

#[derive(Debug, clap::Args)]
pub(crate) struct StateLeaseArgs {
    #[command(flatten)]
    pub(crate) of: StateArgs,
    /// Clear away a lease that has expired
    #[arg(long)]
    pub(crate) drop: bool,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct StateBackupArgs {
    /// Where the copy goes; nothing is overwritten
    pub(crate) file: PathBuf,
    /// The project's folder
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) state: StateUrlArgs,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct StateRestoreArgs {
    /// What `flash state backup` wrote
    pub(crate) file: PathBuf,
    /// The project's folder
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
    #[command(flatten)]
    pub(crate) state: StateUrlArgs,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct StateReadArgs {
    #[command(flatten)]
    pub(crate) of: StateArgs,
    /// Print the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct StateEventsArgs {
    #[command(flatten)]
    pub(crate) of: StateArgs,
    /// Print one JSON object per line
    #[arg(long)]
    pub(crate) json: bool,
    /// Go on with what happens from now, until Ctrl+C
    #[arg(long, short)]
    pub(crate) follow: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// An error code, e.g. FL107
    pub(crate) code: String,
}

fn excluded(text: &str) -> Result<String, String> {
    match Excluded::parse([text]) {
        Ok(_) => Ok(text.to_owned()),
        Err(name) => Err(format!("{name:?} is not the name of a package")),
    }
}

fn included(text: &str) -> Result<String, String> {
    match Include::parse([text]) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// What is typed is not shown again, so it is not checked here.
#[expect(clippy::unnecessary_wraps, reason = "this is what clap takes")]
fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

fn scope(text: &str) -> Result<Scope, String> {
    let (app, environment) = text.split_once('/').ok_or("write it as APP/ENVIRONMENT")?;
    Ok(Scope {
        app: AppName::new(app).map_err(|error| error.to_string())?,
        environment: EnvironmentName::new(environment).map_err(|error| error.to_string())?,
    })
}

fn host(text: &str) -> Result<IpAddr, String> {
    match text {
        "localhost" => Ok(Ipv4Addr::LOCALHOST.into()),
        _ => text.parse().map_err(|_| "use an IP address (127.0.0.1, 0.0.0.0, ::1) or localhost".to_owned()),
    }
}
