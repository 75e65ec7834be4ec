//! Brings a state file to this version's schema, one step after the other, whole or not at all.

use flash_model::{canonical_json, sha256_hex};
use rusqlite::{Connection, Transaction, TransactionBehavior, params};

use super::packed::pack_text;
use crate::store::{Error, integer};

type Step = fn(&Transaction<'_>) -> Result<(), Error>;

/// Step N brings a file from schema N to N + 1 (`PRAGMA user_version`). Never changed once released.
const STEPS: [Step; 4] = [first, leases_and_histories, removed_scopes, packed_manifests];

/// The schema of what is in the file; 0 if nothing is. Only reads, and refuses what is not ours.
pub(super) fn version(connection: &Connection) -> Result<i64, Error> {
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let (tables, ours): (i64, i64) = connection.query_row(
        "SELECT COUNT(*), COUNT(*) FILTER (WHERE name IN ('scopes', 'records'))
         FROM sqlite_schema WHERE type = 'table'",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    match (version, tables, ours) {
        (0, 0, _) | (1.., _, 2) => Ok(version),
        _ => Err(Error::Foreign),
    }
}

pub(super) fn migrate(connection: &mut Connection) -> Result<(), Error> {
    let known = integer(STEPS.len() as u64);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found = version(&transaction)?;
    if found > known {
        return Err(Error::Schema { found, known });
    }
    for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        step(&transaction)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    Ok(transaction.commit()?)
}

fn first(transaction: &Transaction<'_>) -> Result<(), Error> {
    transaction.execute_batch(
        "CREATE TABLE scopes (
             app TEXT NOT NULL, environment TEXT NOT NULL, version INTEGER NOT NULL DEFAULT 0,
             lineage TEXT, generation INTEGER NOT NULL DEFAULT 0, manifest TEXT,
             PRIMARY KEY (app, environment)) STRICT;
         CREATE TABLE records (
             app TEXT NOT NULL, environment TEXT NOT NULL, resource TEXT NOT NULL,
             version INTEGER NOT NULL, body TEXT NOT NULL,
             PRIMARY KEY (app, environment, resource)) STRICT;",
    )?;
    Ok(())
}

/// The last manifest becomes the first entry of the history.
fn leases_and_histories(transaction: &Transaction<'_>) -> Result<(), Error> {
    transaction.execute_batch(
        "CREATE TABLE generations (
             app TEXT NOT NULL, environment TEXT NOT NULL, number INTEGER NOT NULL,
             applied_at_ms INTEGER NOT NULL, manifest_hash TEXT NOT NULL, author TEXT, manifest TEXT NOT NULL,
             PRIMARY KEY (app, environment, number)) STRICT;
         CREATE TABLE events (
             app TEXT NOT NULL, environment TEXT NOT NULL, sequence INTEGER NOT NULL,
             at_ms INTEGER NOT NULL, body TEXT NOT NULL,
             PRIMARY KEY (app, environment, sequence)) STRICT;",
    )?;
    let applied = transaction
        .prepare("SELECT app, environment, generation, manifest FROM scopes WHERE manifest IS NOT NULL")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect::<Result<Vec<(String, String, i64, String)>, _>>()?;
    for (app, environment, number, text) in applied {
        let manifest: serde_json::Value = serde_json::from_str(&text)?;
        let hash = sha256_hex(canonical_json(&manifest)?.as_bytes());
        transaction.execute(
            "INSERT INTO generations (app, environment, number, applied_at_ms, manifest_hash, manifest)
             VALUES (?1, ?2, ?3, 0, ?4, ?5)",
            params![app, environment, number, hash, text],
        )?;
    }
    transaction.execute_batch(
        "ALTER TABLE scopes RENAME COLUMN version TO serial;
         ALTER TABLE scopes ADD COLUMN lease TEXT;
         ALTER TABLE scopes DROP COLUMN manifest;
         ALTER TABLE scopes DROP COLUMN generation;",
    )?;
    Ok(())
}

/// The highest fence of any scope that was removed.
fn removed_scopes(transaction: &Transaction<'_>) -> Result<(), Error> {
    transaction.execute_batch(
        "CREATE TABLE removed (
             only_row INTEGER PRIMARY KEY CHECK (only_row = 1), fence INTEGER NOT NULL) STRICT;",
    )?;
    Ok(())
}

fn packed_manifests(transaction: &Transaction<'_>) -> Result<(), Error> {
    transaction.execute_batch("ALTER TABLE generations ADD COLUMN packed BLOB NOT NULL DEFAULT x''")?;
    let rows = transaction
        .prepare("SELECT rowid, manifest FROM generations")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<Vec<(i64, String)>, _>>()?;
    for (row, text) in rows {
        let packed = pack_text(&text)?;
        transaction.execute("UPDATE generations SET packed = ?2 WHERE rowid = ?1", params![row, packed])?;
    }
    transaction.execute_batch(
        "ALTER TABLE generations DROP COLUMN manifest;
         ALTER TABLE generations RENAME COLUMN packed TO manifest;",
    )?;
    Ok(())
}
