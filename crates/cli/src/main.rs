//! The binary `flash`. The only crate that prints, exits and reads the environment.
//!
//! `args.rs` is what was typed, `commands/<verb>.rs` what is done about it,
//! `view/` how results look. `error.rs` is how failures look.

mod args;
mod commands;
mod environment;
mod error;
mod example_call;
mod log;
mod printer;
mod project;
mod run_dir;
mod state_store;
mod view;

use std::process::ExitCode;

use self::args::Command;
use self::error::Failure;
use self::printer::Printer;

const EXIT_BUG: u8 = 70;

fn main() -> ExitCode {
    let command = Command::typed();
    let printer = Printer::new();
    match std::panic::catch_unwind(|| dispatch(command, printer)) {
        Ok(Ok(_)) if printer.is_data_lost() => {
            printer.error(None, "standard output cannot be written; what it holds is incomplete");
            ExitCode::FAILURE
        }
        Ok(Ok(code)) => code,
        Ok(Err(failure)) => {
            failure.print(printer);
            ExitCode::FAILURE
        }
        Err(_) => {
            printer.error(None, "this is a bug in flash; please report it with the lines above");
            ExitCode::from(EXIT_BUG)
        }
    }
}

/// Most commands succeed or fail; some have more to say.
fn dispatch(command: Command, printer: Printer) -> Result<ExitCode, Failure> {
    match command {
        Command::Plan(args) => return commands::plan::plan(&args, printer),
        Command::Apply(args) => commands::apply::apply(&args, printer),
        Command::Rollback(args) => commands::rollback::rollback(&args, printer),
        Command::Mothership(args) => commands::mothership::mothership(&args, printer),
        Command::TestMothership(args) => commands::test_mothership::test_mothership(&args, printer),
        Command::Run(args) => commands::run::run(&args, printer),
        Command::Serve => commands::serve::serve(),
        Command::Build(args) => commands::build::build(&args, printer),
        Command::Manifest(args) => commands::manifest::manifest(&args, printer),
        Command::Call(args) => commands::call::call(&args, printer),
        Command::Status(args) => commands::status::status(&args, printer),
        Command::Logs(args) => commands::logs::logs(&args, printer),
        Command::Jobs(command) => commands::jobs::jobs(&command, printer),
        Command::State(command) => commands::state::state(&command, printer),
        Command::Explain(args) => commands::explain::explain(&args, printer),
    }
    .map(|()| ExitCode::SUCCESS)
}
