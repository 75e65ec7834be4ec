use flash_model::{HolderId, Lease, LeaseRefusal, LeaseRequest, LeaseState, lease};
use rusqlite::{OptionalExtension, params};

use super::Scoped;
use crate::store::{Error, Pulse, admit, natural};

impl Scoped<'_> {
    /// Ok is to be committed, whatever the answer: a refusal may have shortened a lease from a clock that went back.
    pub(in crate::store::sqlite) fn lease(
        &self,
        request: &LeaseRequest,
    ) -> Result<Result<Option<Lease>, LeaseRefusal>, Error> {
        let before = self.lease_state()?;
        let decision = lease::decide(&before, request, self.now_ms);
        if decision.state != before {
            self.put_lease_state(&decision.state)?;
        }
        Ok(decision.answer)
    }

    pub(in crate::store::sqlite) fn pulse(&self) -> Result<Pulse, Error> {
        let (serial, lineage) = self.head()?;
        Ok(Pulse { serial, lineage, lease: self.lease_state()?.lease, now_ms: self.now_ms })
    }

    pub(in crate::store::sqlite) fn lease_state(&self) -> Result<LeaseState, Error> {
        let text: Option<Option<String>> = self
            .connection
            .prepare_cached("SELECT lease FROM scopes WHERE app = ?1 AND environment = ?2")?
            .query_row(self.key(), |row| row.get(0))
            .optional()?;
        match text.flatten() {
            Some(text) => Ok(serde_json::from_str(&text)?),
            None => {
                let fence: Option<i64> = self
                    .connection
                    .prepare_cached("SELECT fence FROM removed")?
                    .query_row([], |row| row.get(0))
                    .optional()?;
                Ok(LeaseState { fence: fence.map_or(0, natural), lease: None })
            }
        }
    }

    pub(in crate::store::sqlite) fn put_lease_state(&self, state: &LeaseState) -> Result<(), Error> {
        self.connection
            .prepare_cached("UPDATE scopes SET lease = ?3 WHERE app = ?1 AND environment = ?2")?
            .execute(params![self.app(), self.environment(), serde_json::to_string(state)?])?;
        Ok(())
    }

    pub(super) fn admit(&self, fence: u64) -> Result<HolderId, Error> {
        Ok(admit(&self.lease_state()?, fence, self.now_ms)?.holder.clone())
    }
}
