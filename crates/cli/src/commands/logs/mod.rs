//! `flash logs RESOURCE [--follow] [--since WHEN] [--job ID] [--json]`: what lies on this machine, whether anything runs or not.

mod missing;
mod sources;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flash_model::Code;
use flash_model::wire::LogLine;
use flash_providers::local::LocalEndpoints;

use self::sources::{Sources, Wanted};
use super::block_on;
use super::interrupts::Interrupts;
use crate::args::{LogsArgs, Since};
use crate::error::Failure;
use crate::printer::Printer;
use crate::run_dir::RunDir;
use crate::view;

const FOLLOW_PERIOD: Duration = Duration::from_millis(200);
/// Shown where nobody says how many, and since when.
const LINES: usize = 100;

pub(crate) fn logs(args: &LogsArgs, printer: Printer) -> Result<(), Failure> {
    block_on(async {
        let mut interrupted = Interrupts::new()?;
        tokio::select! {
            shown = show(args, printer) => shown,
            () = interrupted.next() => Ok(()),
        }
    })
}

async fn show(args: &LogsArgs, printer: Printer) -> Result<(), Failure> {
    let (root, run_dir) = place(args.project.as_deref())?;
    let endpoints = LocalEndpoints::new(&run_dir.endpoints_dir());
    let mut sources = Sources::new(endpoints.clone(), &args.resource);
    let now = now_ms();
    let wanted = Wanted { since_ms: args.since.map(|since: Since| since.ms(now)), call: args.job.clone() };
    let all_since = args.since.map(|_| usize::MAX);
    let mut lines = sources.read(&wanted, args.lines.or(all_since).unwrap_or(LINES))?;
    if sources.are_none() {
        return Err(missing::why(args, &root, &run_dir, &endpoints).await?);
    }
    if lines.is_empty() && !args.follow {
        printer.notice("nothing was printed that is wanted here");
    }
    loop {
        for raw in &lines {
            match serde_json::from_str::<LogLine>(raw) {
                Ok(line) if !args.json => printer.data(view::log::line(&line, now_ms())),
                _ => printer.data(raw),
            }
        }
        if !args.follow || printer.is_unread() {
            return Ok(());
        }
        tokio::time::sleep(FOLLOW_PERIOD).await;
        lines = sources.read(&wanted, usize::MAX)?;
    }
}

/// The project's folder, and what running it left there.
fn place(named: Option<&Path>) -> Result<(PathBuf, RunDir), Failure> {
    let start = named.unwrap_or(Path::new("."));
    let start = start.canonicalize().map_err(|error| {
        Failure::because(format!("there is no project at {}", start.display()), &error)
            .code(Code::ProjectNotFound)
    })?;
    let found = match named {
        Some(_) => Some((start.clone(), RunDir::of(&start))).filter(|(_, run_dir)| run_dir.path().is_dir()),
        None => RunDir::find(&start),
    };
    found.ok_or_else(|| {
        let above = if named.is_some() { "" } else { " or above" };
        let what = format!("no project was ever run at {}{above}", start.display());
        Failure::coded(Code::NoLogs, what).hint("run it with `flash run`, or name its folder with --project")
    })
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64
}
