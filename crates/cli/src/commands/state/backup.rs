//! `flash state backup FILE [PATH]`.

use std::path::Path;

use flash_model::Code;
use flash_mothership::store::{Error, SqliteStore, Store};
use serde_json::json;

use crate::args::StateBackupArgs;
use crate::commands::block_on;
use crate::error::Failure;
use crate::printer::Printer;
use crate::project::Project;
use crate::run_dir::RunDir;
use crate::state_store::{StatePlace, refused};
use crate::view;

pub(super) fn backup(args: &StateBackupArgs, printer: Printer) -> Result<(), Failure> {
    let project = Project::locate(&args.path)?;
    let place = StatePlace::of(&args.state, &RunDir::of(&project.root))?;
    let from = file(&place)?;
    let (scopes, bytes) = block_on(async {
        place.open_existing().await?;
        let doing = || format!("no backup at {}", args.file.display());
        let failed = |error: &Error| match error {
            Error::Copy(_) => Failure::because(doing(), error).hint("give a file that does not exist yet"),
            error => refused(&doing(), error),
        };
        let store = SqliteStore::open(from).map_err(|error| failed(&error))?;
        store.backup(&args.file).await.map_err(|error| failed(&error))?;
        let scopes = store.scopes().await.map_err(|error| failed(&error))?;
        Ok((scopes, std::fs::metadata(&args.file).map_or(0, |metadata| metadata.len())))
    })?;
    if args.json {
        let scopes: Vec<String> = scopes.iter().map(ToString::to_string).collect();
        printer.data(format_args!("{:#}", json!({"file": args.file, "bytes": bytes, "scopes": scopes})));
    } else {
        printer.data(format_args!("{} ({})", args.file.display(), view::bytes(bytes)));
    }
    Ok(())
}

/// Other kinds of places have ways of their own.
pub(super) fn file(place: &StatePlace) -> Result<&Path, Failure> {
    place.file().ok_or_else(|| {
        let failure = Failure::coded(Code::StateUrl, "this works on the file that the state is in");
        match place {
            StatePlace::Postgres(_) => failure.hint("for PostgreSQL use pg_dump and pg_restore"),
            _ => failure.hint("run it where the State Manager runs, with its --state"),
        }
    })
}
