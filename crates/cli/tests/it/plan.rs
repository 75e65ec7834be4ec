//! `flash plan`: says what would happen, and does nothing.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Project, text};

const PROJECT: &str = r#"
import os

from tetra_rp import CpuLiveLoadBalancer, CpuLiveServerless, remote

api = CpuLiveLoadBalancer(name="api", workersMin=1, workersMax=1)
jobs = CpuLiveServerless(name="jobs", workersMax=2, env={"KEY": "the-secret-value", "OTHER": os.environ["OTHER"]})

@remote(api, method="GET", path="/value")
async def value() -> str:
    return "one"

@remote(jobs)
def number() -> int:
    return 1
"#;

/// Exit status, standard output and standard error.
fn planned(project: &Project, arguments: &[&str]) -> (i32, String, String) {
    let mut all = vec!["plan"];
    all.extend(arguments);
    let output = project.flash(&all);
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_fresh_project_is_planned_without_a_file_being_made_and_without_python() {
    let project = Project::of(&[("service.py", PROJECT)]);
    let (status, shown, notices) = planned(&project, &["--exit-code"]);
    let expected = "project/dev: nothing is recorded yet\n\n\
                    1. + create  api   new\n\
                    2. + create  jobs  new\n\n\
                    2 to create, 0 to change, 0 to delete, 0 unchanged\n";
    assert_eq!((status, shown.as_str(), notices.as_str()), (3, expected, ""));
    assert_eq!(files(&project.root()), ["service.py"], "planning leaves nothing");
    assert_eq!(planned(&project, &[]).0, 0, "the plan could be made");
}

#[test]
fn the_plan_file_is_what_json_prints_and_holds_no_value_of_the_environment() {
    let project = Project::of(&[("service.py", PROJECT)]);
    let (status, printed, _) = planned(&project, &["--json", "-o", "p.json"]);
    assert_eq!(status, 0);
    let written = fs::read_to_string(project.root().join("p.json")).unwrap();
    assert_eq!(printed, written);
    assert_eq!(files(&project.root()), ["p.json", "service.py"]);
    let from_above = crate::support::flash(project.root().parent().unwrap())
        .args(["plan", "project", "-o", "above.plan"])
        .output()
        .unwrap();
    assert!(text(&from_above.stderr).contains("`flash apply above.plan project` does exactly this"));
    let file: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(file["format"], "flash plan");
    assert_eq!(file["scope"], json!({"app": "project", "environment": "dev"}));
    assert_eq!(file["plan"]["state_serial"], 0);
    assert_eq!(file["plan"]["steps"][1]["desired"]["spec"]["env"], json!(["KEY", "OTHER"]));
    assert!(!written.contains("the-secret-value"), "{written}");
}

#[test]
fn what_cannot_be_planned_is_a_failure_and_what_cannot_be_read_another() {
    let project = Project::of(&[("service.py", "from tetra_rp import remote\ndef broken(:\n")]);
    let (status, shown, notices) = planned(&project, &["--exit-code"]);
    assert_eq!((status, shown.as_str()), (1, ""));
    assert!(notices.contains("FL101"), "{notices}");
    project.write("service.py", PROJECT);
    let (status, _, notices) = planned(&project, &["--drift", "maybe"]);
    assert_eq!(status, 2);
    assert!(notices.contains("say repair"), "{notices}");
    let (status, _, notices) = planned(&project, &["-o", "no/such/folder/p.json"]);
    assert_eq!(status, 1);
    assert!(notices.contains("the plan cannot be written to no/such/folder/p.json"), "{notices}");
    project.write(".flash/run/state.sqlite", "this is no database, and much longer than a header of one is");
    let (status, _, notices) = planned(&project, &["--exit-code"]);
    assert_eq!(status, 1, "a state that cannot be read is no first boot");
    assert!(notices.contains("FL402"), "{notices}");
}

#[tokio::test]
async fn a_running_project_has_nothing_to_do_until_it_changes_and_a_folder_that_cannot_be_read_is_unknown() {
    let project = Project::of(&[("service.py", PROJECT)]);
    let mut running = crate::support::Running::start_with(&project, &["--no-reload"], &[("OTHER", "x")]);
    running.until_ready().await;
    let (status, shown, _) = planned(&project, &["--exit-code"]);
    assert_eq!(status, 0, "{shown}");
    assert!(shown.ends_with("0 to create, 0 to change, 0 to delete, 2 unchanged\n"), "{shown}");

    let changed = PROJECT.replace("workersMax=2", "workersMax=4").replace("\"one\"", "\"two\"");
    project.write("service.py", &changed);
    let (status, shown, _) = planned(&project, &["--exit-code"]);
    assert_eq!(status, 3);
    assert!(shown.contains("1. ± replace  api   code changed\n"), "{shown}");
    assert!(shown.contains("2. ± replace  jobs  workersMax 2 → 4\n"), "{shown}");

    // The mothership looks on; a folder that says nothing makes only the listing partial.
    project.write(".flash/run/endpoints/damaged/request.json", "{");
    let without_api = changed.replace("workersMin=1, workersMax=1", "workersMax=1");
    project.write("service.py", &without_api.replace("name=\"jobs\"", "name=\"work\""));
    let (status, shown, _) = planned(&project, &["--exit-code"]);
    assert_eq!(status, 3);
    assert!(shown.contains("? work is not known well enough to act: the provider could not list"), "{shown}");
    assert!(shown.contains("0 to create"), "{shown}");
}
