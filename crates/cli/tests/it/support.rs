//! A project in a temporary folder and the `flash` that runs it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Long enough for a first package installation on a slow machine; nothing waits for it to pass.
pub(crate) const DEADLINE: Duration = Duration::from_secs(180);
/// Processes of one test have names of their own.
static COUNT: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        let project = Self { folder: tempfile::Builder::new().prefix("flash-test-").tempdir().unwrap() };
        for (path, text) in files {
            project.write(path, text);
        }
        project
    }

    pub(crate) fn example(name: &str) -> Self {
        let project = Self::of(&[]);
        copy(&repository().join("examples").join(name), &project.root());
        project
    }

    /// In a folder with a name of its own, which becomes the project's.
    pub(crate) fn root(&self) -> PathBuf {
        let root = self.folder.path().join("project");
        fs::create_dir_all(&root).unwrap();
        root
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Runs a command to its end.
    pub(crate) fn flash<I: AsRef<OsStr>>(&self, arguments: &[I]) -> Output {
        flash(&self.root()).args(arguments).output().unwrap()
    }

    /// Runs a command to its end: exit status, standard output and standard error.
    pub(crate) fn shown<I: AsRef<OsStr>>(&self, arguments: &[I]) -> (i32, String, String) {
        let output = self.flash(arguments);
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    }

    /// All that `flash` has written for its own use, one file after the other.
    pub(crate) fn everything_written(&self) -> String {
        let (mut folders, mut written) = (vec![self.root().join(".flash/run")], String::new());
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().flatten() {
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                } else {
                    written.push_str(&String::from_utf8_lossy(&fs::read(entry.path()).unwrap_or_default()));
                }
            }
        }
        written
    }

    /// Processes of this project's endpoints that are alive, by endpoint id.
    pub(crate) fn endpoint_pids(&self) -> Vec<(String, u32)> {
        endpoint_pids(&self.root().join(".flash/run/endpoints"))
    }

    /// Those of throw-away environments.
    pub(crate) fn throw_away_pids(&self) -> Vec<(String, u32)> {
        let folders = fs::read_dir(self.root().join(".flash/tmp")).into_iter().flatten().flatten();
        folders.flat_map(|folder| endpoint_pids(&folder.path().join("endpoints"))).collect()
    }

    pub(crate) fn run(&self) -> Running {
        Running::start(self, &[])
    }
}

/// Endpoints outlive the commands that started them, but not the test.
impl Drop for Project {
    fn drop(&mut self) {
        for (_, pid) in self.endpoint_pids().into_iter().chain(self.throw_away_pids()) {
            signal(pid, Signal::KILL);
        }
    }
}

/// `flash` with the test machine's Python, environments shared between tests, and nothing else of ours.
pub(crate) fn flash(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flash"));
    command.current_dir(directory).env_remove("FLASH_PORT").env_remove("FLASH_HOST").env("NO_COLOR", "1");
    command
        .env_remove("FLASH_STATE_URL")
        .env_remove("FLASH_STATE_TOKEN")
        .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT");
    command.env("FLASH_ENVS_DIR", shared_environments());
    command
}

/// Ends with everything it started when dropped.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) url: String,
    name: String,
    root: PathBuf,
    http: Client,
}

impl Running {
    /// Returns once every resource is ready or has failed.
    pub(crate) fn start(project: &Project, environment: &[(&str, &str)]) -> Self {
        Self::start_with(project, &[], environment)
    }

    /// With further options of `flash run`.
    pub(crate) fn start_with(project: &Project, options: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::start_as("run", project, options, environment)
    }

