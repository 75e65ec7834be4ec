//! `flash state …`: what motherships know, looked at and looked after from outside. Works whether one runs or not.

mod backup;
mod events;
mod generations;
mod lease;
mod restore;
mod serve;

use std::sync::Arc;

use flash_model::{HolderId, Scope};
use flash_mothership::store::Store;

use crate::args::{StateArgs, StateCommand};
use crate::error::Failure;
use crate::printer::Printer;
use crate::project::Project;
use crate::run_dir::RunDir;
use crate::state_store::StatePlace;

pub(crate) fn state(command: &StateCommand, printer: Printer) -> Result<(), Failure> {
    crate::log::to_stderr("warn", printer);
    match command {
        StateCommand::Serve(args) => serve::serve(args, printer),
        StateCommand::Lease(args) => lease::lease(args, printer),
        StateCommand::Backup(args) => backup::backup(args, printer),
        StateCommand::Restore(args) => restore::restore(args, printer),
        StateCommand::Generations(args) => generations::generations(args, printer),
        StateCommand::Events(args) => events::events(args, printer),
        StateCommand::Orphans(args) => super::orphans::orphans(args, printer),
    }
}

/// The state that a command is about, which must be there, and the app+environment.
async fn opened(args: &StateArgs) -> Result<(Arc<dyn Store>, Scope), Failure> {
    let project = Project::locate(&args.path)?;
    let place = StatePlace::of(&args.state, &RunDir::of(&project.root))?;
    let scope = args.scope.clone().unwrap_or_else(|| project.scope());
    Ok((place.open_existing().await?, scope))
}

/// Who a person at the command line is in the event log.
fn person() -> HolderId {
    HolderId::new(format!("cli-pid-{}", std::process::id()))
        .unwrap_or_else(|_| unreachable!("letters, digits and dashes are an id"))
}
