//! The one way state is written: stored under our lease's fence and by compare-and-swap first, then served.

use std::collections::BTreeSet;
use std::sync::Arc;

use flash_model::{
    EndpointId, EventKind, Inventory, Manifest, ObservedPhase, ResourceName, ResourceRecord, ResourceStatus,
    Scope, StateSnapshot,
};
use tokio::sync::broadcast;

use super::{Event, Ledger};
use crate::discovery::Discovery;
use crate::leadership::{Journal, Term};
use crate::store::{self, Clock, Store, StoredManifest};

#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) scope: Scope,
    pub(crate) discovery: Discovery,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) journal: Journal,
    pub(crate) term: Term,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ledger: Ledger,
}

impl Recorder {
    /// What is stored now, and whether it had to be read: then it may be news, as an answer to one of our own writes may
    /// have been lost.
    pub(super) async fn snapshot(&self) -> Result<(Arc<StateSnapshot>, bool), store::Error> {
        let pulse = self.store.pulse(&self.scope).await?;
        match self.ledger.at(pulse.serial) {
            Some(known) => Ok((known, false)),
            None => Ok((self.ledger.keep(self.store.snapshot(&self.scope).await?), true)),
        }
    }

    /// The record as it was last read or written.
    pub(super) fn record(&self, resource: &ResourceName) -> Option<ResourceRecord> {
        self.ledger.record(resource)
    }

    /// Stores `record` over the version it carries, and serves it. Gives it back with its new version.
    pub(super) async fn write(&self, mut record: ResourceRecord) -> Result<ResourceRecord, store::Error> {
        record.updated_at_ms = self.clock.now_ms();
        let before = self.record(&record.resource);
        if before.is_none_or(|before| before.status != record.status) {
            record.status_since_ms = record.updated_at_ms;
        }
        let expected = record.version;
        let written = self.store.put(&self.scope, self.term.fence(), record, expected).await;
        let record = self.heed(written)?;
        self.ledger.wrote(&record);
        if self.discovery.set_record(&record) {
            let reason = record.status_reason.as_deref().map(|reason| format!(": {reason}"));
            let why = format!("{}{}", record.status, reason.unwrap_or_default());
            self.journal.note(EventKind::StatusChanged, Some(&record.resource), why);
            self.tell(Event::Status {
                resource: record.resource.clone(),
                status: record.status,
                reason: record.status_reason.clone(),
            });
        }
        Ok(record)
    }

    pub(super) async fn remove(&self, resource: &ResourceName, version: u64) -> Result<(), store::Error> {
        self.heed(self.store.remove(&self.scope, self.term.fence(), resource, version).await)?;
        self.ledger.removed(resource);
        self.discovery.remove_record(resource);
        Ok(())
    }

    /// Makes the manifest the applied one, and serves it. Gives back its generation.
    pub(super) async fn apply_manifest(&self, manifest: &Arc<Manifest>) -> Result<u64, store::Error> {
        let before = self.store.generations(&self.scope).await?.first().map_or(0, |last| last.number);
        let written = self.store.put_manifest(&self.scope, self.term.fence(), manifest, Some(before)).await;
        let StoredManifest { generation, .. } = self.heed(written)?;
        self.discovery.set_manifest(Arc::clone(manifest), generation);
        if before != generation {
            self.ledger.doubt();
            self.journal.note(EventKind::GenerationApplied, None, format!("generation {generation}"));
        }
        Ok(generation)
    }

    /// Serves what is stored, as far as it still holds: a record may say that an endpoint is ready whose process ended
    /// while nobody looked.
    pub(super) fn serve(&self, inventory: Option<&Inventory>) {
        let endpoints = inventory.into_iter().flat_map(|inventory| &inventory.endpoints);
        let stopped: BTreeSet<&EndpointId> = endpoints
            .filter(|endpoint| matches!(endpoint.phase, ObservedPhase::Stopped | ObservedPhase::Draining))
            .map(|endpoint| &endpoint.endpoint_id)
            .collect();
        // As it is known now: a listing may take long, and steps and checks go on meanwhile.
        let mut records = self.ledger.records();
        for record in records.values_mut().filter(|record| record.serves()) {
            if record.endpoint_id.as_ref().is_some_and(|id| stopped.contains(id)) {
                record.status = ResourceStatus::Provisioning;
            }
        }
        self.discovery.replace(None, &records);
    }

    /// Nobody listening is no error.
    pub(crate) fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }

    /// A write that was refused for its fence says that somebody else leads; one that failed may have been carried out.
    fn heed<T>(&self, written: Result<T, store::Error>) -> Result<T, store::Error> {
        if let Err(error) = &written {
            self.ledger.doubt();
            if error.is_fenced() {
                self.term.lose();
            }
        }
        written
    }
}
