//! The embedded store: one SQLite file, shared by the motherships of one machine.
//!
//! Write-ahead log, synced at every commit (`synchronous=FULL`): what a call has answered survives the loss of power,
//! as far as the disk keeps its own promise to have written. What had not answered yet is there whole or not at all.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flash_model::{
    EVENTS_MAX, GENERATIONS_MAX, Generation, Happening, HolderId, Lease, LeaseRequest, LeaseState,
    LoggedEvent, Manifest, MothershipId, ResourceName, ResourceRecord, Scope, StateSnapshot, lease,
};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use super::{
    Clock, EVENTS_READ_MAX, Error, Pending, Pulse, Store, StoredManifest, SystemClock, admit, check_version,
    integer, manifest_hash, natural,
};

mod backup;
mod migrate;

const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub struct SqliteStore {
    path: PathBuf,
    connection: Arc<Mutex<Connection>>,
    clock: Arc<dyn Clock>,
}

impl SqliteStore {
    /// Opens the file, making it and its tables if needed. An older version's file is brought to this one's schema; a
    /// newer version's is refused.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::open_with_clock(path, Arc::new(SystemClock))
    }

    pub fn open_with_clock(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // On macOS a plain sync stops at the disk's own cache.
        connection.pragma_update(None, "fullfsync", true)?;
        migrate::migrate(&mut connection)?;
        Ok(Self { path: path.to_owned(), connection: Arc::new(Mutex::new(connection)), clock })
    }

    /// Writes a copy of everything, as it is at one moment, to a file that does not exist yet. Writers need not stop.
    pub async fn backup(&self, to: &Path) -> Result<(), Error> {
        let (from, to) = (self.path.clone(), to.to_owned());
        tokio::task::spawn_blocking(move || backup::copy(&from, &to)).await?
    }

    /// Runs `work` in one write transaction, off the async threads. `now_ms` is read once the file is ours.
    fn write<'a, T: Send + 'static>(
        &'a self,
        scope: &Scope,
        work: impl FnOnce(&Writing<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Pending<'a, T> {
        let (scope, clock) = (scope.clone(), Arc::clone(&self.clock));
        self.transact(TransactionBehavior::Immediate, move |transaction| {
            transaction
                .prepare_cached("INSERT OR IGNORE INTO scopes (app, environment) VALUES (?1, ?2)")?
                .execute(key(&scope))?;
            work(&Writing { transaction, scope: &scope, now_ms: clock.now_ms() })
        })
    }

    fn read<'a, T: Send + 'static>(
        &'a self,
        scope: &Scope,
        work: impl FnOnce(&Transaction<'_>, &Scope) -> Result<T, Error> + Send + 'static,
    ) -> Pending<'a, T> {
        let scope = scope.clone();
        self.transact(TransactionBehavior::Deferred, move |transaction| work(transaction, &scope))
    }

    fn transact<'a, T: Send + 'static>(
        &'a self,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Pending<'a, T> {
        let connection = Arc::clone(&self.connection);
        Box::pin(async move {
            tokio::task::spawn_blocking(move || {
                let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                let transaction = connection.transaction_with_behavior(behavior)?;
                let result = work(&transaction)?;
                transaction.commit()?;
                Ok(result)
            })
            .await?
        })
    }
}

/// A write transaction on a scope whose row is there.
struct Writing<'a> {
    transaction: &'a Transaction<'a>,
    scope: &'a Scope,
    now_ms: u64,
}

