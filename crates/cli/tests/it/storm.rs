//! `kill -9` of the mothership, again and again, while it makes, changes and removes forty endpoints. What is left in the
//! end is exactly what the project says, each once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::support::{DEADLINE, Project, Running, flash, is_alive};

const CHILDREN: u64 = 40;
const CRASHES: u64 = 50;
/// A mothership lives between these.
const LIFE_MS: std::ops::Range<u64> = 50..2_000;

/// Which resources the project has, and the version of each one's code.
type Wanted = BTreeMap<u64, u64>;

#[tokio::test]
async fn fifty_crashes_while_forty_endpoints_are_made_changed_and_removed_leave_each_once() {
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos();
    println!("seed {seed}");
    let mut random = Random(u64::from(seed) | 1);
    let project = Project::of(&[]);
    let mut wanted: Wanted = (0..CHILDREN).map(|child| (child, 0)).collect();
    for crash in 0..CRASHES {
        write(&project, &wanted);
        let mut child = flash(&project.root())
            .args(["run", ".", "--port", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        tokio::time::sleep(Duration::from_millis(random.within(LIFE_MS))).await;
        assert_eq!(child.try_wait().unwrap(), None, "crash {crash} came too late");
        child.kill().unwrap();
        child.wait().unwrap();
        change(&mut wanted, crash + 1, &mut random);
    }
    wanted = (0..CHILDREN).map(|child| (child, wanted.get(&child).copied().unwrap_or(CRASHES))).collect();
    write(&project, &wanted);
    let mut running = project.run();
    running.until_ready().await;
    for (child, version) in &wanted {
        until_it_answers(&running, *child, *version).await;
    }
    let expected: BTreeSet<String> = wanted.keys().map(|child| name(*child)).collect();
    let folders = running.eventually("only wanted endpoints left", |_| {
        let folders = endpoint_folders(&project.root());
        (folders.len() == expected.len() && folders.values().all(|ids| ids.len() == 1)).then_some(folders)
    });
    assert_eq!(folders.keys().cloned().collect::<BTreeSet<_>>(), expected);
    let manifest = running.until_ready().await;
    assert_eq!(manifest["resources"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>(), expected);
    for (resource, ids) in &folders {
        assert_eq!(manifest["resources"][resource]["endpoint_id"], json!(ids[0]), "the recorded one");
    }
    let serving: BTreeSet<u32> = running.endpoint_pids().into_iter().map(|(_, pid)| pid).collect();
    assert_eq!(serving.len(), expected.len());
    // An endpoint's processes are its children, and those that they were forked into.
    let running_now = processes(&project.root());
    let mut known = serving.clone();
    while let Some(process) =
        running_now.iter().find(|process| !known.contains(&process.id) && known.contains(&process.parent))
    {
        known.insert(process.id);
    }
    let stray: Vec<String> = running_now
        .into_iter()
        .filter(|process| !known.contains(&process.id))
        .map(|process| format!("{} ({})", process.command, process.id))
        .collect();
    assert!(stray.is_empty(), "processes that no endpoint knows: {stray:#?}");
    assert!(running.interrupt().success());
    assert!(!serving.into_iter().any(is_alive), "Ctrl+C ends all of them");
}

/// A version that warms leaves the calls to the one before it; every answer is that of one of the versions written.
async fn until_it_answers(running: &Running, child: u64, version: u64) {
    let path = format!("/v2/{}/runsync", name(child));
    let deadline = Instant::now() + DEADLINE;
    loop {
        let answer = running.post(&path, json!({"input": {"x": 1}})).await.json();
        if answer["output"] == json!(100 + version) {
            return;
        }
        // An endpoint that ends while somebody waits leaves the job to the next one.
        let is_left = matches!(answer["status"].as_str(), Some("IN_QUEUE" | "IN_PROGRESS"));
        let is_a_version = answer["output"].as_u64().is_some_and(|output| output >= 100);
        assert!(is_left || is_a_version, "{}: {answer}", name(child));
        assert!(Instant::now() < deadline, "{} stays at {answer}, not {version}", name(child));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn name(child: u64) -> String {
    format!("child-{child:02}")
}

/// One module for each resource, so that a change of one touches no other.
fn write(project: &Project, wanted: &Wanted) {
    let root = project.root();
    for entry in fs::read_dir(&root).unwrap().flatten() {
        if entry.path().extension().is_some_and(|extension| extension == "py") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    for (child, version) in wanted {
        let text = format!(
            "from tetra_rp import CpuLiveServerless, remote\n\n\
             @remote(CpuLiveServerless(name=\"{}\", workersMax=1))\n\
             def add_{child:02}(x: int) -> int:\n    return 99 + {version} + x\n",
            name(*child)
        );
        project.write(&format!("child_{child:02}.py"), &text);
    }
}

/// Some change, some go, some come back; never to what they were: endpoints load the code that lies there when they start a worker, so one that
/// was made for a version may by then have another, and would be taken for what it was made for.
fn change(wanted: &mut Wanted, version: u64, random: &mut Random) {
    for _ in 0..4 {
        let child = random.within(0..CHILDREN);
        match random.within(0..3) {
            0 => drop(wanted.remove(&child)),
            _ => drop(wanted.insert(child, version)),
        }
    }
    if wanted.is_empty() {
        wanted.insert(0, 0);
    }
}

/// Endpoint ids by resource; a folder without a record was never an endpoint.
fn endpoint_folders(root: &Path) -> BTreeMap<String, Vec<String>> {
    let mut ids: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for folder in fs::read_dir(root.join(".flash/run/endpoints")).unwrap().flatten() {
        let Ok(record) = fs::read(folder.path().join("request.json")) else { continue };
        let record: Value = serde_json::from_slice(&record).unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        ids.entry(text(&record["owner"]["resource"])).or_default().push(text(&record["endpoint_id"]));
    }
    ids
}

struct Process {
    id: u32,
    parent: u32,
    command: String,
}

/// Everything that was started for an endpoint of the project, and what that started.
fn processes(root: &Path) -> Vec<Process> {
    let mark = root.join(".flash/run").to_string_lossy().into_owned();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter_map(|entry| {
            let id: u32 = entry.file_name().to_str()?.parse().ok()?;
            let environment = fs::read(entry.path().join("environ")).ok()?;
            let is_ours = String::from_utf8_lossy(&environment).contains(&mark);
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
            let command = fs::read(entry.path().join("cmdline")).ok()?;
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            (is_ours && is_alive(id)).then_some(Process { id, parent, command })
        })
        .collect()
}

/// Enough for a storm; printed so that it can be had again.
struct Random(u64);

impl Random {
    fn within(&mut self, range: std::ops::Range<u64>) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        range.start + self.0 % (range.end - range.start)
    }
}
