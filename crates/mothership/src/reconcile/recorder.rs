//! The one way state is written: stored under our lease's fence and by compare-and-swap first, then served.

use std::sync::Arc;

use flash_model::{EventKind, Manifest, ResourceName, ResourceRecord, Scope};
use tokio::sync::broadcast;

use super::Event;
use crate::discovery::Discovery;
use crate::leadership::{Journal, Term};
use crate::store::{self, Clock, Store};

#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) scope: Scope,
    pub(crate) discovery: Discovery,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) journal: Journal,
    pub(crate) term: Term,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Recorder {
    /// Stores `record` over the version it carries, and serves it. Gives it back with its new version.
    pub(crate) async fn write(&self, mut record: ResourceRecord) -> Result<ResourceRecord, store::Error> {
        record.updated_at_ms = self.clock.now_ms();
        let expected = record.version;
        let written = self.store.put(&self.scope, self.term.fence(), record, expected).await;
        let record = self.heed(written)?;
        if self.serve(&record) {
            let reason = record.status_reason.as_deref().map(|reason| format!(": {reason}"));
            let why = format!("{}{}", record.status, reason.unwrap_or_default());
            self.journal.note(EventKind::StatusChanged, Some(&record.resource), why);
        }
        Ok(record)
    }

    /// Serves a record as it is stored already. True if its status is news.
    pub(crate) fn serve(&self, record: &ResourceRecord) -> bool {
        let before = self.discovery.current();
        let before = before.manifest.resources.get(&record.resource).map(|resource| &resource.provisioned);
        let changed = before.is_none_or(|before| {
            before.status != Some(record.status) || before.status_reason != record.status_reason
        });
        self.discovery.set_record(record);
        if changed {
            self.tell(Event::Status {
                resource: record.resource.clone(),
                status: record.status,
                reason: record.status_reason.clone(),
            });
        }
        changed
    }

    pub(crate) async fn remove(&self, resource: &ResourceName, version: u64) -> Result<(), store::Error> {
        self.heed(self.store.remove(&self.scope, self.term.fence(), resource, version).await)?;
        self.discovery.remove_record(resource);
        Ok(())
    }

    /// Makes the manifest the applied one, and serves it.
    pub(crate) async fn apply_manifest(&self, manifest: &Manifest) -> Result<(), store::Error> {
        let before = self.store.generations(&self.scope).await?.first().map(|last| last.number);
        let stored = self.heed(self.store.put_manifest(&self.scope, self.term.fence(), manifest).await)?;
        self.discovery.set_manifest(&stored);
        if before != Some(stored.generation) {
            let why = format!("generation {}", stored.generation);
            self.journal.note(EventKind::GenerationApplied, None, why);
        }
        Ok(())
    }

    /// Nobody listening is no error.
    pub(crate) fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }

    /// A write that was refused for its fence says that somebody else leads.
    fn heed<T>(&self, written: Result<T, store::Error>) -> Result<T, store::Error> {
        if written.as_ref().is_err_and(store::Error::is_fenced) {
            self.term.lose();
        }
        written
    }
}
