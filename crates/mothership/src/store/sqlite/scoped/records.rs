use flash_model::{ResourceName, ResourceRecord, StateSnapshot};
use rusqlite::params;

use super::Scoped;
use crate::store::{Error, check_version, integer};

impl Scoped<'_> {
    pub(in crate::store::sqlite) fn snapshot(&self) -> Result<StateSnapshot, Error> {
        let (serial, lineage) = self.head()?;
        let mut snapshot = StateSnapshot { serial, lineage, ..StateSnapshot::default() };
        let mut statement =
            self.connection.prepare_cached("SELECT body FROM records WHERE app = ?1 AND environment = ?2")?;
        for body in statement.query_map(self.key(), |row| row.get::<_, String>(0))? {
            let record: ResourceRecord = serde_json::from_str(&body?)?;
            snapshot.records.insert(record.resource.clone(), record);
        }
        Ok(snapshot)
    }

    pub(in crate::store::sqlite) fn put(
        &self,
        fence: u64,
        mut record: ResourceRecord,
        expected: u64,
    ) -> Result<ResourceRecord, Error> {
        self.admit(fence)?;
        check_version(&record.resource, expected, self.version(&record.resource)?)?;
        record.version = self.touch()?;
        self.connection
            .prepare_cached(
                "INSERT INTO records (app, environment, resource, version, body) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT (app, environment, resource)
                 DO UPDATE SET version = excluded.version, body = excluded.body",
            )?
            .execute(params![
                self.app(),
                self.environment(),
                record.resource.as_str(),
                integer(record.version),
                serde_json::to_string(&record)?
            ])?;
        Ok(record)
    }

    pub(in crate::store::sqlite) fn remove_record(
        &self,
        fence: u64,
        resource: &ResourceName,
        expected: u64,
    ) -> Result<(), Error> {
        self.admit(fence)?;
        let version = self.version(resource)?;
        if version > 0 {
            check_version(resource, expected, version)?;
            self.connection
                .prepare_cached("DELETE FROM records WHERE app = ?1 AND environment = ?2 AND resource = ?3")?
                .execute(params![self.app(), self.environment(), resource.as_str()])?;
            self.touch()?;
        }
        Ok(())
    }
}