impl Writing<'_> {
    fn lease_state(&self) -> Result<LeaseState, Error> {
        lease_state(self.transaction, self.scope)
    }

    fn admit(&self, fence: u64) -> Result<HolderId, Error> {
        Ok(admit(&self.lease_state()?, fence, self.now_ms)?.holder.clone())
    }

    /// Every write moves the scope's serial on.
    fn touch(&self) -> Result<(), Error> {
        self.transaction
            .prepare_cached("UPDATE scopes SET serial = serial + 1 WHERE app = ?1 AND environment = ?2")?
            .execute(key(self.scope))?;
        Ok(())
    }

    fn version(&self, resource: &ResourceName) -> Result<u64, Error> {
        let version = self
            .transaction
            .prepare_cached(
                "SELECT version FROM records WHERE app = ?1 AND environment = ?2 AND resource = ?3",
            )?
            .query_row(params![self.app(), self.environment(), resource.as_str()], |row| row.get(0))
            .optional()?;
        Ok(version.map_or(0, natural))
    }

    fn app(&self) -> &str {
        self.scope.app.as_str()
    }

    fn environment(&self) -> &str {
        self.scope.environment.as_str()
    }
}

impl Store for SqliteStore {
    fn snapshot<'a>(&'a self, scope: &'a Scope) -> Pending<'a, StateSnapshot> {
        self.read(scope, |transaction, scope| {
            let head: Option<(i64, Option<String>)> = transaction
                .prepare_cached("SELECT serial, lineage FROM scopes WHERE app = ?1 AND environment = ?2")?
                .query_row(key(scope), |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let (serial, lineage) = head.unwrap_or_default();
            let mut snapshot = StateSnapshot {
                serial: natural(serial),
                lineage: lineage.and_then(|lineage| MothershipId::new(lineage).ok()),
                ..StateSnapshot::default()
            };
            let mut statement =
                transaction.prepare_cached("SELECT body FROM records WHERE app = ?1 AND environment = ?2")?;
            for body in statement.query_map(key(scope), |row| row.get::<_, String>(0))? {
                let record: ResourceRecord = serde_json::from_str(&body?)?;
                snapshot.records.insert(record.resource.clone(), record);
            }
            Ok(snapshot)
        })
    }

    fn put<'a>(
        &'a self,
        scope: &'a Scope,
        fence: u64,
        mut record: ResourceRecord,
        expected: u64,
    ) -> Pending<'a, ResourceRecord> {
        self.write(scope, move |writing| {
            writing.admit(fence)?;
            check_version(&record.resource, expected, writing.version(&record.resource)?)?;
            record.version = expected + 1;
            writing
                .transaction
                .prepare_cached(
                    "INSERT INTO records (app, environment, resource, version, body) VALUES (?1, ?2, ?3, ?4, ?5)
                     ON CONFLICT (app, environment, resource)
                     DO UPDATE SET version = excluded.version, body = excluded.body",
                )?
                .execute(params![
                    writing.app(),
                    writing.environment(),
                    record.resource.as_str(),
                    integer(record.version),
                    serde_json::to_string(&record)?
                ])?;
            writing.touch()?;
            Ok(record)
        })
    }

    fn remove<'a>(
        &'a self,
        scope: &'a Scope,
        fence: u64,
        resource: &'a ResourceName,
        expected: u64,
    ) -> Pending<'a, ()> {
        let resource = resource.clone();
        self.write(scope, move |writing| {
            writing.admit(fence)?;
            let version = writing.version(&resource)?;
            if version > 0 {
                check_version(&resource, expected, version)?;
                writing.transaction.execute(
                    "DELETE FROM records WHERE app = ?1 AND environment = ?2 AND resource = ?3",
                    params![writing.app(), writing.environment(), resource.as_str()],
                )?;
                writing.touch()?;
            }
            Ok(())
        })
    }

    fn lineage<'a>(&'a self, scope: &'a Scope, candidate: MothershipId) -> Pending<'a, MothershipId> {
        self.write(scope, |writing| {
            writing.transaction.execute(
                "UPDATE scopes SET lineage = ?3 WHERE app = ?1 AND environment = ?2 AND lineage IS NULL",
                params![writing.app(), writing.environment(), candidate.as_str()],
            )?;
            let lineage: String = writing.transaction.query_row(
                "SELECT lineage FROM scopes WHERE app = ?1 AND environment = ?2",
                key(writing.scope),
                |row| row.get(0),
            )?;
            Ok(MothershipId::new(lineage).unwrap_or(candidate))
        })
    }

    fn put_manifest<'a>(
        &'a self,
        scope: &'a Scope,
        fence: u64,
        manifest: &'a Manifest,
    ) -> Pending<'a, StoredManifest> {
        let manifest = manifest.clone();
        self.write(scope, move |writing| {
            let author = writing.admit(fence)?;
            let hash = manifest_hash(&manifest)?;
            // By hash: a manifest that an older version wrote need not be readable to be replaced.
            let last: Option<(i64, String)> = writing
                .transaction
                .prepare_cached(
                    "SELECT number, manifest_hash FROM generations WHERE app = ?1 AND environment = ?2
                     ORDER BY number DESC LIMIT 1",
                )?
                .query_row(key(writing.scope), |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let (last, last_hash) = last.unwrap_or_default();
            if last_hash == hash {
                return Ok(StoredManifest { generation: natural(last), manifest });
            }
            let generation = natural(last) + 1;
            writing.transaction.execute(
                "INSERT INTO generations
                 (app, environment, number, applied_at_ms, manifest_hash, author, manifest)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    writing.app(),
                    writing.environment(),
                    integer(generation),
                    integer(writing.now_ms),
                    hash,
                    author.as_str(),
                    serde_json::to_string(&manifest)?
                ],
            )?;
            writing.transaction.execute(
                "DELETE FROM generations WHERE app = ?1 AND environment = ?2 AND number <= ?3",
                params![writing.app(), writing.environment(), integer(generation) - integer(GENERATIONS_MAX)],
            )?;
            writing.touch()?;
            Ok(StoredManifest { generation, manifest })
        })
    }

    fn manifest<'a>(&'a self, scope: &'a Scope) -> Pending<'a, Option<StoredManifest>> {
        self.read(scope, |transaction, scope| stored_manifest(transaction, scope, None))
    }

    fn generations<'a>(&'a self, scope: &'a Scope) -> Pending<'a, Vec<Generation>> {
        self.read(scope, |transaction, scope| {
            let mut statement = transaction.prepare_cached(
                "SELECT number, applied_at_ms, manifest_hash, author FROM generations
                 WHERE app = ?1 AND environment = ?2 ORDER BY number DESC",
            )?;
            let rows = statement.query_map(key(scope), |row: &Row<'_>| {
                let author: Option<String> = row.get(3)?;
                Ok(Generation {
                    number: natural(row.get(0)?),
                    applied_at_ms: natural(row.get(1)?),
                    manifest_hash: row.get(2)?,
                    author: author.and_then(|author| HolderId::new(author).ok()),
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    fn generation<'a>(&'a self, scope: &'a Scope, number: u64) -> Pending<'a, Option<StoredManifest>> {
        self.read(scope, move |transaction, scope| stored_manifest(transaction, scope, Some(number)))
    }

    fn lease<'a>(&'a self, scope: &'a Scope, request: LeaseRequest) -> Pending<'a, Option<Lease>> {
        let decided = self.write(scope, move |writing| {
            let before = writing.lease_state()?;
            let decision = lease::decide(&before, &request, writing.now_ms);
            if decision.state != before {
                writing.transaction.execute(
                    "UPDATE scopes SET lease = ?3 WHERE app = ?1 AND environment = ?2",
                    params![writing.app(), writing.environment(), serde_json::to_string(&decision.state)?],
                )?;
            }
            Ok(decision.answer)
        });
        // A refusal is committed too: it may have shortened a lease from a clock that went back.
        Box::pin(async move { Ok(decided.await??) })
    }

    fn pulse<'a>(&'a self, scope: &'a Scope) -> Pending<'a, Pulse> {
        let clock = Arc::clone(&self.clock);
        self.read(scope, move |transaction, scope| {
            let serial: Option<i64> = transaction
                .prepare_cached("SELECT serial FROM scopes WHERE app = ?1 AND environment = ?2")?
                .query_row(key(scope), |row| row.get(0))
                .optional()?;
            let lease = lease_state(transaction, scope)?.lease;
            Ok(Pulse { serial: serial.map_or(0, natural), lease, now_ms: clock.now_ms() })
        })
    }

    fn append<'a>(&'a self, scope: &'a Scope, happenings: Vec<Happening>) -> Pending<'a, ()> {
        self.write(scope, move |writing| {
            let mut sequence: i64 = writing.transaction.query_row(
                "SELECT COALESCE(MAX(sequence), 0) FROM events WHERE app = ?1 AND environment = ?2",
                key(writing.scope),
                |row| row.get(0),
            )?;
            let mut insert = writing.transaction.prepare_cached(
                "INSERT INTO events (app, environment, sequence, at_ms, body) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            for happening in happenings {
                sequence += 1;
                let body = serde_json::to_string(&happening)?;
                let at_ms = integer(writing.now_ms);
                insert.execute(params![writing.app(), writing.environment(), sequence, at_ms, body])?;
            }
            writing.transaction.execute(
                "DELETE FROM events WHERE app = ?1 AND environment = ?2 AND sequence <= ?3",
                params![writing.app(), writing.environment(), sequence - integer(EVENTS_MAX)],
            )?;
            Ok(())
        })
    }

    fn events<'a>(&'a self, scope: &'a Scope, after: u64, limit: u32) -> Pending<'a, Vec<LoggedEvent>> {
        self.read(scope, move |transaction, scope| {
            let mut statement = transaction.prepare_cached(
                "SELECT sequence, at_ms, body FROM events
                 WHERE app = ?1 AND environment = ?2 AND sequence > ?3 ORDER BY sequence LIMIT ?4",
            )?;
            let [app, environment] = key(scope);
            let limit = limit.min(EVENTS_READ_MAX);
            let rows = statement
                .query_map(params![app, environment, integer(after), limit], |row| {
                    Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?))
                })?
                .collect::<Result<Vec<_>, _>>()?;
            rows.into_iter()
                .map(|(sequence, at_ms, body)| {
                    let happening: Happening = serde_json::from_str(&body)?;
                    Ok(LoggedEvent { sequence: natural(sequence), at_ms: natural(at_ms), happening })
                })
                .collect()
        })
    }
}

fn key(scope: &Scope) -> [&str; 2] {
    [scope.app.as_str(), scope.environment.as_str()]
}

fn lease_state(transaction: &Transaction<'_>, scope: &Scope) -> Result<LeaseState, Error> {
    let text: Option<Option<String>> = transaction
        .prepare_cached("SELECT lease FROM scopes WHERE app = ?1 AND environment = ?2")?
        .query_row(key(scope), |row| row.get(0))
        .optional()?;
    text.flatten().map_or_else(|| Ok(LeaseState::default()), |text| Ok(serde_json::from_str(&text)?))
}

/// The one with this number, or the last.
fn stored_manifest(
    transaction: &Transaction<'_>,
    scope: &Scope,
    number: Option<u64>,
) -> Result<Option<StoredManifest>, Error> {
    let [app, environment] = key(scope);
    let row: Option<(i64, String)> = transaction
        .prepare_cached(
            "SELECT number, manifest FROM generations
             WHERE app = ?1 AND environment = ?2 AND (?3 IS NULL OR number = ?3)
             ORDER BY number DESC LIMIT 1",
        )?
        .query_row(params![app, environment, number.map(integer)], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    row.map(|(generation, manifest)| {
        Ok(StoredManifest { generation: natural(generation), manifest: serde_json::from_str(&manifest)? })
    })
    .transpose()
}
