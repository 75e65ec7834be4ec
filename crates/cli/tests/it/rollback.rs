//! `flash rollback`: specifications of an earlier time, as a new generation.

use serde_json::Value;

use crate::support::{Project, Running};

const PROJECT: &str = r#"
from tetra_rp import CpuLiveServerless, remote

jobs = CpuLiveServerless(name="jobs", workersMax=1)

@remote(jobs)
def number() -> int:
    return 1
"#;

fn apply(project: &Project, text: &str) {
    project.write("service.py", text);
    assert_eq!(project.shown(&["plan", "-o", "next.plan"]).0, 0);
    let (status, _, notices) = project.shown(&["apply", "next.plan"]);
    assert_eq!(status, 0, "{notices}");
}

fn generations(project: &Project) -> Vec<u64> {
    let (status, shown, notices) = project.shown(&["rollback", "--list", "--json"]);
    assert_eq!(status, 0, "{notices}");
    let list: Value = serde_json::from_str(&shown).unwrap();
    list["generations"].as_array().unwrap().iter().map(|one| one["number"].as_u64().unwrap()).collect()
}

fn refused(project: &Project, arguments: &[&str], expected: &[&str]) {
    let (status, _, notices) = project.shown(arguments);
    assert_eq!(status, 1, "{notices}");
    for part in expected {
        assert!(notices.contains(part), "{part:?} is not in:\n{notices}");
    }
}

#[test]
fn the_generation_before_comes_back_as_a_new_one_and_code_does_not() {
    let project = Project::of(&[("service.py", PROJECT)]);
    refused(&project, &["rollback"], &["error[FL413]", "nothing was ever applied to project/dev"]);
    assert!(!project.root().join(".flash").exists());
    apply(&project, PROJECT);
    refused(&project, &["rollback"], &["error[FL413]", "no generation before 1"]);
    let wider = PROJECT.replace("workersMax=1", "workersMax=3");
    apply(&project, &wider);
    let (status, shown, notices) = project.shown(&["rollback"]);
    assert_eq!(status, 0, "{notices}");
    assert!(shown.contains("jobs      ready"), "{shown}");
    assert!(notices.contains("back to generation 1") && notices.contains("workersMax 3 → 1"), "{notices}");
    assert!(notices.contains("their next change"), "the files are to win again: {notices}");
    assert_eq!(generations(&project), [3, 2, 1]);
    let (_, shown, _) = project.shown(&["plan"]);
    assert!(shown.contains("workersMax 1 → 3"), "what is applied is generation 1's: {shown}");

    refused(&project, &["rollback", "3"], &["error[FL413]", "is what is applied now"]);
    refused(&project, &["rollback", "9"], &["error[FL413]", "no generation 9"]);
    refused(&project, &["rollback", "three", "."], &["error[FL413]", "\"three\" is not the number"]);
    let before = project.endpoint_pids();
    project.write("service.py", &wider.replace("return 1", "return 2"));
    refused(&project, &["rollback", "2"], &["error[FL412]", "generation 2 had other code", ": jobs"]);
    project.write("service.py", &wider.replace("name=\"jobs\"", "name=\"work\""));
    refused(&project, &["rollback", "2"], &["error[FL412]", "jobs (not in the files any more)"]);
    assert_eq!(generations(&project), [3, 2, 1]);
    assert_eq!(project.endpoint_pids(), before);
}

#[tokio::test]
async fn a_running_mothership_goes_back_and_its_next_changed_file_wins_again() {
    let project = Project::of(&[("service.py", PROJECT)]);
    let mut running = Running::start(&project, &[]);
    running.until_ready().await;
    project.write("service.py", &PROJECT.replace("workersMax=1", "workersMax=3"));
    while running.get("/manifest").await.json()["resources"]["jobs"]["spec"]["workersMax"] != 3 {}
    running.until_ready().await;
    let (status, _, notices) = project.shown(&["rollback"]);
    assert_eq!(status, 0, "{notices}");
    assert!(notices.contains(&format!("generation 3 is being applied by {}", running.url)), "{notices}");
    let manifest = running.until_ready().await;
    assert_eq!(manifest["resources"]["jobs"]["spec"]["workersMax"], 1);
    assert_eq!(manifest["generation"], 3);
    project.write("service.py", &PROJECT.replace("workersMax=1", "workersMax=4"));
    while running.get("/manifest").await.json()["resources"]["jobs"]["spec"]["workersMax"] != 4 {}
}
