//! Submissions that are known again by their key, for as long as their job is known (a trigger forgets them together).

use flash_model::wire::JobAccepted;
use rusqlite::{OptionalExtension, params};

use super::{Key, Store, parse};

/// What a key was used for before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::queue) enum Known {
    Same(JobAccepted),
    OtherBody,
}

impl Store {
    pub(in crate::queue) fn known(&self, key: &Key, now_ms: u64) -> rusqlite::Result<Option<Known>> {
        self.connection
            .prepare_cached(
                "SELECT digest, id, status FROM idempotency JOIN job ON job.id = idempotency.job \
                 WHERE key = ?1 AND (expires_ms IS NULL OR expires_ms > ?2)",
            )?
            .query_row(params![key.text, now_ms], |row| {
                let digest: String = row.get(0)?;
                if *digest != *key.digest {
                    return Ok(Known::OtherBody);
                }
                let status = parse(&row.get::<_, String>(2)?);
                Ok(Known::Same(JobAccepted { id: row.get(1)?, status }))
            })
            .optional()
    }

    /// Replaces that of a job whose time to live is over but which is not removed yet.
    pub(super) fn note(&self, key: &Key, id: &str) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO idempotency (key, digest, job) VALUES (?1, ?2, ?3)")?
            .execute(params![key.text, key.digest, id])?;
        Ok(())
    }
}
