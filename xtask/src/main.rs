//! `cargo xtask <command>`: the project's own checks and benchmarks, with nothing to install beside Rust and Python.
//!
//! Not shipped. It runs other programs and prints what they say; it knows nothing of the code it checks.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a developer's tool: its job is to print, and Cargo talks to it through the environment"
)]

mod bench;
mod command;
mod postgres;
mod python_env;
mod sim;
mod test;
mod workspace;

use std::process::ExitCode;

use workspace::Workspace;

const USAGE: &str = "\
usage: cargo xtask <command>

  test [lint|rust|python]        format, lints, Rust tests, SDK tests; or one part of them
  bench [serve|engine|scan|reconcile|soak] [OPTIONS]
                                 release build, then the benchmark against its peers, or one part of it (--help)
  sim [--seeds N] [--seed S] [--trace]   simulated lives of motherships: N of them, from seed S on; --trace shows one whole
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["test", part @ ..] => match test::Part::parse(part) {
            Some(part) => Workspace::locate().and_then(|workspace| test::run(&workspace, part)),
            None => return usage(),
        },
        ["bench", options @ ..] => Workspace::locate().and_then(|workspace| bench::run(&workspace, options)),
        ["sim", options @ ..] => match sim::Options::parse(options) {
            Some(options) => Workspace::locate().and_then(|workspace| sim::run(&workspace, &options)),
            None => return usage(),
        },
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => return usage(),
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

fn usage() -> ExitCode {
    eprint!("{USAGE}");
    ExitCode::from(2)
}
