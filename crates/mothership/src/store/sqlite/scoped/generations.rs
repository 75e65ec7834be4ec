use std::sync::Arc;

use flash_model::{GENERATIONS_MAX, Generation, HolderId, Manifest};
use rusqlite::{OptionalExtension, Row, params};

use super::Scoped;
use crate::store::sqlite::packed::{pack, unpack};
use crate::store::{Error, StoredManifest, check_generation, integer, manifest_hash, natural};

impl Scoped<'_> {
    pub(in crate::store::sqlite) fn put_manifest(
        &self,
        fence: u64,
        manifest: Arc<Manifest>,
        expected: Option<u64>,
    ) -> Result<StoredManifest, Error> {
        let author = self.admit(fence)?;
        let hash = manifest_hash(&manifest)?;
        // By hash: a manifest that an older version wrote need not be readable to be replaced.
        let last: Option<(i64, String)> = self
            .connection
            .prepare_cached(
                "SELECT number, manifest_hash FROM generations WHERE app = ?1 AND environment = ?2
                 ORDER BY number DESC LIMIT 1",
            )?
            .query_row(self.key(), |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (last, last_hash) = last.unwrap_or_default();
        if last_hash == hash {
            return Ok(StoredManifest { generation: natural(last), manifest });
        }
        check_generation(expected, natural(last))?;
        let generation = natural(last) + 1;
        self.connection.execute(
            "INSERT INTO generations
             (app, environment, number, applied_at_ms, manifest_hash, author, manifest)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                self.app(),
                self.environment(),
                integer(generation),
                integer(self.now_ms),
                hash,
                author.as_str(),
                pack(&manifest)?
            ],
        )?;
        self.connection.execute(
            "DELETE FROM generations WHERE app = ?1 AND environment = ?2 AND number <= ?3",
            params![self.app(), self.environment(), integer(generation) - integer(GENERATIONS_MAX)],
        )?;
        self.touch()?;
        Ok(StoredManifest { generation, manifest })
    }

    /// The one with this number, or the last.
    pub(in crate::store::sqlite) fn stored_manifest(
        &self,
        number: Option<u64>,
    ) -> Result<Option<StoredManifest>, Error> {
        let row: Option<(i64, Vec<u8>)> = self
            .connection
            .prepare_cached(
                "SELECT number, manifest FROM generations
                 WHERE app = ?1 AND environment = ?2 AND (?3 IS NULL OR number = ?3)
                 ORDER BY number DESC LIMIT 1",
            )?
            .query_row(params![self.app(), self.environment(), number.map(integer)], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        row.map(|(generation, manifest)| {
            let manifest = Arc::new(unpack(&manifest)?);
            Ok(StoredManifest { generation: natural(generation), manifest })
        })
        .transpose()
    }

    pub(in crate::store::sqlite) fn generations(&self) -> Result<Vec<Generation>, Error> {
        let mut statement = self.connection.prepare_cached(
            "SELECT number, applied_at_ms, manifest_hash, author FROM generations
             WHERE app = ?1 AND environment = ?2 ORDER BY number DESC",
        )?;
        let rows = statement.query_map(self.key(), |row: &Row<'_>| {
            let author: Option<String> = row.get(3)?;
            Ok(Generation {
                number: natural(row.get(0)?),
                applied_at_ms: natural(row.get(1)?),
                manifest_hash: row.get(2)?,
                author: author.and_then(|author| HolderId::new(author).ok()),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}
