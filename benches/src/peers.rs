//! The servers that are measured beside `flash`.

use std::env;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::args::Args;
use crate::http;
use crate::server::{Server, free_port};

pub(crate) const PING_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    FlashChild,
    FlashFrontDoor,
    FastApi,
    /// Its handler, on uvicorn.
    Reference,
    Granian,
    Hyper,
}

impl Peer {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::FlashChild => "flash, the endpoint's own URL",
            Self::FlashFrontDoor => "flash, through the mothership",
            Self::FastApi => "FastAPI on uvicorn",
            Self::Reference => "the reference's handler on uvicorn",
            Self::Granian => "granian RSGI",
            Self::Hyper => "bare hyper, no Python",
        }
    }
}

pub(crate) fn start_fastapi(args: &Args) -> Result<Server> {
    start_uvicorn(args, "app")
}

/// The variable `app` of a module in `benches/peer`.
pub(crate) fn start_uvicorn(args: &Args, module: &str) -> Result<Server> {
    let port = free_port()?;
    let mut command = Command::new(&args.python);
    command
        .args(["-m", "uvicorn", &format!("{module}:app"), "--host", "127.0.0.1", "--port", &port.to_string()])
        .args(["--no-access-log", "--log-level", "warning", "--app-dir"])
        .arg(args.peer());
    Server::start("uvicorn", command, port, args.log(&format!("uvicorn-{module}")))
}

pub(crate) fn start_granian(args: &Args) -> Result<Server> {
    let port = free_port()?;
    let mut command = Command::new(&args.python);
    command
        .args(["-m", "granian", "rsgi:app", "--interface", "rsgi", "--workers", "1", "--loop", "uvloop"])
        .args(["--host", "127.0.0.1", "--port", &port.to_string(), "--log-level", "warning", "--working-dir"])
        .arg(args.peer());
    Server::start("granian", command, port, args.log("granian"))
}

pub(crate) fn start_hyper(args: &Args) -> Result<Server> {
    let port = free_port()?;
    let mut command = Command::new(env::current_exe()?);
    command.args(["baseline", &port.to_string()]);
    Server::start("hyper", command, port, args.log("hyper"))
}

/// Once it answers.
pub(crate) fn up(mut server: Server) -> Result<Server> {
    http::time_to_ok(&mut server, "/ping", PING_MAX)?;
    server.note_descendants();
    Ok(server)
}
