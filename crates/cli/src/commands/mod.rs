//! One file per command.

pub(crate) mod apply;
mod boot;
pub(crate) mod build;
pub(crate) mod call;
pub(crate) mod explain;
mod installing;
mod interrupts;
pub(crate) mod jobs;
pub(crate) mod logs;
pub(crate) mod manifest;
pub(crate) mod mothership;
pub(crate) mod orphans;
pub(crate) mod plan;
mod planning;
pub(crate) mod rollback;
pub(crate) mod run;
pub(crate) mod serve;
pub(crate) mod state;
pub(crate) mod status;
mod steering;
pub(crate) mod test_mothership;

use std::path::{Path, PathBuf};

use flash_client::Mothership;
use flash_model::wire::MothershipAnnouncement;
use flash_model::{Code, Secret};

use crate::error::Failure;
use crate::run_dir::RunDir;

/// A client of the running project at `path`, or nearest to the working directory.
async fn running_mothership(path: Option<&Path>) -> Result<Mothership, Failure> {
    let start = start_of(path)?;
    find_mothership(&start).await.ok_or_else(|| not_running(&start))
}

/// Where a running project is looked for, from there upward.
fn start_of(path: Option<&Path>) -> Result<PathBuf, Failure> {
    let start = path.unwrap_or(Path::new("."));
    start.canonicalize().map_err(|error| {
        Failure::because(format!("there is no project at {}", start.display()), &error)
            .code(Code::ProjectNotFound)
            .hint("give the folder that holds your Python files")
    })
}

/// Where several motherships run, a client of the first that answers: one may hang, or be stopped.
async fn find_mothership(start: &Path) -> Option<Mothership> {
    let mut running = RunDir::find_running(start).into_iter().map(client);
    let first = running.next()?;
    let others: Vec<Mothership> = running.collect();
    if others.is_empty() || first.ping().await.is_ok() {
        return Some(first);
    }
    for other in others {
        if other.ping().await.is_ok() {
            return Some(other);
        }
    }
    Some(first)
}

fn client(running: MothershipAnnouncement) -> Mothership {
    Mothership::new(running.url, Some(Secret::new(running.token)))
}

fn not_running(place: &Path) -> Failure {
    Failure::coded(Code::NotRunning, format!("no project is running at {} or above", place.display()))
        .hint("start it with `flash run` in another terminal, or name its folder")
}

/// What a refused request says, as this command's failure.
fn refused(doing: &str, error: &flash_client::Error) -> Failure {
    match error {
        flash_client::Error::Connect { .. } => Failure::because(doing, error)
            .code(Code::NotRunning)
            .hint("the mothership is not running any more; start it with `flash run`"),
        error => match error.problem() {
            Some(problem) => {
                let mut failure = Failure::coded(problem.code, format!("{doing}: {}", problem.detail));
                if let Some(hint) = &problem.hint {
                    failure = failure.hint(hint);
                }
                match &problem.exception {
                    Some(exception) => failure.exception(exception),
                    None => failure,
                }
            }
            None => Failure::because(doing, error),
        },
    }
}

/// What follows in a command that is to be typed next, where the project is not the folder that one is in.
fn of_project(path: &Path) -> String {
    if path == Path::new(".") { String::new() } else { format!(" {}", path.display()) }
}

/// For commands that ask one question: no threads beside this one.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::because("the async runtime cannot be started", &error))?
        .block_on(work)
}
