//! The one way a record is written: stored by compare-and-swap first, then served.

use std::time::{SystemTime, UNIX_EPOCH};

use flash_model::{ResourceName, ResourceRecord, Scope};
use std::sync::Arc;
use tokio::sync::broadcast;

use super::Event;
use crate::discovery::Discovery;
use crate::store::{self, Store};

#[derive(Debug, Clone)]
pub(crate) struct Recorder {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) scope: Scope,
    pub(crate) discovery: Discovery,
    pub(crate) events: broadcast::Sender<Event>,
}

impl Recorder {
    /// Stores `record` over the version it carries, and serves it. Gives it back with its new version.
    pub(crate) async fn write(&self, mut record: ResourceRecord) -> Result<ResourceRecord, store::Error> {
        record.updated_at_ms = now_ms();
        let expected = record.version;
        let record = self.store.put(&self.scope, record, expected).await?;
        self.serve(&record);
        Ok(record)
    }

    /// Serves a record as it is stored already.
    pub(crate) fn serve(&self, record: &ResourceRecord) {
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
    }

    pub(crate) async fn remove(&self, resource: &ResourceName, version: u64) -> Result<(), store::Error> {
        self.store.remove(&self.scope, resource, version).await?;
        self.discovery.remove_record(resource);
        Ok(())
    }

    /// Nobody listening is no error.
    pub(crate) fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }
}

pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
