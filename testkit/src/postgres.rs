//! A private PostgreSQL server, started from the machine's own binaries and ended by its process id.

use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};

const START_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub struct Server {
    process: Option<Child>,
    folder: tempfile::TempDir,
    bin: PathBuf,
    /// PostgreSQL refuses to run as root.
    user: Option<(u32, u32)>,
}

impl Server {
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("flash-pg-").tempdir().unwrap();
        let user = geteuid().is_root().then(plain_user);
        if let Some((uid, gid)) = user {
            std::os::unix::fs::chown(folder.path(), Some(uid), Some(gid)).unwrap();
        }
        let mut server = Self { process: None, bin: binaries(), user, folder };
        let made = server
            .command("initdb")
            .args(["--no-sync", "--auth=trust", "--username=flash", "--encoding=UTF8", "--locale=C", "-D"])
            .arg(server.data())
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        server.launch();
        server
    }

    pub fn launch(&mut self) {
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data()).arg("-k").arg(self.folder.path());
        command.args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=200"]);
        self.process = Some(command.stderr(log).spawn().unwrap());
        let deadline = Instant::now() + START_TIMEOUT;
        // Its own word that it takes connections.
        let ready = || {
            std::fs::read_to_string(self.data().join("postmaster.pid"))
                .is_ok_and(|text| text.lines().nth(7).is_some_and(|line| line.trim() == "ready"))
        };
        while !ready() {
            let log = || std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "PostgreSQL did not start: {}", log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Fast shutdown: sessions are ended, nothing is waited for.
            let _ = kill_process(Pid::from_child(&process), Signal::INT);
            let _ = process.wait();
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.join(program));
        command.current_dir(self.folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// As [`Self::url`], in one word.
    pub fn uri(&self, database: &str) -> String {
        format!("postgres:///{database}?user=flash&host={}", self.folder.path().display())
    }

    /// Of a database of it, `postgres` to begin with.
    pub fn url(&self, database: &str) -> String {
        format!("host={} user=flash dbname={database}", self.folder.path().display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Where `initdb` is: on the search path, else the newest that Debian installed.
fn binaries() -> PathBuf {
    match Command::new("initdb").arg("--version").output() {
        Ok(_) => return PathBuf::new(),
        Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"),
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists())
        .max()
        .expect("PostgreSQL is not installed: apt-get install postgresql")
}

/// User and group of `postgres`, or of `nobody`.
fn plain_user() -> (u32, u32) {
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let find = |name: &str| {
        let fields: Vec<&str> =
            users.lines().map(|line| line.split(':').collect()).find(|line: &Vec<&str>| line[0] == name)?;
        Some((fields[2].parse().ok()?, fields[3].parse().ok()?))
    };
    find("postgres").or_else(|| find("nobody")).expect("a plain user to run PostgreSQL as")
}
