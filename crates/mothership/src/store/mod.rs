//! What survives a mothership: one record per resource, changed by compare-and-swap, and the last manifest.

mod memory;
mod sqlite;

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

use flash_model::{Manifest, MothershipId, ResourceName, ResourceRecord, Retry, Scope, StateSnapshot};

pub use memory::MemoryStore;
pub use sqlite::SqliteStore;

/// A boxed future, so that stores can be used as `dyn Store`.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else wrote in between: read again and decide again.
    #[error("{resource}: the record has version {actual}, not {expected}")]
    Conflict { resource: ResourceName, expected: u64, actual: u64 },
    #[error("the state database failed")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the state database was written by a newer flash (schema {found}, this one knows {known})")]
    Schema { found: i64, known: i64 },
    #[error("the state database holds a document that cannot be read")]
    Document(#[from] serde_json::Error),
    #[error("a background task failed")]
    Task(#[from] tokio::task::JoinError),
}

impl Error {
    pub fn retry(&self) -> Retry {
        match self {
            Self::Conflict { .. } => Retry::Backoff,
            Self::Sqlite(error) if is_busy(error) => Retry::Backoff,
            _ => Retry::Never,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
    )
}

/// The manifest last applied, and how many there were before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredManifest {
    pub generation: u64,
    pub manifest: Manifest,
}

/// Both implementations pass one test suite (`tests/it/store.rs`).
pub trait Store: Debug + Send + Sync {
    /// All records of the scope, read at one moment.
    fn snapshot<'a>(&'a self, scope: &'a Scope) -> Pending<'a, StateSnapshot>;

    /// Writes the record if the stored one still has version `expected` (0 = none is stored). Gives it back with its
    /// new version.
    fn put<'a>(
        &'a self,
        scope: &'a Scope,
        record: ResourceRecord,
        expected: u64,
    ) -> Pending<'a, ResourceRecord>;

    /// Removes the record if it still has version `expected`. Removing what is not there is success.
    fn remove<'a>(&'a self, scope: &'a Scope, resource: &'a ResourceName, expected: u64) -> Pending<'a, ()>;

    /// The id of the scope's first mothership; `candidate` becomes it if there was none.
    fn lineage<'a>(&'a self, scope: &'a Scope, candidate: MothershipId) -> Pending<'a, MothershipId>;

    /// Makes `manifest` the applied one. Its generation is one more than the last, or the same if nothing differs.
    fn put_manifest<'a>(&'a self, scope: &'a Scope, manifest: &'a Manifest) -> Pending<'a, StoredManifest>;

    fn manifest<'a>(&'a self, scope: &'a Scope) -> Pending<'a, Option<StoredManifest>>;
}
