//! One app+environment inside one transaction: every operation of the store as plain SQL, one function each.

mod events;
mod generations;
mod leases;
mod records;

use flash_model::{MothershipId, ResourceName, Scope};
use rusqlite::{Connection, OptionalExtension, params};

use crate::store::{Error, integer, natural};

pub(super) struct Scoped<'a> {
    connection: &'a Connection,
    scope: &'a Scope,
    now_ms: u64,
}

impl<'a> Scoped<'a> {
    pub(super) fn to_read(connection: &'a Connection, scope: &'a Scope, now_ms: u64) -> Self {
        Self { connection, scope, now_ms }
    }

    /// Makes the scope's row if it is not there. The transaction must be one that may write from its beginning.
    pub(super) fn to_write(connection: &'a Connection, scope: &'a Scope, now_ms: u64) -> Result<Self, Error> {
        let scoped = Self { connection, scope, now_ms };
        connection
            .prepare_cached("INSERT OR IGNORE INTO scopes (app, environment) VALUES (?1, ?2)")?
            .execute(scoped.key())?;
        Ok(scoped)
    }

    pub(super) fn lineage(&self, candidate: MothershipId) -> Result<MothershipId, Error> {
        self.connection
            .prepare_cached(
                "UPDATE scopes SET lineage = ?3 WHERE app = ?1 AND environment = ?2 AND lineage IS NULL",
            )?
            .execute(params![self.app(), self.environment(), candidate.as_str()])?;
        let lineage: String = self
            .connection
            .prepare_cached("SELECT lineage FROM scopes WHERE app = ?1 AND environment = ?2")?
            .query_row(self.key(), |row| row.get(0))?;
        Ok(MothershipId::new(lineage).unwrap_or(candidate))
    }

    /// Forgets the scope, if it has no records.
    pub(super) fn remove(&self, fence: u64) -> Result<(), Error> {
        self.admit(fence)?;
        let records: i64 = self.connection.query_row(
            "SELECT COUNT(*) FROM records WHERE app = ?1 AND environment = ?2",
            self.key(),
            |row| row.get(0),
        )?;
        if records > 0 {
            return Err(Error::NotEmpty { scope: self.scope.clone(), records: natural(records) });
        }
        // Fences go on from here should the scope come back: whoever had one of its leases stays refused.
        self.connection.execute(
            "INSERT INTO removed (only_row, fence) VALUES (1, ?1)
             ON CONFLICT (only_row) DO UPDATE SET fence = MAX(fence, excluded.fence)",
            [integer(self.lease_state()?.fence)],
        )?;
        for forget in [
            "DELETE FROM generations WHERE app = ?1 AND environment = ?2",
            "DELETE FROM events WHERE app = ?1 AND environment = ?2",
            "DELETE FROM scopes WHERE app = ?1 AND environment = ?2",
        ] {
            self.connection.execute(forget, self.key())?;
        }
        Ok(())
    }

    /// Serial and lineage.
    fn head(&self) -> Result<(u64, Option<MothershipId>), Error> {
        let head: Option<(i64, Option<String>)> = self
            .connection
            .prepare_cached("SELECT serial, lineage FROM scopes WHERE app = ?1 AND environment = ?2")?
            .query_row(self.key(), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (serial, lineage) = head.unwrap_or_default();
        Ok((natural(serial), lineage.and_then(|lineage| MothershipId::new(lineage).ok())))
    }

    /// Every write moves the scope's serial on.
    fn touch(&self) -> Result<u64, Error> {
        let serial = self
            .connection
            .prepare_cached(
                "UPDATE scopes SET serial = serial + 1 WHERE app = ?1 AND environment = ?2 RETURNING serial",
            )?
            .query_row(self.key(), |row| row.get(0))?;
        Ok(natural(serial))
    }

    fn version(&self, resource: &ResourceName) -> Result<u64, Error> {
        let version = self
            .connection
            .prepare_cached(
                "SELECT version FROM records WHERE app = ?1 AND environment = ?2 AND resource = ?3",
            )?
            .query_row(params![self.app(), self.environment(), resource.as_str()], |row| row.get(0))
            .optional()?;
        Ok(version.map_or(0, natural))
    }

    fn key(&self) -> [&str; 2] {
        [self.app(), self.environment()]
    }

    fn app(&self) -> &str {
        self.scope.app.as_str()
    }

    fn environment(&self) -> &str {
        self.scope.environment.as_str()
    }
}

/// Scopes that hold anything, sorted.
pub(super) fn scopes(connection: &Connection) -> Result<Vec<Scope>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT app, environment FROM scopes
         WHERE serial > 0 OR lineage IS NOT NULL OR lease IS NOT NULL
             OR EXISTS (SELECT 1 FROM events WHERE events.app = scopes.app
                        AND events.environment = scopes.environment)
         ORDER BY app, environment",
    )?;
    let rows = statement
        .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?
        .collect::<Result<Vec<_>, _>>()?;
    rows.into_iter().map(|(app, environment)| crate::store::stored_scope(app, environment)).collect()
}
