//! `flash state restore FILE [PATH]`: never over a state that somebody acts on.

use flash_model::Code;
use flash_mothership::store::{Error, SqliteStore};
use serde_json::json;

use super::backup::file;
use super::person;
use crate::args::StateRestoreArgs;
use crate::error::Failure;
use crate::printer::Printer;
use crate::project::Project;
use crate::run_dir::RunDir;
use crate::state_store::{StatePlace, refused};

pub(super) fn restore(args: &StateRestoreArgs, printer: Printer) -> Result<(), Failure> {
    let project = Project::locate(&args.path)?;
    let run_dir = RunDir::of(&project.root);
    let place = StatePlace::of(&args.state, &run_dir)?;
    let to = file(&place)?;
    let _lock = if place.is_the_projects_own() {
        run_dir.create()?;
        Some(run_dir.lock()?)
    } else {
        None
    };
    let doing = format!("{} was not restored", args.file.display());
    let restored = SqliteStore::restore(&args.file, to, &person()).map_err(|error| match &error {
        Error::Unrestorable { .. } | Error::Schema { .. } => {
            Failure::because(&doing, &error).code(Code::NotRestored)
        }
        Error::InUse { .. } => Failure::because(&doing, &error)
            .code(Code::NotRestored)
            .hint("stop who leads; a lease that nobody renews expires by itself"),
        error => refused(&doing, error),
    })?;
    let scopes: Vec<String> = restored.scopes.iter().map(ToString::to_string).collect();
    if args.json {
        let result = json!({"state": place.shown(), "scopes": scopes, "replaced": restored.replaced});
        printer.data(format_args!("{result:#}"));
        return Ok(());
    }
    printer.data(format_args!("{} is restored: {}", place.shown(), scopes.join(", ")));
    if let Some(replaced) = restored.replaced {
        printer.notice(format_args!("what was there before is in {}", replaced.display()));
    }
    Ok(())
}
