//! The embedded store: one SQLite file in write-ahead mode, shared by the motherships of one machine.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flash_model::{Manifest, MothershipId, ResourceName, ResourceRecord, Scope, StateSnapshot};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::{Error, Pending, Store, StoredManifest};

const SCHEMA: i64 = 1;
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Clone)]
pub struct SqliteStore {
    connection: Arc<Mutex<Connection>>,
}

impl SqliteStore {
    /// Opens the file, making it and its tables if needed. A file of a newer version is refused.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        migrate(&mut connection)?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)) })
    }

    /// Runs `work` in one write transaction, off the async threads.
    fn transact<'a, T: Send + 'static>(
        &'a self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Pending<'a, T> {
        let connection = Arc::clone(&self.connection);
        Box::pin(async move {
            tokio::task::spawn_blocking(move || {
                let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
                let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                let result = work(&transaction)?;
                transaction.commit()?;
                Ok(result)
            })
            .await?
        })
    }
}

impl Store for SqliteStore {
    fn snapshot<'a>(&'a self, scope: &'a Scope) -> Pending<'a, StateSnapshot> {
        let scope = scope.clone();
        self.transact(move |transaction| {
            let mut statement =
                transaction.prepare_cached("SELECT body FROM records WHERE app = ?1 AND environment = ?2")?;
            let bodies = statement.query_map(key(&scope), |row| row.get::<_, String>(0))?;
            let mut snapshot =
                StateSnapshot { version: scope_version(transaction, &scope)?, ..Default::default() };
            for body in bodies {
                let record: ResourceRecord = serde_json::from_str(&body?)?;
                snapshot.records.insert(record.resource.clone(), record);
            }
            Ok(snapshot)
        })
    }

    fn put<'a>(
        &'a self,
        scope: &'a Scope,
        mut record: ResourceRecord,
        expected: u64,
    ) -> Pending<'a, ResourceRecord> {
        let scope = scope.clone();
        self.transact(move |transaction| {
            check(transaction, &scope, &record.resource, expected)?;
            record.version = expected + 1;
            transaction.execute(
                "INSERT INTO records (app, environment, resource, version, body) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (app, environment, resource) DO UPDATE SET version = excluded.version, body = excluded.body",
                params![
                    scope.app.as_str(),
                    scope.environment.as_str(),
                    record.resource.as_str(),
                    integer(record.version),
                    serde_json::to_string(&record)?
                ],
            )?;
            touch(transaction, &scope)?;
            Ok(record)
        })
    }

    fn remove<'a>(&'a self, scope: &'a Scope, resource: &'a ResourceName, expected: u64) -> Pending<'a, ()> {
        let (scope, resource) = (scope.clone(), resource.clone());
        self.transact(move |transaction| {
            if stored_version(transaction, &scope, &resource)?.is_some() {
                check(transaction, &scope, &resource, expected)?;
                transaction.execute(
                    "DELETE FROM records WHERE app = ?1 AND environment = ?2 AND resource = ?3",
                    params![scope.app.as_str(), scope.environment.as_str(), resource.as_str()],
                )?;
                touch(transaction, &scope)?;
            }
            Ok(())
        })
    }

    fn lineage<'a>(&'a self, scope: &'a Scope, candidate: MothershipId) -> Pending<'a, MothershipId> {
        let scope = scope.clone();
        self.transact(move |transaction| {
            ensure_scope(transaction, &scope)?;
            transaction.execute(
                "UPDATE scopes SET lineage = ?3 WHERE app = ?1 AND environment = ?2 AND lineage IS NULL",
                params![scope.app.as_str(), scope.environment.as_str(), candidate.as_str()],
            )?;
            let lineage: String = transaction.query_row(
                "SELECT lineage FROM scopes WHERE app = ?1 AND environment = ?2",
                key(&scope),
                |row| row.get(0),
            )?;
            Ok(MothershipId::new(lineage).unwrap_or(candidate))
        })
    }

    fn put_manifest<'a>(&'a self, scope: &'a Scope, manifest: &'a Manifest) -> Pending<'a, StoredManifest> {
        let (scope, manifest) = (scope.clone(), manifest.clone());
        self.transact(move |transaction| {
            ensure_scope(transaction, &scope)?;
            let last = stored_manifest(transaction, &scope)?;
            let generation = last.as_ref().map_or(0, |last| last.generation);
            if let Some(last) = last.filter(|last| last.manifest == manifest) {
                return Ok(last);
            }
            let stored = StoredManifest { generation: generation + 1, manifest };
            transaction.execute(
                "UPDATE scopes SET manifest = ?3, generation = ?4 WHERE app = ?1 AND environment = ?2",
                params![
                    scope.app.as_str(),
                    scope.environment.as_str(),
                    serde_json::to_string(&stored.manifest)?,
                    integer(stored.generation)
                ],
            )?;
            Ok(stored)
        })
    }

    fn manifest<'a>(&'a self, scope: &'a Scope) -> Pending<'a, Option<StoredManifest>> {
        let scope = scope.clone();
        self.transact(move |transaction| stored_manifest(transaction, &scope))
    }
}