    /// A mothership by another command, which goes by that name here too.
    pub(crate) fn start_as(
        command: &str,
        project: &Project,
        options: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let root = project.root();
        let name = format!("{command}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let log =
            |kind: &str| fs::File::create(root.parent().unwrap().join(format!("{name}.{kind}"))).unwrap();
        let child = flash(&root)
            .args([command, ".", "--port", "0"])
            .args(options)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(log("stdout"))
            .stderr(log("stderr"))
            .spawn()
            .unwrap();
        let mut running = Self { child, url: String::new(), name, root, http: Client::new() };
        running.url = running.eventually("announced", |running| {
            assert!(running.child.try_wait().unwrap().is_none(), "ended: {}", running.stderr());
            let pid = running.child.id();
            let run = running.root.join(".flash/run");
            let places = [run.join("mothership.json"), run.join(format!("motherships/{pid}.json"))];
            places.iter().find_map(|place| {
                let announcement: Value = serde_json::from_slice(&fs::read(place).ok()?).ok()?;
                (announcement["pid"] == pid).then(|| announcement["url"].as_str().unwrap().to_owned())
            })
        });
        running
    }

    pub(crate) async fn until_ready(&mut self) -> Value {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let manifest = self.get("/manifest").await.json();
            let resources = manifest["resources"].as_object().unwrap();
            if !resources.is_empty() && resources.values().all(|resource| resource["status"] == "ready") {
                return manifest;
            }
            assert!(Instant::now() < deadline, "never ready: {manifest:#}\n{}", self.stderr());
            assert!(self.child.try_wait().unwrap().is_none(), "ended: {}", self.stderr());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) fn stdout(&self) -> String {
        fs::read_to_string(self.root.parent().unwrap().join(format!("{}.stdout", self.name))).unwrap()
    }

    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(self.root.parent().unwrap().join(format!("{}.stderr", self.name))).unwrap()
    }

    pub(crate) fn token(&self) -> String {
        fs::read_to_string(self.root.join(".flash/run/token")).unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.request(Method::GET, path, None, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.request(Method::POST, path, Some(body), None).await
    }

    /// `path` may be a whole URL, to ask an endpoint itself.
    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        token: Option<&str>,
    ) -> Answer {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.url) };
        let mut request = self.http.request(method, url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        Answer {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.unwrap(),
        }
    }

    /// Processes of this project's endpoints that are alive, by endpoint id.
    pub(crate) fn endpoint_pids(&self) -> Vec<(String, u32)> {
        endpoint_pids(&self.root.join(".flash/run/endpoints"))
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn interrupt(&mut self) -> ExitStatus {
        signal(self.child.id(), Signal::INT);
        self.eventually("ended", |running| running.child.try_wait().unwrap())
    }

    pub(crate) fn kill_9(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub(crate) fn eventually<T>(
        &mut self,
        what: &str,
        mut condition: impl FnMut(&mut Self) -> Option<T>,
    ) -> T {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(value) = condition(self) {
                return value;
            }
            assert!(Instant::now() < deadline, "never {what}: {}", self.stderr());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let endpoints = self.endpoint_pids();
        let _ = self.child.kill();
        let _ = self.child.wait();
        for (_, pid) in endpoints {
            signal(pid, Signal::KILL);
        }
    }
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// Status and JSON in one, for assertions that show both.
    pub(crate) fn parts(&self) -> (u16, Value) {
        (self.status, self.json())
    }
}

fn endpoint_pids(endpoints: &Path) -> Vec<(String, u32)> {
    let folders = fs::read_dir(endpoints).into_iter().flatten().flatten();
    let mut pids: Vec<(String, u32)> = folders
        .filter_map(|folder| {
            let identity: Value =
                serde_json::from_slice(&fs::read(folder.path().join("endpoint.json")).ok()?).ok()?;
            let pid = u32::try_from(identity["pid"].as_u64()?).ok()?;
            is_alive(pid).then(|| (folder.file_name().to_string_lossy().into_owned(), pid))
        })
        .collect();
    pids.sort();
    pids
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let _ = kill_process(pid, signal);
}

/// A process that has ended but was not waited for by its parent does not count.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim_start().starts_with('Z'))
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

#[allow(clippy::disallowed_methods, reason = "the test runner may say where environments lie")]
fn shared_environments() -> PathBuf {
    std::env::var_os("FLASH_ENVS_DIR").map_or_else(|| repository().join("target/test-envs"), PathBuf::from)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        if entry.file_name() == ".flash" || entry.file_name() == "__pycache__" {
            continue;
        }
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
