//! The embedded store: one SQLite file, shared by the motherships of one machine.
//!
//! Write-ahead log, synced at every commit (`synchronous=FULL`): what a call has answered survives the loss of power,
//! as far as the disk keeps its own promise to have written. What had not answered yet is there whole or not at all.
//!
//! `scoped.rs` is the SQL, `database.rs` its transactions, `thread.rs` what makes it async: writes that wait at the same
//! time are committed together, and reads do not wait for writes.

mod backup;
mod database;
mod migrate;
mod packed;
mod restore;
mod scoped;
mod thread;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use flash_model::{
    Generation, Happening, HolderId, Lease, LeaseRequest, LoggedEvent, Manifest, MothershipId, ResourceName,
    ResourceRecord, Scope, StateSnapshot,
};
use rusqlite::Connection;

use self::database::Database;
pub use self::restore::Restored;
use self::scoped::Scoped;
use self::thread::{Reader, Writer};
use super::{Clock, Error, Pending, Pulse, Store, StoredManifest, SystemClock};

/// A cheap clone of a handle.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    access: Access,
}

#[derive(Debug, Clone)]
enum Access {
    Threads { path: PathBuf, writer: Writer, reader: Reader },
    Inline(Arc<Mutex<Database>>),
}

impl SqliteStore {
    /// Opens the file, making it and its tables if needed. An older version's file is brought to this one's schema; a
    /// newer version's is refused, and so is a database of something else.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::open_with_clock(path, Arc::new(SystemClock))
    }

    /// The same for whoever only looks: None, and nothing is written, if there is no file or nothing in it.
    pub fn open_if_any(path: &Path) -> Result<Option<Self>, Error> {
        if Database::is_there(path)? { Self::open(path).map(Some) } else { Ok(None) }
    }

    pub fn open_with_clock(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let writer = Writer::start(Database::open(path, Arc::clone(&clock))?)?;
        let reader = Reader::start(Database::open_again(path, clock)?)?;
        Ok(Self { access: Access::Threads { path: path.to_owned(), writer, reader } })
    }

    /// The same SQL on a database in memory, without threads: every call is carried out, whole, when it is first
    /// polled, and never later. For the simulation, which must be the only one to say what happens when. Not for a
    /// mothership: it would hold up the async threads.
    pub fn inline_in_memory(clock: Arc<dyn Clock>) -> Result<Self, Error> {
        Ok(Self { access: Access::Inline(Arc::new(Mutex::new(Database::in_memory(clock)?))) })
    }

    /// Writes a copy of everything, as it is at one moment, to a file that does not exist yet. Writers need not stop.
    pub async fn backup(&self, to: &Path) -> Result<(), Error> {
        let to = to.to_owned();
        match &self.access {
            Access::Threads { path, .. } => {
                let from = path.clone();
                tokio::task::spawn_blocking(move || backup::copy_file(&from, &to)).await?
            }
            Access::Inline(database) => backup::copy(&lock(database).connection, &to),
        }
    }

    /// Puts a backup in the place of the state at `to`, or makes it if there is none. What was there is kept beside it.
    /// Refused while anybody leads. Others may have the file open, and find the restored state in it. Blocks.
    pub fn restore(backup: &Path, to: &Path, who: &HolderId) -> Result<Restored, Error> {
        restore::restore(backup, to, who, SystemClock.now_ms())
    }

    /// Off the async threads, together with what else waits to be written.
    fn write<'a, T: Send + 'static>(
        &'a self,
        scope: &'a Scope,
        work: impl FnOnce(&Scoped<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Pending<'a, T> {
        Box::pin(async move {
            match &self.access {
                Access::Threads { writer, .. } => writer.call(scope.clone(), work).await,
                Access::Inline(database) => lock(database).write(scope, work),
            }
        })
    }

    fn read<'a, T: Send + 'static>(
        &'a self,
        scope: &'a Scope,
        work: impl FnOnce(&Scoped<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Pending<'a, T> {
        let scope = scope.clone();
        self.read_all(move |connection, clock| work(&Scoped::to_read(connection, &scope, clock.now_ms())))
    }

    fn read_all<'a, T: Send + 'static>(
        &'a self,
        work: impl FnOnce(&Connection, &dyn Clock) -> Result<T, Error> + Send + 'static,
    ) -> Pending<'a, T> {
        Box::pin(async move {
            match &self.access {
                Access::Threads { reader, .. } => reader.call(work).await,
                Access::Inline(database) => lock(database).read(work),
            }
        })
    }
}

