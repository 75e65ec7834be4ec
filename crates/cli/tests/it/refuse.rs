//! What cannot be run: every problem is said at once, and nothing is started.

use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use crate::support::{Project, flash, text};

fn refused(output: &Output, expected: &[&str]) {
    let shown = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    for part in expected {
        assert!(shown.contains(part), "{part:?} is not in:\n{shown}");
    }
    assert!(!shown.contains("panicked"), "{shown}");
}

#[test]
fn a_project_with_many_problems_lists_them_all_with_source_lines() {
    let project = Project::of(&[
        ("syntax.py", "from tetra_rp import remote\ndef broken(:\n    pass\n"),
        (
            "routes.py",
            r#"
from tetra_rp import LiveLoadBalancer, remote

api = LiveLoadBalancer(name="api")

@remote(api, method="GET", path="/a")
async def first(): ...

@remote(api, method="GET", path="/a")
async def second(): ...

@remote(api, method="GET", path="/ping")
async def reserved_ping(): ...

@remote(api, method="POST", path="/execute")
async def reserved_execute(): ...

@remote(api, method="GET", path="/manifest")
async def reserved_manifest(): ...

@remote(api)
async def no_route(): ...
"#,
        ),
        (
            "twice.py",
            r#"
from tetra_rp import LiveServerless, remote

gpu = LiveServerless(name="gpu")

@remote(gpu)
def first(): ...
"#,
        ),
    ]);
    let output = flash(&project.root()).args(["run", ".", "--port", "0"]).output().unwrap();
    refused(
        &output,
        &[
            "error[FL101]",
            "syntax.py:2",
            "def broken(:",
            "error[FL111]",
            "routes.py:9",
            "@remote(api, method=\"GET\", path=\"/a\")",
            "error[FL110]",
            "\"/ping\"",
            "\"/execute\"",
            "\"/manifest\"",
            "error[FL107]",
            "error[FL112]",
            "twice.py:7",
            "nothing was started",
        ],
    );
    assert!(!project.root().join(".flash/run/endpoints").exists());
    assert!(!project.root().join(".flash/run/mothership.json").exists());
}

#[test]
fn a_taken_port_says_by_whom_and_what_to_do() {
    let project = Project::example("hello");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let output = flash(&project.root()).args(["run", ".", "--port", &port]).output().unwrap();
    let by_variable = flash(&project.root()).args(["run", "."]).env("FLASH_PORT", &port).output().unwrap();
    refused(&by_variable, &["FL204", &format!("port {port} is taken by")]);
    let holder = format!("(process {})", std::process::id());
    refused(&output, &["FL204", &format!("port {port} is taken by"), &holder, "--port"]);
}

#[test]
fn a_missing_or_too_old_python_is_said_with_what_to_do() {
    let project = Project::example("hello");
    let run = |python: &str| {
        flash(&project.root()).args(["run", ".", "--port", "0", "--python", python]).output().unwrap()
    };
    refused(&run("/nowhere/python3"), &["FL201", "/nowhere/python3", "--python"]);
    project
        .write("old-python", "#!/bin/sh\nprintf '3.8.1\\nlinux x86_64 cpython-38\\n/usr/bin/python3.8\\n'\n");
    let old = project.root().join("old-python");
    std::fs::set_permissions(&old, std::fs::Permissions::from_mode(0o755)).unwrap();
    refused(&run(old.to_str().unwrap()), &["FL202", "3.8.1", "3.10"]);
    let empty =
        flash(&project.root()).args(["run", ".", "--port", "0"]).env("PATH", "/nowhere").output().unwrap();
    refused(&empty, &["FL201"]);
}

#[test]
fn a_failing_installation_shows_the_installers_own_words() {
    let project = Project::example("hello");
    project.write("requirements.txt", "--no-index\nno-such-package-anywhere==1.0\n");
    let output = flash(&project.root()).args(["run", ".", "--port", "0"]).output().unwrap();
    refused(&output, &["FL203", "no-such-package-anywhere", "hint: "]);
}

#[test]
fn a_requirement_that_nobody_understands_is_refused_with_its_line() {
    let project = Project::example("hello");
    project.write("requirements.txt", "requests\npillow >> 10\n");
    let output = flash(&project.root()).args(["run", ".", "--port", "0"]).output().unwrap();
    refused(&output, &["FL120", "requirements.txt:2", "pillow >> 10"]);
}

#[test]
fn no_project_no_functions_and_nothing_running_are_said_plainly() {
    let project = Project::of(&[("notes.py", "x = 1\n")]);
    refused(&project.flash(&["run", "missing"]), &["FL206", "missing"]);
    refused(&project.flash(&["run", "notes.py"]), &["FL206", "not a folder"]);
    refused(&project.flash(&["run", ".", "--port", "0"]), &["FL118"]);
    refused(&project.flash(&["status"]), &["FL207", "flash run"]);
    refused(&project.flash(&["status", "missing"]), &["FL206", "missing"]);
    refused(&project.flash(&["call", "f"]), &["FL207"]);
    refused(&project.flash(&["explain", "FL999"]), &["FL999"]);
    refused(&project.flash(&["serve"]), &["flash run"]);
}