fn migrate(connection: &mut Connection) -> Result<(), Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > SCHEMA {
        return Err(Error::Schema { found, known: SCHEMA });
    }
    if found == 0 {
        transaction.execute_batch(
            "CREATE TABLE scopes (
                 app TEXT NOT NULL, environment TEXT NOT NULL, version INTEGER NOT NULL DEFAULT 0,
                 lineage TEXT, generation INTEGER NOT NULL DEFAULT 0, manifest TEXT,
                 PRIMARY KEY (app, environment)) STRICT;
             CREATE TABLE records (
                 app TEXT NOT NULL, environment TEXT NOT NULL, resource TEXT NOT NULL,
                 version INTEGER NOT NULL, body TEXT NOT NULL,
                 PRIMARY KEY (app, environment, resource)) STRICT;
             PRAGMA user_version = 1;",
        )?;
    }
    Ok(transaction.commit()?)
}

fn key(scope: &Scope) -> [&str; 2] {
    [scope.app.as_str(), scope.environment.as_str()]
}

fn ensure_scope(transaction: &Transaction<'_>, scope: &Scope) -> Result<(), Error> {
    transaction.execute("INSERT OR IGNORE INTO scopes (app, environment) VALUES (?1, ?2)", key(scope))?;
    Ok(())
}

/// Every write to a scope moves its version on.
fn touch(transaction: &Transaction<'_>, scope: &Scope) -> Result<(), Error> {
    ensure_scope(transaction, scope)?;
    transaction
        .execute("UPDATE scopes SET version = version + 1 WHERE app = ?1 AND environment = ?2", key(scope))?;
    Ok(())
}

fn scope_version(transaction: &Transaction<'_>, scope: &Scope) -> Result<u64, Error> {
    let version = transaction
        .query_row("SELECT version FROM scopes WHERE app = ?1 AND environment = ?2", key(scope), |row| {
            row.get(0)
        })
        .optional()?;
    Ok(version.map_or(0, natural))
}

fn stored_version(
    transaction: &Transaction<'_>,
    scope: &Scope,
    resource: &ResourceName,
) -> Result<Option<u64>, Error> {
    let version = transaction
        .query_row(
            "SELECT version FROM records WHERE app = ?1 AND environment = ?2 AND resource = ?3",
            params![scope.app.as_str(), scope.environment.as_str(), resource.as_str()],
            |row| row.get(0),
        )
        .optional()?;
    Ok(version.map(natural))
}

fn stored_manifest(transaction: &Transaction<'_>, scope: &Scope) -> Result<Option<StoredManifest>, Error> {
    let row: Option<(i64, String)> = transaction
        .query_row(
            "SELECT generation, manifest FROM scopes
             WHERE app = ?1 AND environment = ?2 AND manifest IS NOT NULL",
            key(scope),
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    row.map(|(generation, manifest)| {
        Ok(StoredManifest { generation: natural(generation), manifest: serde_json::from_str(&manifest)? })
    })
    .transpose()
}

fn check(
    transaction: &Transaction<'_>,
    scope: &Scope,
    resource: &ResourceName,
    expected: u64,
) -> Result<(), Error> {
    let actual = stored_version(transaction, scope, resource)?.unwrap_or(0);
    if actual == expected {
        Ok(())
    } else {
        Err(Error::Conflict { resource: resource.clone(), expected, actual })
    }
}

/// SQLite's integers are signed; versions count from zero and never come near the limit.
fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn natural(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
