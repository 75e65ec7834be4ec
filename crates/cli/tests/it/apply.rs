//! `flash apply`: exactly what a plan file says, or nothing.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Project, Running, signal};

const PROJECT: &str = r#"
from tetra_rp import CpuLiveLoadBalancer, CpuLiveServerless, remote

api = CpuLiveLoadBalancer(name="api", workersMin=1, workersMax=1)
jobs = CpuLiveServerless(name="jobs", workersMax=1)

@remote(api, method="GET", path="/value")
async def value() -> str:
    return "one"

@remote(jobs)
def number() -> int:
    return 1
"#;

fn planned(project: &Project) -> String {
    let (status, _, notices) = project.shown(&["plan", "-o", "next.plan"]);
    assert_eq!(status, 0, "{notices}");
    fs::read_to_string(project.root().join("next.plan")).unwrap()
}

fn outcome(project: &Project) -> (i32, Value, String) {
    let (status, shown, notices) = project.shown(&["apply", "next.plan", "--json"]);
    (status, serde_json::from_str(&shown).unwrap_or_default(), notices)
}

#[tokio::test]
async fn a_plan_is_applied_once_and_its_endpoints_outlive_the_command() {
    let project = Project::of(&[("service.py", PROJECT)]);
    planned(&project);
    let (status, outcome, notices) = outcome(&project);
    assert_eq!(status, 0, "{notices}");
    assert_eq!(outcome["generation"], 1);
    for name in ["api", "jobs"] {
        assert_eq!(outcome["resources"][name]["end"], "done", "{outcome:#}");
    }
    assert!(notices.contains("generation 1: 2 of 2 ready"), "{notices}");
    let processes = project.endpoint_pids();
    assert_eq!(processes.len(), 2);
    assert_eq!(project.shown(&["plan", "--exit-code"]).0, 0, "nothing is left to do");

    let (status, shown, notices) = project.shown(&["status"]);
    assert_eq!(status, 1, "{notices}");
    assert!(
        shown.starts_with("project/dev, generation 1, as it was recorded; no mothership runs here\n"),
        "{shown}"
    );
    for name in ["api", "jobs"] {
        let url = outcome["resources"][name]["endpoint_url"].as_str().unwrap();
        let row = shown.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(row.contains("ready") && row.contains("running") && row.ends_with(url), "{shown}");
    }
    for part in ["error[FL207]", "no mothership runs at", "`flash mothership`", "`flash run`"] {
        assert!(notices.contains(part), "{part:?} is not in:\n{notices}");
    }
    project.write("below/here.txt", "");
    let (_, shown, notices) = project.shown(&["status", "below", "--json"]);
    let document: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&document["url"], &document["generation"]), (&Value::Null, &json!(1)), "{document:#}");
    assert_eq!(document["resources"]["jobs"]["process"], "running", "{document:#}");
    let root = project.root().canonicalize().unwrap();
    assert!(notices.contains(&format!("`flash mothership {}`", root.display())), "{notices}");

    let (status, _, notices) = project.shown(&["apply", "next.plan"]);
    assert_eq!(status, 1);
    assert!(notices.contains("error[FL401]") && notices.contains("the state has serial"), "{notices}");
    assert!(!notices.contains("ready"), "{notices}");
    assert_eq!(project.endpoint_pids(), processes, "a refused plan touches nothing");

    let mut running = project.run();
    running.until_ready().await;
    assert_eq!(project.endpoint_pids(), processes, "the next mothership takes them over");
    assert!(project.shown(&["status"]).1.contains(&format!("project at {}", running.url)));

    assert!(running.interrupt().success());
    let (status, shown, notices) = project.shown(&["status"]);
    assert_eq!((status, shown.matches("stopped").count()), (1, 2), "{shown}");
    assert!(notices.contains("hint: `flash run` starts it again"), "{notices}");
}

