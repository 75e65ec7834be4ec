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
    let names =
        if scopes.is_empty() { "no app and environment at all".to_owned() } else { scopes.join(", ") };
    if args.json {
        let result = json!({"state": place.shown(), "scopes": scopes, "replaced": restored.replaced});
        printer.data(format_args!("{result:#}"));
    } else {
        printer.data(format_args!("{} is restored: {names}", place.shown()));
        if let Some(replaced) = &restored.replaced {
            printer.notice(format_args!("what was there before is in {}", replaced.display()));
        }
    }
    let scope = project.scope();
    if !restored.scopes.contains(&scope) {
        let what = format!("the backup holds {names}, and nothing of {scope}, which is the project here");
        printer.note(None, what);
        let next = format!("the next `flash run` is a first boot of {scope}");
        printer.hint(match &restored.replaced {
            Some(replaced) => format!("{next}; if that was not meant, restore {}", replaced.display()),
            None => next,
        });
    }
    Ok(())
}
