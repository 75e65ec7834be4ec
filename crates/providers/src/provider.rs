//! The trait that every world implements.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use flash_model::{
    EndpointId, Existence, Health, IdempotencyKey, Inventory, Manifest, MothershipId, ObservedEndpoint,
    Owner, Resource, Scope, Secret, VolumeSpec,
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::Error;

/// A boxed future, so that providers can be used as `dyn Provider`.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// On whose authority the world is changed: the lease under which the caller acts. A provider remembers the highest
/// fence it has acted for and refuses lower ones, so that a mothership that lost its lease without noticing changes
/// nothing. Fences of different lineages are not comparable: a state that was made anew starts counting anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mandate {
    pub mothership_id: MothershipId,
    pub fence: u64,
}

impl Mandate {
    /// Refused if somebody with a later lease of the same lineage was here.
    pub(crate) fn check_after(&self, seen: Option<&Self>) -> Result<(), Error> {
        match seen {
            Some(seen) if seen.mothership_id == self.mothership_id && seen.fence > self.fence => {
                Err(Error::Fenced { fence: self.fence, seen: seen.fence })
            }
            _ => Ok(()),
        }
    }
}

/// Everything needed to make or change one endpoint.
#[derive(Debug, Clone)]
pub struct EndpointRequest {
    pub owner: Owner,
    pub idempotency_key: IdempotencyKey,
    /// The manifest with this one resource.
    pub manifest: Manifest,
    /// Values of the variables that the resource's `env` names.
    pub environment: BTreeMap<String, Secret>,
    pub mandate: Mandate,
    pub mothership_url: String,
    /// Token of the app+environment, by which its endpoints trust each other.
    pub token: Secret,
}

impl EndpointRequest {
    pub fn resource(&self) -> Result<&Resource, Error> {
        self.manifest
            .resources
            .get(&self.owner.resource)
            .ok_or_else(|| Error::NoResource(self.owner.resource.clone()))
    }
}

/// How hard a provider may be driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls under way at the same time.
    pub parallel_calls_max: usize,
    /// None where calls are not counted.
    pub calls_per_second_max: Option<u32>,
    /// A call that has not answered by then counts as failed; its effect may still come.
    pub call_timeout: Duration,
    /// Between two health checks of an endpoint that serves.
    pub health_period: Duration,
}

pub trait Provider: Debug + Send + Sync {
    /// Short name, recorded with every endpoint: `local`.
    fn name(&self) -> &'static str;

    /// Which of its endpoints it can see, if not all that providers of its kind have: those of one machine.
    fn place(&self) -> Option<String> {
        None
    }

    fn limits(&self) -> Limits;

    /// Everything that carries the tag of `scope`.
    fn inventory<'a>(&'a self, scope: &'a Scope) -> Pending<'a, Inventory>;

    /// Everything that carries a tag of ours, of whatever app and environment.
    fn inventory_of_all(&self) -> Pending<'_, Inventory>;

    /// Whether this endpoint exists. Listings may lag behind what was done; this does not.
    fn find<'a>(&'a self, endpoint_id: &'a EndpointId) -> Pending<'a, Existence>;

    /// Makes sure that a volume exists before an endpoint is made that mounts it. Idempotent by the volume's name.
    fn ensure_volume<'a>(&'a self, scope: &'a Scope, volume: &'a VolumeSpec) -> Pending<'a, ()>;

    /// Makes an endpoint and returns once it has an address. Idempotent by the request's key: if that endpoint exists
    /// it is returned, started if it was stopped.
    fn create<'a>(&'a self, request: &'a EndpointRequest) -> Pending<'a, ObservedEndpoint>;

    /// Brings an existing endpoint to the request's specification in place; it may be down for a moment.
    fn update<'a>(
        &'a self,
        endpoint_id: &'a EndpointId,
        request: &'a EndpointRequest,
    ) -> Pending<'a, ObservedEndpoint>;

    /// Tells a running endpoint who its mothership is now. Restarts and redeploys nothing.
    fn adopt<'a>(
        &'a self,
        endpoint_id: &'a EndpointId,
        request: &'a EndpointRequest,
    ) -> Pending<'a, ObservedEndpoint>;

    /// Stops what runs, within seconds, and keeps the endpoint, its id and its queue.
    fn suspend<'a>(&'a self, endpoint_id: &'a EndpointId, mandate: &'a Mandate) -> Pending<'a, ()>;

    /// Removes the endpoint for good: from here on it takes nothing new, and is gone when it has finished what it has in hand.
    /// Until then it is listed as draining. Removing what does not exist is success.
    fn delete<'a>(&'a self, endpoint_id: &'a EndpointId, mandate: &'a Mandate) -> Pending<'a, ()>;

    fn health<'a>(&'a self, endpoint: &'a ObservedEndpoint) -> Pending<'a, Health>;

    /// Changes value whenever the provider saw something happen by itself (an endpoint's process ended).
    fn changes(&self) -> watch::Receiver<u64>;
}