#[test]
fn what_moved_is_said_and_nothing_is_started() {
    let project = Project::of(&[("service.py", PROJECT)]);
    let plan = planned(&project);
    let refused = |expected: &[&str]| {
        let (status, shown, notices) = project.shown(&["apply", "next.plan"]);
        assert_eq!((status, shown.as_str()), (1, ""), "{notices}");
        for part in expected {
            assert!(notices.contains(part), "{part:?} is not in:\n{notices}");
        }
        assert!(!project.root().join(".flash/run/endpoints").exists(), "{notices}");
    };
    project.write(
        "service.py",
        &PROJECT.replace("workersMax=1)\n\n@remote(api", "workersMax=7)\n\n@remote(api"),
    );
    refused(&["error[FL401]", "the project's files have changed", "jobs: workersMax 1 → 7"]);
    project.write("service.py", &PROJECT.replace("return 1", "return 2"));
    refused(&["error[FL401]", "jobs: code"]);
    project.write("service.py", &PROJECT.replace("name=\"jobs\"", "name=\"work\""));
    refused(&["jobs is gone; work is new"]);
    project.write("service.py", PROJECT);

    let mut empty: Value = serde_json::from_str(&plan).unwrap();
    for (field, nothing) in
        [("resources", json!({})), ("function_registry", json!({})), ("routes", json!({}))]
    {
        empty["manifest"][field] = nothing;
    }
    empty["plan"]["steps"] = json!([]);
    project.write("next.plan", &empty.to_string());
    refused(&["error[FL118]", "wants no resource at all"]);
}

#[test]
fn what_is_no_plan_file_is_said_with_what_to_do() {
    let project = Project::of(&[("service.py", PROJECT), ("notes/here.txt", "buy milk")]);
    let plan = planned(&project);
    project.write("elsewhere.plan", &plan.replace("\"app\": \"project\"", "\"app\": \"other\""));
    project.write("object.plan", "{}");
    project.write("notes/in.plan", &plan);
    fs::write(project.root().join("bytes.plan"), b"\xff\xfe").unwrap();
    let write_one = "hint: write one with `flash plan -o FILE`";
    for (arguments, expected) in [
        (
            &["gone.plan"][..],
            &["there is no plan file gone.plan", "write it with `flash plan -o gone.plan`"][..],
        ),
        (&["no/folder.plan"], &["there is no plan file no/folder.plan"]),
        (&["gone.plan", "notes"], &["there is no plan file", "`flash plan notes -o gone.plan`"]),
        (&["in.plan", "notes"], &["there is one in the project's folder: notes/in.plan"]),
        (&["."], &["it is a folder", "with `flash plan -o FILE` and apply that: `flash apply FILE`"]),
        (&["notes"], &["it is a folder", "with `flash plan notes -o FILE`", "`flash apply FILE notes`"]),
        (&["notes", "next.plan"], &["the plan file comes first: `flash apply next.plan notes`"]),
        (&["notes/here.txt"], &["it is not JSON", write_one]),
        (&["bytes.plan"], &["UTF-8", write_one]),
        (&["object.plan"], &["`format` is not", write_one]),
        (
            &["elsewhere.plan"],
            &["a plan for other/dev, and the project here is project/dev", "name the folder"],
        ),
        (&["next.plan", "notes"], &["a plan for project/dev, and the project here is notes/dev"]),
    ] {
        let (status, shown, notices) = project.shown(&[&["apply"], arguments].concat());
        assert_eq!((status, shown.as_str()), (1, ""), "{notices}");
        for part in ["error[FL410]"].iter().chain(expected) {
            assert!(notices.contains(part), "{part:?} is not in:\n{notices}");
        }
    }
    for path in ["nowhere", "next.plan"] {
        let (status, _, notices) = project.shown(&["apply", "next.plan", path]);
        assert_eq!(status, 1);
        assert!(notices.contains("error[FL206]") && notices.contains("hint: give the folder"), "{notices}");
    }
    assert!(!project.root().join(".flash").exists());
}

