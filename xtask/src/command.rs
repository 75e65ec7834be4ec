//! Running other programs: one announced line each, stop at the first that fails.

use std::env;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::workspace::Workspace;

/// `cargo` as the one that runs us, less what it told us about our own package: build scripts that watch those
/// variables would otherwise run again each time.
pub(crate) fn cargo(workspace: &Workspace) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(&workspace.root);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Announces a step, performs it, says how long it took.
pub(crate) fn step<T>(title: &str, action: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("==> {title}");
    let started = Instant::now();
    let outcome = action();
    let verdict = if outcome.is_ok() { "ok" } else { "failed" };
    println!("==> {title}: {verdict}, {:.1} s", started.elapsed().as_secs_f64());
    outcome
}

/// Runs to the end with our own output streams.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot start {}", display(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", display(command));
    }
    Ok(())
}

/// Runs to the end; shows each line of standard output as it comes and hands it to `observe`.
///
/// `observe` returns whether to show the line.
pub(crate) fn run_observed(command: &mut Command, mut observe: impl FnMut(&str) -> bool) -> Result<()> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", display(command)))?;
    let output = child.stdout.take().context("standard output is piped")?;
    for_each_line(output, |line| {
        if observe(line) {
            println!("{line}");
        }
    })?;
    let status = child.wait()?;
    if !status.success() {
        bail!("{} ended with {status}", display(command));
    }
    Ok(())
}

/// Standard output of a short program.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", display(command)))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("{} ended with {}\n{}", display(command), output.status, complaint.trim_end());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn for_each_line(source: impl Read, mut action: impl FnMut(&str)) -> Result<()> {
    let mut reader = BufReader::new(source);
    let mut line = Vec::new();
    // Tests may print bytes that are not UTF-8.
    while reader.read_until(b'\n', &mut line)? > 0 {
        action(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']));
        line.clear();
    }
    Ok(())
}

fn display(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
