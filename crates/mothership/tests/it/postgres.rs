//! A private PostgreSQL server, started from the machine's own binaries and ended by its process id.

use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use flash_model::Retry;
use flash_mothership::store::{Error, PostgresStore};
use flash_testkit::scope;
use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::store::Fixture;

const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Shared by the tests that run at the same time; stopped by the last of them.
static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());
static DATABASES: AtomicU32 = AtomicU32::new(0);

struct Server {
    process: Option<Child>,
    folder: tempfile::TempDir,
    bin: PathBuf,
    /// PostgreSQL refuses to run as root.
    user: Option<(u32, u32)>,
}

impl Server {
    fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start());
            *shared = Arc::downgrade(&server);
            server
        })
    }

    fn start() -> Self {
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

    fn launch(&mut self) {
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

    fn stop(&mut self) {
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

    fn url(&self, database: &str) -> String {
        format!("host={} user=flash dbname={database}", self.folder.path().display())
    }

    /// A database of its own for every test.
    async fn database(&self) -> String {
        let name = format!("t{}", DATABASES.fetch_add(1, Ordering::SeqCst));
        let (client, connection) =
            tokio_postgres::connect(&self.url("postgres"), tokio_postgres::NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        client.batch_execute(&format!("CREATE DATABASE {name}")).await.unwrap();
        drop(client);
        connection.await.unwrap().unwrap();
        self.url(&name)
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

pub(crate) struct Running {
    _server: Arc<Server>,
    pub(crate) fixture: Fixture,
}

pub(crate) async fn running() -> Running {
    let server = tokio::task::spawn_blocking(Server::shared).await.unwrap();
    let store = PostgresStore::connect(&server.database().await).await.unwrap();
    Running { _server: server, fixture: Fixture { store: Arc::new(store), clock: None } }
}

#[tokio::test]
async fn it_reconnects_when_the_server_was_away() {
    let mut server = tokio::task::spawn_blocking(Server::start).await.unwrap();
    let store = PostgresStore::connect(&server.database().await).await.unwrap();
    let fixture = Fixture { store: Arc::new(store), clock: None };
    let before = fixture.acquire("a").await.unwrap();
    server.stop();
    let error = fixture.store.pulse(&scope()).await.unwrap_err();
    assert_eq!(error.retry(), Retry::Backoff, "{error:?}");
    server.launch();
    let again = loop {
        // The first call may still meet a connection that was good.
        match fixture.store.pulse(&scope()).await {
            Ok(pulse) => break pulse,
            Err(error) => assert_eq!(error.retry(), Retry::Backoff, "{error:?}"),
        }
    };
    assert_eq!(again.lease, Some(before));
}

#[tokio::test]
async fn one_that_is_stopped_inside_a_transaction_does_not_keep_others_out() {
    let server = tokio::task::spawn_blocking(Server::shared).await.unwrap();
    let url = server.database().await;
    let mut fixtures = Vec::new();
    for _ in 0..2 {
        let store = PostgresStore::connect(&url).await.unwrap();
        fixtures.push(Fixture { store: Arc::new(store), clock: None });
    }
    fixtures[0].acquire_for("a", 1).await.unwrap();
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let free = "SELECT 1 FROM flash_scopes FOR UPDATE SKIP LOCKED";

    // Goes on step by step until it holds the row, and then no further.
    let stopped = fixtures[0].acquire("a");
    tokio::pin!(stopped);
    while !client.query(free, &[]).await.unwrap().is_empty() {
        let polled = tokio::time::timeout(Duration::ZERO, &mut stopped).await;
        assert!(polled.is_err(), "it was through before it could be stopped: {polled:?}");
    }
    let lease = fixtures[1].acquire("b").await.unwrap();
    assert_eq!(lease.fence, 2);
    let woken = stopped.await.unwrap_err();
    assert_eq!(woken.retry(), Retry::Backoff, "{woken:?}");
}

#[tokio::test]
async fn motherships_that_start_at_once_make_the_tables_once() {
    let server = tokio::task::spawn_blocking(Server::shared).await.unwrap();
    let url = server.database().await;
    let starts: Vec<_> = (0..5)
        .map(|_| {
            tokio::spawn({
                let url = url.clone();
                async move { PostgresStore::connect(&url).await }
            })
        })
        .collect();
    for start in starts {
        start.await.unwrap().unwrap();
    }
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("UPDATE flash_schema SET version = 99").await.unwrap();
    let refused = PostgresStore::connect(&url).await;
    assert!(matches!(refused, Err(Error::Schema { found: 99, known: 2 })), "{refused:?}");
}

#[tokio::test]
async fn urls_that_ask_for_tls_or_make_no_sense_are_refused_with_a_reason() {
    for mode in ["require", "verify-full", "verify-ca"] {
        let refused = PostgresStore::connect(&format!("postgresql://u@localhost/d?sslmode={mode}")).await;
        let Err(error @ Error::Tls) = refused else { panic!("{refused:?}") };
        assert!(error.to_string().contains("sslmode=disable") && error.retry() == Retry::Never);
    }
    let refused = PostgresStore::connect("postgresql://u@localhost/d?colour=red").await;
    assert!(matches!(refused, Err(Error::Url(_))), "{refused:?}");
    let missing = Path::new("/nonexistent").display().to_string();
    let away = PostgresStore::connect(&format!("host={missing} user=u dbname=d")).await.unwrap_err();
    assert_eq!(away.retry(), Retry::Backoff, "{away:?}");
}
