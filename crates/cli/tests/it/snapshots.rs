//! What the command line says of itself. `UPDATE_EXPECT=1` writes the files anew.

use std::fs;

use crate::support::{flash, repository, text};

#[test]
fn help_of_every_command() {
    let cases: &[(&str, &[&str])] = &[
        ("help", &["--help"]),
        ("help-run", &["run", "--help"]),
        ("help-plan", &["plan", "--help"]),
        ("help-apply", &["apply", "--help"]),
        ("help-rollback", &["rollback", "--help"]),
        ("help-mothership", &["mothership", "--help"]),
        ("help-test-mothership", &["test-mothership", "--help"]),
        ("help-state-orphans", &["state", "orphans", "--help"]),
        ("help-build", &["build", "--help"]),
        ("help-manifest", &["manifest", "--help"]),
        ("help-call", &["call", "--help"]),
        ("help-status", &["status", "--help"]),
        ("help-jobs", &["jobs", "--help"]),
        ("help-jobs-dead", &["jobs", "dead", "--help"]),
        ("help-jobs-redrive", &["jobs", "redrive", "--help"]),
        ("help-logs", &["logs", "--help"]),
        ("help-explain", &["explain", "--help"]),
        ("help-state", &["state", "--help"]),
        ("help-state-serve", &["state", "serve", "--help"]),
        ("help-state-lease", &["state", "lease", "--help"]),
        ("help-state-backup", &["state", "backup", "--help"]),
        ("help-state-restore", &["state", "restore", "--help"]),
        ("help-state-generations", &["state", "generations", "--help"]),
        ("help-state-events", &["state", "events", "--help"]),
        ("version", &["--version"]),
        ("unknown-command", &["rnu"]),
        ("unknown-option", &["run", "--prot", "1"]),
        ("redrive-nothing", &["jobs", "redrive", "work"]),
        ("bad-host", &["run", "--host", "example.com"]),
        ("explain", &["explain", "fl107"]),
        ("openapi-unknown", &["manifest", "tests/projects/schema_classes/project", "--openapi", "ap"]),
        ("openapi-queue", &["manifest", "tests/projects/schema_classes/project", "--openapi", "jobs"]),
    ];
    let folder = repository().join("crates/cli/tests/snapshots");
    let mut differing = Vec::new();
    for (name, arguments) in cases {
        let output = flash(&repository()).args(*arguments).output().unwrap();
        let status = output.status.code().unwrap();
        let actual = format!(
            "$ flash {}\nexit {status}\n--- stdout\n{}--- stderr\n{}",
            arguments.join(" "),
            text(&output.stdout),
            text(&output.stderr)
        );
        let path = folder.join(format!("{name}.txt"));
        if updates() {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&path, &actual).unwrap();
        }
        if fs::read_to_string(&path).unwrap_or_default() != actual {
            differing.push(format!("{}:\n{actual}", path.display()));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}

#[allow(clippy::disallowed_methods, reason = "the person who runs the tests says so this way")]
fn updates() -> bool {
    std::env::var_os("UPDATE_EXPECT").is_some()
}
