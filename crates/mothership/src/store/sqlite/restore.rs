//! Puts a backup in the place of a state.
//!
//! The lineage stays: endpoints are those of the same app+environment, and providers compare fences within a lineage
//! only. But leases that were given after the backup was made have higher fences than it remembers, and providers have
//! seen them. So every fence is raised above all that can have been given: those of the state that is replaced, and the
//! number of milliseconds since 1970, which no count of leases reaches. Whoever held a lease before stays refused, by
//! the store and by every provider.

use std::path::{Path, PathBuf};

use flash_model::{EventKind, Happening, HolderId, Lease, LeaseState, Scope};
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::database::BUSY_TIMEOUT;
use super::scoped::{self, Scoped};
use super::{backup, migrate};
use crate::store::{Error, integer};

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    pub scopes: Vec<Scope>,
    /// Where the state is that was there before.
    pub replaced: Option<PathBuf>,
}

pub(super) fn restore(from: &Path, to: &Path, who: &HolderId, now_ms: u64) -> Result<Restored, Error> {
    let partial = backup::beside(to, ".restoring");
    let restored = prepare_and_place(from, &partial, to, who, now_ms);
    let _ = std::fs::remove_file(&partial);
    restored
}

fn prepare_and_place(
    from: &Path,
    partial: &Path,
    to: &Path,
    who: &HolderId,
    now_ms: u64,
) -> Result<Restored, Error> {
    let source = open_backup(from)?;
    let mut present = if to.exists() { Some(open(to)?) } else { None };
    let fence = present.as_ref().map_or(Ok(0), |present| highest_fence(present, now_ms))?.max(now_ms);
    backup::write(&source, partial)?;
    let mut copy = Connection::open(partial)?;
    migrate::migrate(&mut copy)?;
    let scopes = raise_fences(&mut copy, fence, who, now_ms)?;
    let Some(present) = &mut present else {
        drop(copy);
        backup::publish(partial, to)?;
        return Ok(Restored { scopes, replaced: None });
    };
    let aside = backup::beside(to, &format!(".before-restore-{now_ms}"));
    backup::copy(present, &aside)?;
    backup::overwrite(&copy, present)?;
    Ok(Restored { scopes, replaced: Some(aside) })
}

/// Nothing of it is trusted before it has been looked through.
fn open_backup(from: &Path) -> Result<Connection, Error> {
    let unfit = |reason: String| Error::Unrestorable { reason };
    let connection = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .map_err(|error| unfit(error.to_string()))?;
    let checked: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| unfit(error.to_string()))?;
    if checked != "ok" {
        return Err(unfit(format!("it is damaged: {checked}")));
    }
    match migrate::version(&connection) {
        Ok(0) => Err(unfit("there is nothing in it".to_owned())),
        Err(Error::Foreign) => Err(unfit("it is a database of something else".to_owned())),
        Err(error) => Err(error),
        Ok(_) => Ok(connection),
    }
}

fn open(path: &Path) -> Result<Connection, Error> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    migrate::migrate(&mut connection)?;
    Ok(connection)
}

/// One more than any that was given. Refused while somebody holds a lease.
fn highest_fence(present: &Connection, now_ms: u64) -> Result<u64, Error> {
    let mut highest = 0;
    for scope in scoped::scopes(present)? {
        let state = Scoped::to_read(present, &scope, now_ms).lease_state()?;
        highest = highest.max(state.fence + 1);
        if let Some(lease) = state.lease.filter(|lease| !has_ended(lease, now_ms)) {
            return Err(Error::InUse { scope, lease: Box::new(lease) });
        }
    }
    let removed: Option<i64> = present.query_row("SELECT MAX(fence) FROM removed", [], |row| row.get(0))?;
    Ok(highest.max(removed.map_or(0, crate::store::natural) + 1))
}

/// One from a clock that went back since has an expiry that no holder counts on.
fn has_ended(lease: &Lease, now_ms: u64) -> bool {
    lease.is_expired(now_ms) || lease.expires_at_ms > now_ms.saturating_add(lease.term_ms)
}

fn raise_fences(copy: &mut Connection, fence: u64, who: &HolderId, now_ms: u64) -> Result<Vec<Scope>, Error> {
    let transaction = copy.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let scopes = scoped::scopes(&transaction)?;
    for scope in &scopes {
        let scoped = Scoped::to_write(&transaction, scope, now_ms)?;
        let fence = fence.max(scoped.lease_state()?.fence + 1);
        scoped.put_lease_state(&LeaseState { fence, lease: None })?;
        let why = format!("fences go on from {fence}");
        scoped.append(&[Happening::new(who.clone(), EventKind::StateRestored, None, why)])?;
    }
    // Scopes that the backup does not know may come back too.
    transaction.execute(
        "INSERT INTO removed (only_row, fence) VALUES (1, ?1)
         ON CONFLICT (only_row) DO UPDATE SET fence = MAX(fence, excluded.fence)",
        [integer(fence)],
    )?;
    transaction.commit()?;
    Ok(scopes)
}
