//! `flash state serve [PATH]`: a State Manager by itself, in the foreground, until Ctrl+C.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use flash_model::{Code, Secret};
use flash_mothership::StateServer;

use crate::args::StateServeArgs;
use crate::commands::block_on;
use crate::commands::interrupts::Interrupts;
use crate::environment;
use crate::error::Failure;
use crate::printer::Printer;
use crate::project::Project;
use crate::run_dir::{self, RunDir};
use crate::state_store::StatePlace;

pub(super) fn serve(args: &StateServeArgs, printer: Printer) -> Result<(), Failure> {
    let project = Project::locate(&args.path)?;
    let run_dir = RunDir::of(&project.root);
    let place = StatePlace::of(&args.state, &run_dir)?;
    if matches!(place, StatePlace::Manager { .. }) {
        return Err(Failure::coded(Code::StateUrl, "what another State Manager has is served by it already")
            .hint("name a file or a database with --state"));
    }
    if place.is_the_projects_own() {
        run_dir.create()?;
    }
    let (token, token_path) = token(&place, &run_dir)?;
    let address = SocketAddr::new(args.host, args.port);
    let listener = TcpListener::bind(address).map_err(|error| {
        let failure = Failure::because(format!("cannot listen on {address}"), &error);
        match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                failure.code(Code::PortInUse).hint("choose another with --port; --port 0 takes a free one")
            }
            _ => failure.hint("choose another address with --host, or another port with --port"),
        }
    })?;
    block_on(async {
        let mut interrupted = Interrupts::new()?;
        let store = place.open().await?;
        let server = StateServer::start(listener, token, store)
            .map_err(|error| Failure::because("the server cannot be started", &error))?;
        printer.notice(format_args!("serving the state of {} at", place.shown()));
        printer.data(server.url());
        match token_path {
            Some(path) => printer.notice(format_args!("token in {}", path.display())),
            None => printer.notice("token as in FLASH_STATE_TOKEN"),
        }
        if !args.host.is_loopback() {
            printer.note(None, "the token crosses the network in clear; stay within a private one");
        }
        interrupted.next().await;
        printer.notice("stopping …");
        server.stop().await;
        Ok(())
    })
}

/// From the environment, else from a file beside the state, which is made if it is not there.
fn token(place: &StatePlace, run_dir: &RunDir) -> Result<(Secret, Option<PathBuf>), Failure> {
    if let Some(token) = environment::text(environment::STATE_TOKEN) {
        return Ok((Secret::new(token.trim()), None));
    }
    let path = match place {
        StatePlace::Project(_) => run_dir.token_path(),
        StatePlace::File(path) => {
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(".token");
            path.with_file_name(name)
        }
        StatePlace::Manager { .. } | StatePlace::Postgres(_) => {
            return Err(Failure::coded(Code::Unauthorized, "there is no token to ask callers for")
                .hint("set FLASH_STATE_TOKEN to a long random text"));
        }
    };
    Ok((run_dir::token(&path)?, Some(path)))
}