#[test]
fn inside_an_endpoint_nothing_becomes_a_mothership() {
    let project = Project::of(&[("service.py", PROJECT)]);
    planned(&project);
    for arguments in [
        vec!["run", "."],
        vec!["apply", "next.plan"],
        vec!["rollback"],
        vec!["mothership", "."],
        vec!["test-mothership", "."],
    ] {
        let output = crate::support::flash(&project.root())
            .args(&arguments)
            .env("FLASH_ENDPOINT_ID", "api-1")
            .output()
            .unwrap();
        let notices = crate::support::text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {notices}");
        assert!(notices.contains("error[FL414]"), "{arguments:?}: {notices}");
    }
    assert!(!project.root().join(".flash").exists());
}

#[tokio::test]
async fn a_running_mothership_does_it_and_one_that_fails_is_never_called_ready() {
    let project = Project::of(&[("service.py", PROJECT)]);
    let mut running = Running::start_with(&project, &["--no-reload"], &[]);
    let before = running.until_ready().await;
    project.write(
        "service.py",
        &PROJECT.replace("workersMax=1)\n\n@remote(api", "workersMax=7)\n\n@remote(api"),
    );
    planned(&project);
    let (status, changed, notices) = outcome(&project);
    assert_eq!(status, 0, "{notices}");
    assert!(notices.contains(&format!("generation 2 is being applied by {}", running.url)), "{notices}");
    assert_eq!(changed["resources"]["jobs"]["end"], "done");
    let after = running.until_ready().await;
    assert_eq!(after["resources"]["jobs"]["spec"]["workersMax"], 7);
    assert_eq!(after["resources"]["api"]["endpoint_id"], before["resources"]["api"]["endpoint_id"]);
    // A plan that is made while the old version goes says that it is to go, and is another one when it has gone.
    running.eventually("the old version gone", |_| {
        let endpoints = fs::read_dir(project.root().join(".flash/run/endpoints")).unwrap().count();
        (endpoints == 2).then_some(())
    });

    let broken = PROJECT.replace("return \"one\"", "return \"two\"").replace("import os", "");
    project.write("service.py", &format!("import a_module_that_is_not_there\n{broken}"));
    let (status, failed, notices) = loop {
        planned(&project);
        let (status, failed, notices) = outcome(&project);
        // A health check that took long on a busy machine is news, too.
        if !notices.contains("error[FL401]") {
            break (status, failed, notices);
        }
    };
    assert_eq!(status, 1, "{notices}");
    assert!(notices.contains("error[FL411]") && notices.contains("failed: api"), "{notices}");
    let api = &failed["resources"]["api"];
    assert_eq!((&api["end"], &api["serves"]), (&json!("failed"), &json!(true)), "{failed:#}");
    assert!(api["reason"].as_str().unwrap().contains("a_module_that_is_not_there"), "{failed:#}");
    assert_eq!(running.get("/lb/api/value").await.json(), "one", "the earlier version serves");
}

#[tokio::test]
async fn a_command_that_is_killed_leaves_what_the_next_one_finishes() {
    let project = Project::of(&[("service.py", PROJECT)]);
    planned(&project);
    let mut killed = crate::support::flash(&project.root())
        .args(["apply", "next.plan"])
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let endpoints = project.root().join(".flash/run/endpoints");
    while fs::read_dir(&endpoints).into_iter().flatten().count() == 0 {
        assert!(killed.try_wait().unwrap().is_none(), "it ended by itself");
        std::thread::yield_now();
    }
    signal(killed.id(), rustix::process::Signal::KILL);
    killed.wait().unwrap();
    planned(&project);
    let (status, outcome, notices) = outcome(&project);
    assert_eq!(status, 0, "{notices}");
    let ids: Vec<&str> =
        ["api", "jobs"].map(|name| outcome["resources"][name]["endpoint_id"].as_str().unwrap()).to_vec();
    let alive: Vec<String> = project.endpoint_pids().into_iter().map(|(id, _)| id).collect();
    assert_eq!(alive, ids, "each once");
    assert_eq!(fs::read_dir(&endpoints).unwrap().count(), 2);
}
