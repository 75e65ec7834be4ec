//! Brings a database to this version's schema. `flash_schema` holds one row with the number of steps that were taken.

use super::Error;
use super::pool::Pool;
use crate::store::integer;

/// Two motherships that start at once take turns. The number is arbitrary, and ours.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7022117)";

const LEDGER: &str = "CREATE TABLE IF NOT EXISTS flash_schema (
        only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), version bigint NOT NULL);
    INSERT INTO flash_schema (version) VALUES (0) ON CONFLICT DO NOTHING";

/// Step N brings a database from version N to N + 1. Never changed once released.
const STEPS: [&str; 2] = [
    "
    CREATE TABLE flash_scopes (
        app text NOT NULL, environment text NOT NULL, serial bigint NOT NULL DEFAULT 0,
        lineage text, lease text,
        PRIMARY KEY (app, environment));
    CREATE TABLE flash_records (
        app text NOT NULL, environment text NOT NULL, resource text NOT NULL,
        version bigint NOT NULL, body text NOT NULL,
        PRIMARY KEY (app, environment, resource));
    CREATE TABLE flash_generations (
        app text NOT NULL, environment text NOT NULL, number bigint NOT NULL,
        applied_at_ms bigint NOT NULL, manifest_hash text NOT NULL, author text, manifest text NOT NULL,
        PRIMARY KEY (app, environment, number));
    CREATE TABLE flash_events (
        app text NOT NULL, environment text NOT NULL, sequence bigint NOT NULL,
        at_ms bigint NOT NULL, body text NOT NULL,
        PRIMARY KEY (app, environment, sequence));
",
    "
    -- The highest fence of any scope that was removed.
    CREATE TABLE flash_removed (
        only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), fence bigint NOT NULL);
",
];

pub(super) async fn migrate(pool: &Pool) -> Result<(), Error> {
    let known = integer(STEPS.len() as u64);
    pool.call(async {
        let mut lent = pool.lend().await?;
        lent.batch("BEGIN").await?;
        lent.batch(LOCK).await?;
        lent.batch(LEDGER).await?;
        let row = lent.row("SELECT version FROM flash_schema", &[]).await?;
        let found: i64 = row.map_or(Ok(0), |row| row.try_get(0))?;
        if found > known {
            return Err(Error::Schema { found, known });
        }
        for step in STEPS.iter().skip(usize::try_from(found).unwrap_or(0)) {
            lent.batch(step).await?;
        }
        lent.execute("UPDATE flash_schema SET version = $1", &[&known]).await?;
        lent.batch("COMMIT").await?;
        lent.give_back();
        Ok(())
    })
    .await
}
