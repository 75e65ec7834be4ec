//! The project's one test command. `.ci/run` and the README call it.

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::command::{cargo, run as run_command, run_observed, step};
use crate::workspace::Workspace;
use crate::{postgres, python_env};

/// What is off unless asked for is checked and tested all the same.
const FEATURES: [&str; 2] = ["--features", "flash-mothership/postgres,flash-cli/postgres"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    All,
    Lint,
    Rust,
    Python,
}

impl Part {
    pub(crate) fn parse(words: &[&str]) -> Option<Self> {
        match words {
            [] => Some(Self::All),
            ["lint"] => Some(Self::Lint),
            ["rust"] => Some(Self::Rust),
            ["python"] => Some(Self::Python),
            _ => None,
        }
    }

    fn includes(self, part: Self) -> bool {
        self == Self::All || self == part
    }
}

pub(crate) fn run(workspace: &Workspace, part: Part) -> Result<()> {
    if part.includes(Part::Lint) {
        lint(workspace)?;
    }
    if part == Part::Lint {
        return Ok(());
    }
    let python = step("python test environment", || {
        let requirements = workspace.root.join("python/requirements-test.txt");
        python_env::ensure(&workspace.target.join("test-python"), &requirements)
    })?;
    // Runners' own closing lines last, so that whoever reads only the end reads the totals.
    let mut closing_lines = Vec::new();
    if part.includes(Part::Rust) {
        closing_lines.push(rust_tests(workspace, &python)?.to_string());
    }
    if part.includes(Part::Python) {
        closing_lines.push(sdk_tests(workspace, &python)?);
    }
    for line in closing_lines {
        println!("{line}");
    }
    Ok(())
}

fn lint(workspace: &Workspace) -> Result<()> {
    step("cargo fmt", || run_command(cargo(workspace).args(["fmt", "--all", "--check"])))?;
    step("cargo clippy", || {
        let mut command = cargo(workspace);
        command.args(["clippy", "--workspace", "--all-targets"]).args(FEATURES);
        run_command(command.args(["--", "--deny", "warnings"]))
    })
}

fn rust_tests(workspace: &Workspace, python: &Path) -> Result<Totals> {
    step("PostgreSQL", postgres::ensure)?;
    let runpod = step("RunPod client", || {
        let requirements = workspace.root.join("python/requirements-runpod.txt");
        python_env::ensure(&workspace.target.join("test-runpod"), &requirements)
    })?;
    let mut totals = Totals::default();
    step("cargo test", || {
        let mut command = cargo(workspace);
        command.args(["test", "--workspace", "--no-fail-fast"]).args(FEATURES);
        command.env("FLASH_TEST_RUNPOD_PYTHON", &runpod);
        run_observed(give_environment(&mut command, workspace, python), |line| {
            totals.add(line);
            true
        })
    })?;
    Ok(totals)
}

/// Returns pytest's closing line, which is not shown yet.
fn sdk_tests(workspace: &Workspace, python: &Path) -> Result<String> {
    let mut closing_line = String::new();
    let outcome = step("pytest", || {
        let mut command = Command::new(python);
        command.current_dir(&workspace.root).args(["-m", "pytest", "-W", "error", "python/tests"]);
        run_observed(give_environment(&mut command, workspace, python), |line| {
            let is_closing = is_pytest_summary(line);
            if is_closing {
                line.clone_into(&mut closing_line);
            }
            !is_closing
        })
    });
    if outcome.is_err() {
        println!("{closing_line}");
    }
    outcome?;
    Ok(closing_line)
}

fn give_environment<'c>(command: &'c mut Command, workspace: &Workspace, python: &Path) -> &'c mut Command {
    command
        .env("FLASH_TEST_PYTHON", python)
        .env("FLASH_ENVS_DIR", workspace.worker_envs())
        .env("PYTHONPATH", workspace.root.join("python"))
}

/// `===== 12 passed, 1 skipped in 0.34s =====`
fn is_pytest_summary(line: &str) -> bool {
    let text = line.trim_matches(['=', ' ']);
    line.starts_with('=')
        && text.starts_with(|first: char| first.is_ascii_digit() || first == 'n')
        && text.contains(" in ")
}

/// Sum over all test programs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Totals {
    /// Reads `test result: ok. 4 passed; 0 failed; 1 ignored; …`, ignores other lines.
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        for count in counts.split("; ") {
            let mut words = count.split(' ');
            let number = words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
            match words.next() {
                Some("passed") => self.passed += number,
                Some("failed") => self.failed += number,
                Some("ignored") => self.skipped += number,
                _ => {}
            }
        }
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rust: {} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_sum_over_test_programs() {
        let mut totals = Totals::default();
        for line in [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s",
            "test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s",
        ] {
            totals.add(line);
        }
        assert_eq!(totals.to_string(), "rust: 5 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn pytest_summaries_are_told_from_headings() {
        assert!(is_pytest_summary("=========== 12 passed, 1 skipped in 0.34s ==========="));
        assert!(is_pytest_summary("=========== no tests ran in 0.01s ==========="));
        for heading in ["=== FAILURES ===", "=== short test summary info ===", "1 passed in 2 ways"] {
            assert!(!is_pytest_summary(heading), "{heading}");
        }
    }
}