fn lock(database: &Mutex<Database>) -> std::sync::MutexGuard<'_, Database> {
    database.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Store for SqliteStore {
    fn scopes(&self) -> Pending<'_, Vec<Scope>> {
        self.read_all(|connection, _| scoped::scopes(connection))
    }

    fn remove_scope<'a>(&'a self, scope: &'a Scope, fence: u64) -> Pending<'a, ()> {
        self.write(scope, move |scoped| scoped.remove(fence))
    }

    fn snapshot<'a>(&'a self, scope: &'a Scope) -> Pending<'a, StateSnapshot> {
        self.read(scope, |scoped| scoped.snapshot())
    }

    fn put<'a>(
        &'a self,
        scope: &'a Scope,
        fence: u64,
        record: ResourceRecord,
        expected: u64,
    ) -> Pending<'a, ResourceRecord> {
        self.write(scope, move |scoped| scoped.put(fence, record, expected))
    }

    fn remove<'a>(
        &'a self,
        scope: &'a Scope,
        fence: u64,
        resource: &'a ResourceName,
        expected: u64,
    ) -> Pending<'a, ()> {
        let resource = resource.clone();
        self.write(scope, move |scoped| scoped.remove_record(fence, &resource, expected))
    }

    fn lineage<'a>(&'a self, scope: &'a Scope, candidate: MothershipId) -> Pending<'a, MothershipId> {
        self.write(scope, |scoped| scoped.lineage(candidate))
    }

    fn put_manifest<'a>(
        &'a self,
        scope: &'a Scope,
        fence: u64,
        manifest: &'a Arc<Manifest>,
        expected: Option<u64>,
    ) -> Pending<'a, StoredManifest> {
        let manifest = Arc::clone(manifest);
        self.write(scope, move |scoped| scoped.put_manifest(fence, manifest, expected))
    }

    fn manifest<'a>(&'a self, scope: &'a Scope) -> Pending<'a, Option<StoredManifest>> {
        self.read(scope, |scoped| scoped.stored_manifest(None))
    }

    fn generations<'a>(&'a self, scope: &'a Scope) -> Pending<'a, Vec<Generation>> {
        self.read(scope, |scoped| scoped.generations())
    }

    fn generation<'a>(&'a self, scope: &'a Scope, number: u64) -> Pending<'a, Option<StoredManifest>> {
        self.read(scope, move |scoped| scoped.stored_manifest(Some(number)))
    }

    fn lease<'a>(&'a self, scope: &'a Scope, request: LeaseRequest) -> Pending<'a, Option<Lease>> {
        let decided = self.write(scope, move |scoped| scoped.lease(&request));
        Box::pin(async move { Ok(decided.await??) })
    }

    fn pulse<'a>(&'a self, scope: &'a Scope) -> Pending<'a, Pulse> {
        self.read(scope, |scoped| scoped.pulse())
    }

    fn append<'a>(&'a self, scope: &'a Scope, happenings: Vec<Happening>) -> Pending<'a, ()> {
        self.write(scope, move |scoped| scoped.append(&happenings))
    }

    fn events<'a>(&'a self, scope: &'a Scope, after: u64, limit: u32) -> Pending<'a, Vec<LoggedEvent>> {
        self.read(scope, move |scoped| scoped.events(after, limit))
    }
}
