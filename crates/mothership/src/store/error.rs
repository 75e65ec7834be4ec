//! What can go wrong between a mothership and its state, and whether to try again.

use flash_model::{Lease, LeaseRefusal, ResourceName, Retry};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else wrote in between: read again and decide again.
    #[error("{resource}: the record has version {actual}, not {expected}")]
    Conflict { resource: ResourceName, expected: u64, actual: u64 },
    /// The write was made under a lease that is no longer the current one, or has expired. Nothing was written.
    #[error("written under the lease with fence {fence}, which has ended{}", now_held(held_by.as_deref()))]
    Fenced { fence: u64, held_by: Option<Box<Lease>> },
    #[error(transparent)]
    Lease(#[from] LeaseRefusal),
    #[error("the state database failed")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the state database was written by a newer flash (schema {found}, this one knows {known})")]
    Schema { found: i64, known: i64 },
    #[error("the state database holds a document that cannot be read")]
    Document(#[from] serde_json::Error),
    #[error("the copy cannot be written")]
    Copy(#[source] std::io::Error),
    #[error("a background task failed")]
    Task(#[from] tokio::task::JoinError),
}

impl Error {
    pub fn retry(&self) -> Retry {
        match self {
            Self::Conflict { .. } | Self::Task(_) => Retry::Backoff,
            Self::Sqlite(error) if is_passing(error) => Retry::Backoff,
            _ => Retry::Never,
        }
    }

    /// Whether it says that somebody else leads now.
    pub fn is_fenced(&self) -> bool {
        matches!(self, Self::Fenced { .. } | Self::Lease(_))
    }
}

/// What may be better in a moment: another process writes, the disk is full or away.
fn is_passing(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{CannotOpen, DatabaseBusy, DatabaseLocked, DiskFull, SystemIoFailure};
    matches!(
        error.sqlite_error_code(),
        Some(DatabaseBusy | DatabaseLocked | DiskFull | CannotOpen | SystemIoFailure)
    )
}

fn now_held(lease: Option<&Lease>) -> String {
    lease.map_or_else(String::new, |lease| format!("; {} holds fence {}", lease.holder, lease.fence))
}
