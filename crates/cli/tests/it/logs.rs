//! `flash logs`, while a project runs and afterwards.

use std::fs;
use std::process::{Child, Stdio};
use std::time::Instant;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{DEADLINE, Project, Running, flash, signal};

const WORK: &str = r#"
import sys
from tetra_rp import CpuLiveServerless, remote

work = CpuLiveServerless(name="work")

@remote(work)
def say(word: str) -> str:
    print("version 1 says", word)
    print(word, "on stderr", file=sys.stderr)
    return "1"
"#;

async fn say(running: &Running, word: &str) -> Value {
    running.post("/v2/work/runsync", json!({"input": {"word": word}})).await.json()
}

/// Output of `flash logs` with these arguments, once it has all of `texts`.
fn shown(project: &Project, arguments: &[&str], texts: &[&str]) -> String {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let (code, stdout, stderr) = project.shown(&[&["logs"], arguments].concat());
        assert_eq!(code, 0, "{stderr}");
        if texts.iter().all(|text| stdout.contains(text)) {
            return stdout;
        }
        assert!(Instant::now() < deadline, "{texts:?} are not in {stdout}");
    }
}

struct Follower {
    child: Child,
    output: std::path::PathBuf,
}

impl Follower {
    fn start(project: &Project) -> Self {
        let output = project.root().parent().unwrap().join("followed");
        let child = flash(&project.root())
            .args(["logs", "work", "--follow", "-n", "0"])
            .stdin(Stdio::null())
            .stdout(fs::File::create(&output).unwrap())
            .spawn()
            .unwrap();
        Self { child, output }
    }

    fn until(&self, text: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let output = fs::read_to_string(&self.output).unwrap();
            if output.contains(text) {
                return output;
            }
            assert!(Instant::now() < deadline, "{text} is not in {output}");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn lines_are_chosen_by_job_and_time_and_stay_after_the_end() {
    let project = Project::of(&[("work.py", WORK)]);
    let mut running = project.run();
    running.until_ready().await;
    let one = say(&running, "one").await["id"].as_str().unwrap().to_owned();
    let two = say(&running, "two").await["id"].as_str().unwrap().to_owned();
    let all = shown(&project, &["work"], &["one on stderr", "two on stderr"]);
    let line = all.lines().find(|line| line.contains("version 1 says one")).unwrap();
    let (time, rest) = line.split_once(' ').unwrap();
    assert_eq!(rest, format!("{one}│version 1 says one"));
    assert_eq!((time.len(), time.matches(':').count()), ("12:03:04.123".len(), 2), "{line}");
    assert!(all.contains(&format!("{two} err│two on stderr")), "{all}");
    assert!(all.contains(" flash│INFO endpoint listens"), "{all}");

    let of_job = shown(&project, &["work", "--job", &two, "--json"], &["two on stderr"]);
    let lines: Vec<Value> = of_job.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let texts: Vec<&str> = lines.iter().map(|line| line["text"].as_str().unwrap()).collect();
    assert_eq!(texts.len(), 2, "{of_job}");
    assert!(texts.contains(&"version 1 says two") && texts.contains(&"two on stderr"), "{of_job}");
    assert!(lines.iter().all(|line| line["job"] == two.as_str() && line["at_ms"].is_u64()), "{of_job}");

    assert_eq!(shown(&project, &["work", "--since", "1h"], &["one"]), all);
    assert_eq!(shown(&project, &["work", "--since", "2999-01-01T00:00:00Z"], &[]), "");
    assert_eq!(shown(&project, &["work", "-n", "1"], &[]).lines().count(), 1);

    assert_eq!(running.interrupt().code(), Some(0));
    let after = shown(&project, &["work"], &["two on stderr", "INFO stopped"]);
    assert!(after.starts_with(&all), "{after}");
}

#[tokio::test]
async fn following_goes_on_through_a_reload_and_a_restart() {
    let project = Project::of(&[("work.py", WORK)]);
    let mut running = project.run();
    running.until_ready().await;
    say(&running, "before").await;
    shown(&project, &["work"], &["says before"]);
    let mut follower = Follower::start(&project);
    while !follower.until("").contains("says again") {
        say(&running, "again").await;
    }
    project.write("work.py", &WORK.replace("version 1", "version 2").replace("\"1\"", "\"2\""));
    while say(&running, "changed").await["output"] != "2" {}
    follower.until("version 2 says changed");
    assert_eq!(running.interrupt().code(), Some(0));
    let mut running = project.run();
    running.until_ready().await;
    say(&running, "restarted").await;
    let output = follower.until("version 2 says restarted");
    assert!(!output.contains("says before"), "{output}");
    signal(follower.child.id(), Signal::INT);
    assert_eq!(follower.child.wait().unwrap().code(), Some(0));
}

#[tokio::test]
async fn what_has_no_logs_is_explained() {
    let project = Project::of(&[("work.py", WORK)]);
    let refused = |arguments: &[&str], words: &[&str]| {
        let (code, stdout, stderr) = project.shown(&[&["logs"], arguments].concat());
        assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
        assert!(words.iter().all(|word| stderr.contains(word)), "{stderr}");
    };
    refused(&["work"], &["FL210", "no project was ever run at", "flash run"]);
    refused(&["work", "--project", "nowhere"], &["FL206", "nowhere"]);
    let mut running = project.run();
    running.until_ready().await;
    refused(&["wrok"], &["FL210", "there is no resource wrok here", "there are: work"]);
    running.interrupt();
    let run = project.root().join(".flash/run");
    fs::remove_dir_all(run.join("endpoints")).unwrap();
    refused(&["work"], &["FL210", "work has no endpoint here any more", "ready"]);
    fs::write(run.join("place"), "another").unwrap();
    refused(&["work"], &["FL210", "the endpoint of work is not on this machine"]);
}
