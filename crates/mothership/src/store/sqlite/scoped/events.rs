use flash_model::{EVENTS_MAX, Happening, LoggedEvent};
use rusqlite::params;

use super::Scoped;
use crate::store::{EVENTS_READ_MAX, Error, integer, natural};

impl Scoped<'_> {
    pub(in crate::store::sqlite) fn append(&self, happenings: &[Happening]) -> Result<(), Error> {
        let mut sequence: i64 = self
            .connection
            .prepare_cached(
                "SELECT COALESCE(MAX(sequence), 0) FROM events WHERE app = ?1 AND environment = ?2",
            )?
            .query_row(self.key(), |row| row.get(0))?;
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO events (app, environment, sequence, at_ms, body) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?;
        for happening in happenings {
            sequence += 1;
            let body = serde_json::to_string(happening)?;
            let at_ms = integer(self.now_ms);
            insert.execute(params![self.app(), self.environment(), sequence, at_ms, body])?;
        }
        self.connection
            .prepare_cached("DELETE FROM events WHERE app = ?1 AND environment = ?2 AND sequence <= ?3")?
            .execute(params![self.app(), self.environment(), sequence - integer(EVENTS_MAX)])?;
        Ok(())
    }

    pub(in crate::store::sqlite) fn events(&self, after: u64, limit: u32) -> Result<Vec<LoggedEvent>, Error> {
        let mut statement = self.connection.prepare_cached(
            "SELECT sequence, at_ms, body FROM events
             WHERE app = ?1 AND environment = ?2 AND sequence > ?3 ORDER BY sequence LIMIT ?4",
        )?;
        let limit = limit.min(EVENTS_READ_MAX);
        let rows = statement
            .query_map(params![self.app(), self.environment(), integer(after), limit], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?))
            })?
            .collect::<Result<Vec<_>, _>>()?;
        rows.into_iter()
            .map(|(sequence, at_ms, body)| {
                let happening: Happening = serde_json::from_str(&body)?;
                Ok(LoggedEvent { sequence: natural(sequence), at_ms: natural(at_ms), happening })
            })
            .collect()
    }
}
