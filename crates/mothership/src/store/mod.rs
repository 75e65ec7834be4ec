//! What survives a mothership, per app+environment: one record per resource, changed by compare-and-swap; every applied
//! manifest; who may write; and a log of what happened.
//!
//! Whoever writes names the fence of its lease (`flash_model::lease`), and a write under a lease that has ended is
//! refused. So is nobody who only reads.

mod clock;
mod error;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
mod remote;
mod sqlite;

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use flash_model::{
    AppName, EnvironmentName, Generation, Happening, InvalidName, Lease, LeaseRequest, LeaseState,
    LoggedEvent, Manifest, MothershipId, ResourceName, ResourceRecord, Scope, StateSnapshot,
};

pub use clock::{Clock, ManualClock, SystemClock};
pub use error::Error;
pub use memory::MemoryStore;
#[cfg(feature = "postgres")]
pub use postgres::PostgresStore;
pub use remote::RemoteStore;
pub use sqlite::{Restored, SqliteStore};

/// A boxed future, so that stores can be used as `dyn Store`.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Events read at once.
pub const EVENTS_READ_MAX: u32 = 1_000;

/// An applied manifest, and how many there were up to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredManifest {
    pub generation: u64,
    pub manifest: Arc<Manifest>,
}

/// What a mothership that does not lead looks at again and again. Cheap to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulse {
    /// As in [`StateSnapshot`]; so is the next one.
    pub serial: u64,
    pub lineage: Option<MothershipId>,
    /// The last lease, which may have expired.
    pub lease: Option<Lease>,
    /// The store's clock, milliseconds since the Unix epoch.
    pub now_ms: u64,
}

impl Pulse {
    /// Whether nobody holds an unexpired lease.
    pub fn is_vacant(&self) -> bool {
        self.lease.as_ref().is_none_or(|lease| lease.is_expired(self.now_ms))
    }
}

/// All implementations pass one test suite (`tests/it/store.rs`).
///
/// Each call is one transaction. What a call has answered survives the loss of the process, and of power where the
/// implementation says so. A call whose answer was lost (its future dropped, its connection broken) may have been
/// carried out or not; compare-and-swap makes the difference visible.
pub trait Store: Debug + Send + Sync {
    /// Every scope that holds anything, sorted.
    fn scopes(&self) -> Pending<'_, Vec<Scope>>;

    /// Forgets everything of a scope that has no records any more: its history, log, lineage and lease. One that comes
    /// back has a new lineage and higher fences.
    fn remove_scope<'a>(&'a self, scope: &'a Scope, fence: u64) -> Pending<'a, ()>;

    /// All records of the scope, read at one moment.
    fn snapshot<'a>(&'a self, scope: &'a Scope) -> Pending<'a, StateSnapshot>;

    /// Writes the record if the stored one still has version `expected` (0 = none is stored). Gives it back with its
    /// new version: the scope's new serial, so that no version comes a second time, not even after a removal.
    fn put<'a>(
        &'a self,
        scope: &'a Scope,
        fence: u64,
        record: ResourceRecord,
        expected: u64,
    ) -> Pending<'a, ResourceRecord>;

    /// Removes the record if it still has version `expected`. Removing what is not there is success.
    fn remove<'a>(
        &'a self,
        scope: &'a Scope,
        fence: u64,
        resource: &'a ResourceName,
        expected: u64,
    ) -> Pending<'a, ()>;

    /// The id of the scope's first mothership; `candidate` becomes it if there was none. Needs no lease, as it only
    /// ever happens once.
    fn lineage<'a>(&'a self, scope: &'a Scope, candidate: MothershipId) -> Pending<'a, MothershipId>;

    /// Makes `manifest` the applied one. Its generation is one more than the last, or the same if nothing differs.
    /// Earlier ones stay readable, `GENERATIONS_MAX` in all. `expected` is the generation before it as far as the caller
    /// knows (0 = none), so that a request that was held up on its way brings nothing back that was replaced since.
    fn put_manifest<'a>(
        &'a self,
        scope: &'a Scope,
        fence: u64,
        manifest: &'a Arc<Manifest>,
        expected: Option<u64>,
    ) -> Pending<'a, StoredManifest>;

    /// The applied manifest.
    fn manifest<'a>(&'a self, scope: &'a Scope) -> Pending<'a, Option<StoredManifest>>;

    /// The history of applied manifests, the newest first.
    fn generations<'a>(&'a self, scope: &'a Scope) -> Pending<'a, Vec<Generation>>;

    /// One of them. None if it never was, or is too old.
    fn generation<'a>(&'a self, scope: &'a Scope, number: u64) -> Pending<'a, Option<StoredManifest>>;

    /// Decides a request by the protocol of `flash_model::lease` and the store's clock. Gives back the lease as it is
    /// then; a refusal is [`Error::Lease`].
    fn lease<'a>(&'a self, scope: &'a Scope, request: LeaseRequest) -> Pending<'a, Option<Lease>>;

    fn pulse<'a>(&'a self, scope: &'a Scope) -> Pending<'a, Pulse>;

    /// Adds to the log, in this order. Needs no lease: that one was lost is news too.
    fn append<'a>(&'a self, scope: &'a Scope, happenings: Vec<Happening>) -> Pending<'a, ()>;

    /// Events with a sequence above `after`, oldest first, `limit` or [`EVENTS_READ_MAX`] at most.
    fn events<'a>(&'a self, scope: &'a Scope, after: u64, limit: u32) -> Pending<'a, Vec<LoggedEvent>>;
}

/// The lease a write belongs to, if it may be carried out.
fn admit(state: &LeaseState, fence: u64, now_ms: u64) -> Result<&Lease, Error> {
    let held_by = || {
        state.lease.clone().filter(|lease| lease.fence != fence && !lease.is_expired(now_ms)).map(Box::new)
    };
    state.admits(fence, now_ms).ok_or_else(|| Error::Fenced { fence, held_by: held_by() })
}

fn check_version(resource: &ResourceName, expected: u64, actual: u64) -> Result<(), Error> {
    if actual == expected {
        Ok(())
    } else {
        Err(Error::Conflict { resource: resource.clone(), expected, actual })
    }
}

/// Names as a database gives them back. Only ours are in there, unless somebody else wrote.
fn stored_scope(app: String, environment: String) -> Result<Scope, Error> {
    let name = |invalid: InvalidName| serde::de::Error::custom(invalid);
    let app = AppName::new(app).map_err(name).map_err(Error::Document)?;
    let environment = EnvironmentName::new(environment).map_err(name).map_err(Error::Document)?;
    Ok(Scope { app, environment })
}

fn check_generation(expected: Option<u64>, actual: u64) -> Result<(), Error> {
    match expected {
        Some(expected) if expected != actual => Err(Error::Overtaken { expected, actual }),
        _ => Ok(()),
    }
}

fn manifest_hash(manifest: &Manifest) -> Result<String, Error> {
    Ok(manifest.digest()?)
}

/// The databases' integers are signed; ours count from zero and never come near the limit.
fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn natural(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
