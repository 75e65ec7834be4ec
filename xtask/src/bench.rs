//! `cargo xtask bench`: builds what is measured, makes its peers' environment, runs `flash-bench`.

use std::process::Command;

use anyhow::Result;

use crate::command::{cargo, run as run_command, step};
use crate::python_env;
use crate::workspace::Workspace;

pub(crate) fn run(workspace: &Workspace, options: &[&str]) -> Result<()> {
    step("release build", || {
        let packages = ["build", "--release", "--package", "flash-cli", "--package", "flash-bench"];
        run_command(cargo(workspace).args(packages))
    })?;
    let python = step("python bench environment", || {
        let requirements = workspace.root.join("benches/requirements.txt");
        python_env::ensure(&workspace.target.join("bench-python"), &requirements)
    })?;
    run_command(
        Command::new(workspace.release_binary("flash-bench"))
            .current_dir(&workspace.root)
            .env("FLASH_ENVS_DIR", workspace.worker_envs())
            .arg("--flash")
            .arg(workspace.release_binary("flash"))
            .arg("--python")
            .arg(python)
            .arg("--benches")
            .arg(workspace.root.join("benches"))
            .arg("--work")
            .arg(workspace.target.join("bench"))
            .args(options),
    )
}
