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
mod generate;
mod http;
mod load;
mod memory;
mod peers;
mod reconcile;
mod scan;
mod server;
mod startup;
mod stats;
mod table;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use args::{Args, Mode, Part};
use peers::Peers;

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
        serve(args).await?;
    }
    if args.measures(Part::Scan) {
        table::print_scan(&scan::measure(args)?);
    }
    if args.measures(Part::Reconcile) {
        table::print_reconcile(&reconcile::measure(args).await?);
    }
    Ok(())
}

async fn serve(args: &Args) -> Result<()> {
    prepare_work_folder(args)?;
    eprintln!("preparing: first start of flash, which makes the worker environment");
    peers::prepare_flash(args).await?;
    let startup = startup::measure(args).await?;
    let load = {
        let peers = Peers::start(args).await?;
        load::measure_all(&peers.targets, args).await?
    };
    table::print_serve(args, &startup, &load);
    Ok(())
}

/// A fresh copy of the project, so that neither state of an earlier run nor the checkout is touched.
fn prepare_work_folder(args: &Args) -> Result<()> {
    let project = args.project();
    if project.exists() {
        fs::remove_dir_all(&project)?;
    }
    fs::create_dir_all(&project)?;
    for file in ["bench.py", "requirements.txt"] {
        let source = args.benches.join("project").join(file);
        copy(&source, &project.join(file))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    Ok(())
}
