//! A State Manager somewhere else, as a store. What a call may do twice, and what not, is said at [`StateManager`].

use std::sync::Arc;

use flash_client::{Error as ClientError, StateManager};
use flash_model::wire::StateRefusal;
use flash_model::{
    Generation, Happening, Lease, LeaseRefusal, LeaseRequest, LoggedEvent, Manifest, MothershipId,
    ResourceName, ResourceRecord, Scope, Secret, StateSnapshot,
};

use super::{Error, Pending, Pulse, Store, StoredManifest};

/// A cheap clone of a client.
#[derive(Debug, Clone)]
pub struct RemoteStore {
    client: StateManager,
}

impl RemoteStore {
    /// `url` is the base URL of a mothership or of `flash state serve`, whose token `token` is.
    pub fn new(url: impl Into<String>, token: Secret) -> Self {
        Self { client: StateManager::new(url, token) }
    }
}

impl Store for RemoteStore {
    fn scopes(&self) -> Pending<'_, Vec<Scope>> {
        Box::pin(async move { self.client.scopes().await.map_err(Error::remote) })
    }

    fn remove_scope<'a>(&'a self, scope: &'a Scope, fence: u64) -> Pending<'a, ()> {
        Box::pin(async move {
            let removed = self.client.remove_scope(scope, fence).await;
            removed.map_err(|error| match error.problem().and_then(|problem| problem.refusal.clone()) {
                Some(StateRefusal::NotEmpty { records }) => Error::NotEmpty { scope: scope.clone(), records },
                _ => Error::remote(error),
            })
        })
    }

    fn snapshot<'a>(&'a self, scope: &'a Scope) -> Pending<'a, StateSnapshot> {
        Box::pin(async move { self.client.snapshot(scope).await.map_err(Error::remote) })
    }

    fn put<'a>(
        &'a self,
        scope: &'a Scope,
        fence: u64,
        record: ResourceRecord,
        expected: u64,
    ) -> Pending<'a, ResourceRecord> {
        Box::pin(async move { self.client.put(scope, fence, &record, expected).await.map_err(Error::remote) })
    }

    fn remove<'a>(
        &'a self,
        scope: &'a Scope,
        fence: u64,
        resource: &'a ResourceName,
        expected: u64,
    ) -> Pending<'a, ()> {
        Box::pin(
            async move { self.client.remove(scope, fence, resource, expected).await.map_err(Error::remote) },
        )
    }

    fn lineage<'a>(&'a self, scope: &'a Scope, candidate: MothershipId) -> Pending<'a, MothershipId> {
        Box::pin(async move { self.client.lineage(scope, candidate).await.map_err(Error::remote) })
    }

    fn put_manifest<'a>(
        &'a self,
        scope: &'a Scope,
        fence: u64,
        manifest: &'a Arc<Manifest>,
        expected: Option<u64>,
    ) -> Pending<'a, StoredManifest> {
        Box::pin(async move {
            let put = self.client.put_manifest(scope, fence, manifest, expected);
            let generation = put.await.map_err(Error::remote)?;
            Ok(StoredManifest { generation, manifest: Arc::clone(manifest) })
        })
    }

    fn manifest<'a>(&'a self, scope: &'a Scope) -> Pending<'a, Option<StoredManifest>> {
        Box::pin(async move { stored(self.client.manifest(scope, None).await) })
    }

    fn generations<'a>(&'a self, scope: &'a Scope) -> Pending<'a, Vec<Generation>> {
        Box::pin(async move { self.client.generations(scope).await.map_err(Error::remote) })
    }

    fn generation<'a>(&'a self, scope: &'a Scope, number: u64) -> Pending<'a, Option<StoredManifest>> {
        Box::pin(async move { stored(self.client.manifest(scope, Some(number)).await) })
    }

    fn lease<'a>(&'a self, scope: &'a Scope, request: LeaseRequest) -> Pending<'a, Option<Lease>> {
        Box::pin(async move { self.client.lease(scope, request).await.map_err(Error::remote) })
    }

    fn pulse<'a>(&'a self, scope: &'a Scope) -> Pending<'a, Pulse> {
        Box::pin(async move {
            let pulse = self.client.pulse(scope).await.map_err(Error::remote)?;
            Ok(Pulse {
                serial: pulse.serial,
                lineage: pulse.lineage,
                lease: pulse.lease,
                now_ms: pulse.now_ms,
            })
        })
    }

    fn append<'a>(&'a self, scope: &'a Scope, happenings: Vec<Happening>) -> Pending<'a, ()> {
        Box::pin(async move { self.client.append(scope, happenings).await.map_err(Error::remote) })
    }

    fn events<'a>(&'a self, scope: &'a Scope, after: u64, limit: u32) -> Pending<'a, Vec<LoggedEvent>> {
        Box::pin(async move { self.client.events(scope, after, limit).await.map_err(Error::remote) })
    }
}

impl Error {
    /// A refusal of the store behind the State Manager, or trouble on the way there.
    fn remote(error: ClientError) -> Self {
        match error.problem().and_then(|problem| problem.refusal.clone()) {
            Some(StateRefusal::Conflict { resource, expected, actual }) => {
                Self::Conflict { resource, expected, actual }
            }
            Some(StateRefusal::Overtaken { expected, actual }) => Self::Overtaken { expected, actual },
            Some(StateRefusal::Fenced { fence, held_by }) => Self::Fenced { fence, held_by },
            Some(StateRefusal::Held { lease, remaining_ms }) => {
                LeaseRefusal::Held { lease, remaining_ms }.into()
            }
            Some(StateRefusal::Lost { fence }) => LeaseRefusal::Lost { fence }.into(),
            Some(StateRefusal::NotEmpty { .. }) | None => Self::Remote(Box::new(error)),
        }
    }
}

fn stored(
    fetched: Result<Option<(u64, Arc<Manifest>)>, ClientError>,
) -> Result<Option<StoredManifest>, Error> {
    let fetched = fetched.map_err(Error::remote)?;
    Ok(fetched.map(|(generation, manifest)| StoredManifest { generation, manifest }))
}
