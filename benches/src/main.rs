//! Measures `flash` beside its peers, in one run on one machine, and prints the result as Markdown.
//!
//! Loopback only; rounds and seconds are bounded; every process it starts is ended before it returns, also on
//! errors. `cargo xtask bench` builds what it needs and calls it. Start reading at [`run`].
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a developer's tool: its job is to print a table"
)]

mod args;
mod baseline;
mod engine;
mod generate;
mod http;
mod memory;
mod peers;
mod pings;
mod process;
mod project;
mod random;
mod reconcile;
mod scan;
mod server;
mod soak;
mod startup;
mod stats;
mod table;

use std::fs;
use std::process::ExitCode;

use anyhow::{Result, bail};

use args::{Args, Mode, Part};

fn main() -> ExitCode {
    let mode = match args::parse(std::env::args().skip(1)) {
        Ok(mode) => mode,
        Err(error) => {
            eprintln!("error: {error}\n\n{}", args::USAGE);
            return ExitCode::from(2);
        }
    };
    let outcome = match mode {
        Mode::Help => {
            print!("{}", args::USAGE);
            Ok(())
        }
        Mode::Baseline { port } => block_on(baseline::serve(port)),
        Mode::Mothership { port, latency, state } => reconcile::mothership::serve(port, latency, &state),
        Mode::Bench(args) => block_on(run_until_interrupted(&args)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            for cause in error.chain().skip(1) {
                eprintln!("  caused by: {cause}");
            }
            ExitCode::FAILURE
        }
    }
}

/// One thread: the load generator shall not take both cores of a small machine from the servers.
fn block_on(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

async fn run_until_interrupted(args: &Args) -> Result<()> {
    tokio::select! {
        outcome = run(args) => outcome,
        _ = tokio::signal::ctrl_c() => bail!("interrupted"),
    }
}

async fn run(args: &Args) -> Result<()> {
    fs::create_dir_all(&args.work)?;
    table::print_machine(args)?;
    if args.measures(Part::Serve) {
        project::prepare(args).await?;
        table::print_startup(&startup::measure(args).await?);
    }
    if args.measures(Part::Engine) {
        engine::table::print(args, &engine::measure(args).await?);
    }
    if args.measures(Part::Scan) {
        table::print_scan(&scan::measure(args)?);
    }
    if args.part == Some(Part::Soak) {
        soak::table::print(&soak::measure(args).await?);
    }
    if args.measures(Part::Reconcile) {
        table::print_reconcile(&reconcile::measure(args).await?);
    }
    Ok(())
}
