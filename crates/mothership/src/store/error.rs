//! What can go wrong between a mothership and its state, and whether to try again.

use flash_model::{Lease, LeaseRefusal, ResourceName, Retry, Scope};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else wrote in between: read again and decide again.
    #[error("{resource}: the record has version {actual}, not {expected}")]
    Conflict { resource: ResourceName, expected: u64, actual: u64 },
    /// Another manifest was applied in between: read again and decide again.
    #[error("generation {actual} is the last one, not {expected}")]
    Overtaken { expected: u64, actual: u64 },
    /// The write was made under a lease that is no longer the current one, or has expired. Nothing was written.
    #[error("written under the lease with fence {fence}, which has ended{}", now_held(held_by.as_deref()))]
    Fenced { fence: u64, held_by: Option<Box<Lease>> },
    #[error(transparent)]
    Lease(#[from] LeaseRefusal),
    #[error("the state database failed")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the state database was written by a newer flash (schema {found}, this one knows {known})")]
    Schema { found: i64, known: i64 },
    #[error("the file is a database of something else")]
    Foreign,
    #[error("the state database holds a document that cannot be read")]
    Document(#[from] serde_json::Error),
    #[error("the copy cannot be written")]
    Copy(#[source] std::io::Error),
    #[cfg(feature = "postgres")]
    #[error("the state database failed")]
    Postgres(#[from] tokio_postgres::Error),
    #[cfg(feature = "postgres")]
    #[error("the state database's URL cannot be read")]
    Url(#[source] tokio_postgres::Error),
    #[cfg(feature = "postgres")]
    #[error(
        "the state database's URL asks for TLS, which is not spoken here; use a Unix socket or a private network with \
         sslmode=disable, or a proxy beside this process that speaks it"
    )]
    Tls,
    #[cfg(feature = "postgres")]
    #[error("the state database did not answer within {} s", waited.as_secs())]
    Timeout { waited: std::time::Duration },
    #[cfg(feature = "postgres")]
    #[error("somebody removed the scope from the state database meanwhile")]
    Vanished,
    #[error("{scope} still has {records} resources")]
    NotEmpty { scope: Scope, records: u64 },
    #[error("the State Manager did not do what it was asked")]
    Remote(#[source] Box<flash_client::Error>),
    #[error("the file is not a backup of a state: {reason}")]
    Unrestorable { reason: String },
    #[error("{scope} is in use: {} holds its lease ({})", lease.holder, lease.purpose)]
    InUse { scope: Scope, lease: Box<Lease> },
    #[error("the state database's thread cannot be started")]
    Thread(#[source] std::io::Error),
    #[error("the state database's thread has ended")]
    Ended,
    #[error("a background task failed")]
    Task(#[from] tokio::task::JoinError),
}

impl Error {
    pub fn retry(&self) -> Retry {
        match self {
            Self::Conflict { .. } | Self::Overtaken { .. } | Self::Task(_) => Retry::Backoff,
            Self::Sqlite(error) if is_passing(error) => Retry::Backoff,
            Self::Remote(error) => match &**error {
                // Whoever reads again before it writes again does no harm, whatever became of the first try.
                flash_client::Error::Timeout { .. } | flash_client::Error::Interrupted { .. } => {
                    Retry::Backoff
                }
                error => error.retry(),
            },
            #[cfg(feature = "postgres")]
            Self::Postgres(error) if may_pass(error) => Retry::Backoff,
            #[cfg(feature = "postgres")]
            Self::Timeout { .. } | Self::Vanished => Retry::Backoff,
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

/// The connection broke, or the server says that it is starting, stopping, full, or had to choose between transactions.
#[cfg(feature = "postgres")]
fn may_pass(error: &tokio_postgres::Error) -> bool {
    const PASSING_CLASSES: [&str; 6] = ["08", "25", "40", "53", "55", "57"];
    error.code().is_none_or(|code| PASSING_CLASSES.iter().any(|class| code.code().starts_with(class)))
}

fn now_held(lease: Option<&Lease>) -> String {
    lease.map_or_else(String::new, |lease| format!("; {} holds fence {}", lease.holder, lease.fence))
}
