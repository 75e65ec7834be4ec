//! PostgreSQL's programs, which tests start private servers from. Installed where Debian's package manager may be used.

use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::command::run;

/// Instant when they are there.
pub(crate) fn ensure() -> Result<()> {
    if is_installed()? {
        return Ok(());
    }
    let hint = "PostgreSQL is not installed and could not be\nhint: apt-get install postgresql, or put initdb and postgres on the PATH";
    for arguments in [["update", "--quiet"].as_slice(), &["install", "--yes", "--quiet", "postgresql"]] {
        let mut command = Command::new("apt-get");
        // Run level 1: the package starts no server of its own.
        command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
        run(&mut command).context(hint)?;
    }
    anyhow::ensure!(is_installed()?, "apt-get installed postgresql, but initdb is not where Debian puts it");
    Ok(())
}

fn is_installed() -> Result<bool> {
    match Command::new("initdb").arg("--version").output() {
        Ok(_) => return Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error).context("cannot run initdb"),
    }
    let Ok(versions) = Path::new("/usr/lib/postgresql").read_dir() else { return Ok(false) };
    Ok(versions.flatten().any(|version| version.path().join("bin/initdb").exists()))
}
