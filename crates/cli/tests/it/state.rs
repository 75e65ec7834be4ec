//! `flash state …`, beside a running mothership, without one, and as a server of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Project, Running, flash, signal, text};

const TELL: &str = r#"
import os
from tetra_rp import LiveLoadBalancer, remote

api = LiveLoadBalancer(name="api", workersMin=1)

@remote(api, method="GET", path="/environment")
async def environment() -> list[str]:
    return sorted(name for name in os.environ if name.startswith("FLASH_STATE"))
"#;

fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout)
}

fn json(output: &Output) -> Value {
    serde_json::from_str(&done(output)).unwrap()
}

fn refused(output: &Output, expected: &[&str]) {
    let shown = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{shown}");
    for part in expected {
        assert!(shown.contains(part), "{part:?} is not in:\n{shown}");
    }
}

/// `flash state serve` on a free port.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = flash(folder);
        command.args(["state", "serve", "--port", "0"]).args(arguments).envs(environment.iter().copied());
        Self::spawned(command)
    }

    fn spawned(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut url).unwrap();
        assert!(url.starts_with("http://127.0.0.1:"), "{url:?}");
        Self { child, url: url.trim().to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn who_leads_what_was_applied_and_what_happened_can_be_seen_while_it_runs() {
    let project = Project::of(&[("main_api.py", TELL)]);
    refused(&project.flash(&["state", "lease"]), &["FL407", "flash run"]);
    assert!(!project.root().join(".flash").exists(), "looking makes nothing");

    let mut running = project.run();
    running.until_ready().await;
    assert!(!running.stderr().contains("leading"), "it goes without saying: {}", running.stderr());
    let lease = json(&project.flash(&["state", "lease", "--json"]));
    assert_eq!((&lease["is_held"], &lease["lease"]["purpose"]), (&true.into(), &"flash run".into()));
    assert!(lease["remaining_ms"].as_u64().unwrap() <= 15_000, "{lease:#}");
    let holder = lease["lease"]["holder"].as_str().unwrap();
    let shown = done(&project.flash(&["state", "lease"]));
    for part in [holder, "flash run", "since", "fence    1", "expires"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    refused(&project.flash(&["state", "lease", "--drop"]), &["FL404", holder, "only an expired lease"]);
    let generations = json(&project.flash(&["state", "generations", "--json"]));
    assert_eq!(generations["generations"][0]["author"], holder);
    let events = done(&project.flash(&["state", "events", "--json"]));
    let whats: Vec<String> = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["what"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        (whats[0].as_str(), whats.contains(&"generation_applied".to_owned())),
        ("lease_acquired", true)
    );

    let backup = done(&project.flash(&["state", "backup", "copy.sqlite"]));
    assert!(backup.starts_with("copy.sqlite"), "{backup}");
    let mode = fs::metadata(project.root().join("copy.sqlite")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0);
    refused(&project.flash(&["state", "backup", "copy.sqlite"]), &["a file is there already"]);
    refused(&project.flash(&["state", "restore", "copy.sqlite"]), &["FL205", "Ctrl+C"]);
    assert!(running.interrupt().success());
    let free = done(&project.flash(&["state", "lease"]));
    assert!(free.starts_with("nobody leads project/dev"), "{free}");
}

#[tokio::test]
async fn a_restored_backup_is_gone_on_with_by_the_same_endpoints() {
    let project = Project::of(&[("main_api.py", TELL)]);
    let mut running = project.run();
    let id = running.until_ready().await["resources"]["api"]["endpoint_id"].clone();
    done(&project.flash(&["state", "backup", "copy.sqlite"]));
    assert!(running.interrupt().success());
    drop(running);
    for run in ["first", "second"] {
        let output = project.flash(&["state", "restore", "copy.sqlite", "--json"]);
        assert_eq!(text(&output.stderr), "", "it is the project's own");
        let restored = json(&output);
        assert_eq!(restored["scopes"][0], "project/dev", "{run}");
        assert!(Path::new(restored["replaced"].as_str().unwrap()).exists());
        let mut running = project.run();
        let manifest = running.until_ready().await;
        assert_eq!(manifest["resources"]["api"]["endpoint_id"], id, "{run}: {}", running.stderr());
        assert_eq!(running.endpoint_pids().len(), 1, "{run}");
        assert!(running.interrupt().success());
    }
    // The state is lost altogether.
    for file in ["state.sqlite", "state.sqlite-wal", "state.sqlite-shm"] {
        let _ = fs::remove_file(project.root().join(".flash/run").join(file));
    }
    let restored = json(&project.flash(&["state", "restore", "copy.sqlite", "--json"]));
    assert_eq!(restored["replaced"], Value::Null);
    let mut running = project.run();
    let manifest = running.until_ready().await;
    assert_eq!(manifest["resources"]["api"]["endpoint_id"], id);
    assert!(running.interrupt().success());
}

#[tokio::test]
async fn a_backup_of_another_projects_state_is_said_to_be_one() {
    let (project, other) = (Project::of(&[("main_api.py", TELL)]), Project::of(&[]));
    let environment = [("FLASH_STATE_TOKEN", "r1ght")];
    let server = Server::start(&other.root(), &["--state", "sqlite:shared.sqlite"], &environment);
    for scope in ["shop%2Fdev", "shop%2Fprod"] {
        let url = format!("{}/api/v1/flash/manifests/{scope}/lineage", server.url);
        let begun = reqwest::Client::new().post(url).bearer_auth("r1ght").body(r#"{"candidate": "ms-1"}"#);
        assert_eq!(begun.send().await.unwrap().status(), 200);
    }
    let copy = project.root().join("copy.sqlite");
    let copied = other.flash(&["state", "backup", copy.to_str().unwrap(), "--state", "sqlite:shared.sqlite"]);
    done(&copied);

    let holds = "note: the backup holds shop/dev, shop/prod, and nothing of project/dev";
    for options in [&[][..], &["--json"]] {
        let restored = project.flash(&[&["state", "restore", "copy.sqlite"][..], options].concat());
        done(&restored);
        let notices = text(&restored.stderr);
        assert!(notices.contains(holds) && notices.contains("is a first boot of project/dev"), "{notices}");
        assert_eq!(notices.contains("if that was not meant"), !options.is_empty(), "{notices}");
    }
    let own = project.flash(&["state", "restore", "copy.sqlite", "--state", "sqlite:elsewhere"]);
    assert!(text(&own.stderr).contains(holds), "{}", text(&own.stderr));
}

#[tokio::test]
async fn a_state_manager_by_itself_serves_a_run_and_its_password_goes_nowhere() {
    let (keeper, project) = (Project::of(&[]), Project::of(&[("main_api.py", TELL)]));
    let server = Server::start(&keeper.root(), &["--state", "sqlite:shared.sqlite"], &[]);
    let token_path = keeper.root().join("shared.sqlite.token");
    assert_eq!(fs::metadata(&token_path).unwrap().permissions().mode() & 0o077, 0);
    let token = fs::read_to_string(token_path).unwrap();
    let environment = [("FLASH_STATE_URL", server.url.as_str()), ("FLASH_STATE_TOKEN", token.as_str())];
    let mut running = Running::start(&project, &environment);
    running.until_ready().await;
    let seen = running.get("/lb/api/environment").await;
    assert_eq!(seen.parts(), (200, serde_json::json!([])), "users' code does not see it");
    assert!(!project.root().join(".flash/run/state.sqlite").exists());

    let ask = |arguments: &[&str]| {
        flash(&keeper.root()).args(["state"]).args(arguments).envs(environment).output().unwrap()
    };
    let elsewhere = json(&ask(&["lease", "--json", "--scope", "project/dev"]));
    assert_eq!(elsewhere["lease"]["purpose"], "flash run");
    assert_eq!(elsewhere["lease"]["seat"], Value::Null, "the project's lock says nothing about others");
    let events = done(&ask(&["events", "--scope", "project/dev"]));
    assert!(events.contains("lease acquired") && events.contains("step done"), "{events}");
    assert!(done(&ask(&["generations", "--scope", "no/such"])).contains("nothing was applied"));
    refused(&ask(&["backup", "copy"]), &["FL408", "where the State Manager runs"]);
    assert!(running.interrupt().success());

    // The file is there for whoever has it, too.
    let direct =
        keeper.flash(&["state", "lease", "--state", "sqlite:shared.sqlite", "--scope", "project/dev"]);
    assert!(done(&direct).contains("nobody leads"), "{}", text(&direct.stdout));
    signal(server.child.id(), Signal::TERM);
    let mut server = server;
    assert!(server.child.wait().unwrap().success());
}

#[tokio::test]
async fn a_state_that_somebody_leads_elsewhere_is_shown_with_whom_to_ask() {
    let (keeper, project) = (Project::of(&[]), Project::of(&[("main_api.py", TELL)]));
    let environment = [("FLASH_STATE_TOKEN", "r1ght")];
    let server = Server::start(&keeper.root(), &[], &environment);
    let ask = |method: reqwest::Method, path: &str, body: &'static str| {
        let url = format!("{}/api/v1/flash/manifests/project%2Fdev/{path}", server.url);
        let request = reqwest::Client::new().request(method, url).bearer_auth("r1ght").body(body);
        async move { request.send().await.unwrap().error_for_status().unwrap() }
    };
    let record =
        r#"{"config_hash": "", "endpoint_url": "http://10.0.0.9:1", "status": "failed", "error": "no GPU"}"#;
    ask(reqwest::Method::PUT, "resources/api", record).await;
    let lease = r#"{"action": "acquire", "holder": "a-pipeline", "purpose": "the nightly deploy", "term_ms": 600000}"#;
    ask(reqwest::Method::POST, "lease", lease).await;

    let mut command = flash(&project.root());
    command.args(["status", "--state", &server.url]).envs(environment);
    let output = command.output().unwrap();
    let leads = "no mothership runs at";
    refused(&output, &["FL207", leads, "a-pipeline (the nightly deploy) leads", "`flash state lease`"]);
    let shown = text(&output.stdout);
    for part in ["project/dev, as it was recorded", "failed", "none", "api: no GPU"] {
        assert!(shown.contains(part), "{part:?} is not in:\n{shown}");
    }
    assert!(!project.root().join(".flash").exists(), "looking makes nothing");
}

#[test]
fn wrong_tokens_and_places_are_said_plainly_and_without_secrets() {
    let (keeper, project) = (Project::of(&[]), Project::of(&[("main_api.py", TELL)]));
    let server = Server::start(&keeper.root(), &[], &[("FLASH_STATE_TOKEN", "r1ght")]);
    let ask = |arguments: &[&str], url: &str, token: &str| {
        let mut command = flash(&project.root());
        command.args(arguments).env("FLASH_STATE_URL", url).env("FLASH_STATE_TOKEN", token);
        command.output().unwrap()
    };
    // Nobody listens there, and no test that runs beside this one comes to.
    let away = "http://127.0.0.1:1";
    let postgres = "postgres://u:hunter2@/nowhere?host=/nonexistent";
    // The state is asked for before the port is, and before the project is read.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for arguments in
        [&["state", "lease"][..], &["run", ".", "--port", &port], &["mothership", ".", "--port", &port]]
    {
        for (url, token, expected) in [
            (server.url.as_str(), "wr0ng", &["FL308", "FLASH_STATE_TOKEN"][..]),
            (&server.url, "", &["FL308", "FLASH_STATE_TOKEN"]),
            (away, "r1ght", &["FL402", "cannot connect", "flash state serve"]),
            ("http://u:hunter2@host", "r1ght", &["FL408", "FLASH_STATE_TOKEN"]),
            ("https://host", "r1ght", &["FL408", "TLS"]),
            ("mysql://u:hunter2@host/d", "r1ght", &["FL408", "sqlite:PATH"]),
            ("sqlite:", "r1ght", &["FL408"]),
            (postgres, "", if cfg!(feature = "postgres") { &["FL402"] } else { &["FL408", "postgres"] }),
        ] {
            let output = ask(arguments, url, token);
            refused(&output, expected);
            let shown = text(&output.stderr) + &text(&output.stdout);
            for secret in ["hunter2", "wr0ng", "r1ght"] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }
    }
    let help = ask(&["run", "--help"], "postgres://u:hunter2@host/d", "");
    assert!(done(&help).contains("FLASH_STATE_URL") && !text(&help.stdout).contains("hunter2"));
    let nested = flash(&keeper.root())
        .args(["state", "serve", "--port", "0"])
        .env("FLASH_STATE_URL", &server.url)
        .env("FLASH_STATE_TOKEN", "r1ght")
        .output()
        .unwrap();
    refused(&nested, &["FL408"]);
    let port = server.url.rsplit(':').next().unwrap();
    refused(&keeper.flash(&["state", "serve", "--port", port]), &["FL204", "--port"]);
}

#[test]
fn what_is_no_backup_changes_nothing() {
    let project =
        Project::of(&[("main_api.py", TELL), ("notes.txt", "not a database, but long enough to be one")]);
    let server = Server::start(&project.root(), &[], &[]);
    drop(server);
    let state = project.root().join(".flash/run/state.sqlite");
    assert!(state.exists());
    refused(&project.flash(&["state", "restore", "notes.txt"]), &["FL409", "not a backup"]);
    refused(&project.flash(&["state", "restore", "missing"]), &["FL409"]);
    refused(&project.flash(&["state", "backup", "no/such/folder/copy"]), &["no backup at"]);
    refused(&project.flash(&["state", "lease", "missing"]), &["FL206"]);
    let scope = project.flash(&["state", "lease", "--scope", "shop"]);
    assert_eq!(scope.status.code(), Some(2), "{}", text(&scope.stderr));
    let unreadable = fs::read_dir(state.parent().unwrap()).unwrap().flatten();
    let names: Vec<_> = unreadable.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    assert!(!names.iter().any(|name| name.contains("restor")), "{names:?}");
    assert!(done(&project.flash(&["state", "events"])).contains("nothing happened"));
    assert_eq!(done(&project.flash(&["state", "events", "--json"])), "");
}

#[test]
fn looking_at_a_file_that_is_empty_or_something_elses_writes_nothing_to_it() {
    let project = Project::of(&[("main_api.py", TELL), ("empty", "")]);
    let other = project.root().join("other");
    let sql = "PRAGMA journal_mode = WAL; CREATE TABLE notes (text)";
    let script = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.argv[2])";
    assert!(Command::new("python3").args(["-c", script]).arg(&other).arg(sql).status().unwrap().success());
    let bytes = fs::read(&other).unwrap();
    let looks: &[(&[&str], bool)] = &[
        (&["plan"], true),
        (&["rollback", "--list"], true),
        (&["state", "orphans"], true),
        (&["state", "lease"], false),
        (&["state", "lease", "--drop"], false),
        (&["state", "generations"], false),
        (&["state", "events"], false),
        (&["state", "backup", "copy"], false),
    ];
    for (arguments, is_a_first_boot) in looks {
        let ask = |state: &str| project.flash(&[arguments, &["--state", state][..]].concat());
        if *is_a_first_boot {
            done(&ask("sqlite:empty"));
        } else {
            refused(&ask("sqlite:empty"), &["FL407", "there is no state at empty: the file is empty"]);
        }
        refused(&ask("sqlite:other"), &["FL408", "a database of something else", "name a file of its own"]);
    }
    refused(&project.flash(&["status", "--state", "sqlite:empty"]), &["FL207"]);
    refused(&project.flash(&["status", "--state", "sqlite:other"]), &["FL408"]);
    refused(&project.flash(&["run", ".", "--port", "0", "--state", "sqlite:other"]), &["FL408"]);
    assert_eq!(fs::read(project.root().join("empty")).unwrap(), b"");
    assert_eq!(fs::read(other).unwrap(), bytes);
    let entries = fs::read_dir(project.root()).unwrap().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    assert_eq!(names, [".flash", "empty", "main_api.py", "other"]);
}
