//! Endpoints that exist in memory only, with failures on demand: for tests of whoever uses a provider.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flash_model::{
    Completeness, EndpointId, Inventory, ObservedEndpoint, ObservedPhase, ResourceName, Retry, Scope,
    sha256_hex,
};
use tokio::sync::watch;

use crate::Error;
use crate::provider::{EndpointRequest, Health, Mandate, Pending, Provider};

/// One call that changed the world, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    pub verb: &'static str,
    pub endpoint_id: EndpointId,
}

#[derive(Debug, Default)]
struct World {
    endpoints: BTreeMap<EndpointId, ObservedEndpoint>,
    writes: Vec<Write>,
    unhealthy: BTreeMap<ResourceName, String>,
    failing_creates: BTreeMap<ResourceName, Failing>,
    mandates: BTreeMap<Scope, Mandate>,
    refused: u64,
    unreachable: bool,
    inventories: u64,
}

#[derive(Debug)]
struct Failing {
    count: u32,
    after_effect: bool,
    retry: Retry,
}

#[derive(Debug)]
pub struct SimProvider {
    world: Mutex<World>,
    changes: watch::Sender<u64>,
}

impl Default for SimProvider {
    fn default() -> Self {
        Self { world: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

impl SimProvider {
    pub fn endpoints(&self) -> Vec<ObservedEndpoint> {
        self.world().endpoints.values().cloned().collect()
    }

    /// Every create, update, suspend and delete so far.
    pub fn writes(&self) -> Vec<Write> {
        self.world().writes.clone()
    }

    /// From now on endpoints of this resource answer `/ping` with an error.
    pub fn set_unhealthy(&self, resource: &ResourceName, reason: &str) {
        self.world().unhealthy.insert(resource.clone(), reason.to_owned());
    }

    /// The next `count` creates for this resource fail, before or after the endpoint was made.
    pub fn fail_creates(&self, resource: &ResourceName, count: u32, after_effect: bool) {
        let failing = Failing { count, after_effect, retry: Retry::Backoff };
        self.world().failing_creates.insert(resource.clone(), failing);
    }

    /// The next `count` creates for this resource fail with an error of this kind, and make nothing.
    pub fn fail_creates_with(&self, resource: &ResourceName, count: u32, retry: Retry) {
        self.world().failing_creates.insert(resource.clone(), Failing { count, after_effect: false, retry });
    }

    /// Writes refused because somebody with a later lease was here before.
    pub fn refused(&self) -> u64 {
        self.world().refused
    }

    /// Listing fails: everything is unknown.
    pub fn set_unreachable(&self, unreachable: bool) {
        self.world().unreachable = unreachable;
    }

    /// How often it was asked what exists.
    pub fn inventories(&self) -> u64 {
        self.world().inventories
    }

    /// The endpoint vanishes behind our back.
    pub fn lose(&self, endpoint_id: &EndpointId) {
        self.world().endpoints.remove(endpoint_id);
        self.changes.send_modify(|count| *count += 1);
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, request: &EndpointRequest, endpoint_id: EndpointId) -> Result<ObservedEndpoint, Error> {
        let endpoint = ObservedEndpoint {
            url: Some(format!("sim://{endpoint_id}")),
            owner: request.owner.clone(),
            idempotency_key: request.idempotency_key.clone(),
            config_hash: request.resource()?.config_hash.clone(),
            phase: ObservedPhase::Running,
            endpoint_id: endpoint_id.clone(),
        };
        self.world().endpoints.insert(endpoint_id, endpoint.clone());
        Ok(endpoint)
    }

    fn note(&self, verb: &'static str, endpoint_id: &EndpointId) {
        self.world().writes.push(Write { verb, endpoint_id: endpoint_id.clone() });
    }

    fn injected(&self, resource: &ResourceName, after_effect: bool) -> Result<(), Error> {
        let mut world = self.world();
        match world.failing_creates.get_mut(resource) {
            Some(failing) if failing.count > 0 && failing.after_effect == after_effect => {
                failing.count -= 1;
                Err(Error::Injected { message: format!("create of {resource} failed"), retry: failing.retry })
            }
            _ => Ok(()),
        }
    }

    /// The highest fence of the scope is kept, and lower ones are refused.
    fn admit(&self, scope: &Scope, mandate: &Mandate) -> Result<(), Error> {
        let mut world = self.world();
        let checked = mandate.check_after(world.mandates.get(scope));
        match checked {
            Ok(()) => drop(world.mandates.insert(scope.clone(), mandate.clone())),
            Err(_) => world.refused += 1,
        }
        checked
    }

    fn get(&self, endpoint_id: &EndpointId) -> Result<ObservedEndpoint, Error> {
        let found = self.world().endpoints.get(endpoint_id).cloned();
        found.ok_or_else(|| Error::NoEndpoint { endpoint_id: endpoint_id.clone() })
    }
}

impl Provider for SimProvider {
    fn name(&self) -> &'static str {
        "sim"
    }

    fn inventory<'a>(&'a self, scope: &'a Scope) -> Pending<'a, Inventory> {
        Box::pin(async move {
            let mut world = self.world();
            world.inventories += 1;
            if world.unreachable {
                return Ok(Inventory::unknown());
            }
            let endpoints = world.endpoints.values().filter(|endpoint| endpoint.owner.scope == *scope);
            Ok(Inventory { completeness: Completeness::Complete, endpoints: endpoints.cloned().collect() })
        })
    }

    fn create<'a>(&'a self, request: &'a EndpointRequest) -> Pending<'a, ObservedEndpoint> {
        Box::pin(async move {
            self.admit(&request.owner.scope, &request.mandate)?;
            self.injected(&request.owner.resource, false)?;
            let digest = sha256_hex(request.idempotency_key.as_str().as_bytes());
            let endpoint_id = EndpointId::new(&digest[..14])
                .unwrap_or_else(|_| unreachable!("hex digits are an endpoint id"));
            if self.get(&endpoint_id).is_err() {
                self.note("create", &endpoint_id);
            }
            let endpoint = self.put(request, endpoint_id)?;
            self.injected(&request.owner.resource, true)?;
            Ok(endpoint)
        })
    }

    fn update<'a>(
        &'a self,
        endpoint_id: &'a EndpointId,
        request: &'a EndpointRequest,
    ) -> Pending<'a, ObservedEndpoint> {
        Box::pin(async move {
            self.admit(&request.owner.scope, &request.mandate)?;
            self.get(endpoint_id)?;
            self.note("update", endpoint_id);
            self.put(request, endpoint_id.clone())
        })
    }

    fn adopt<'a>(
        &'a self,
        endpoint_id: &'a EndpointId,
        request: &'a EndpointRequest,
    ) -> Pending<'a, ObservedEndpoint> {
        Box::pin(async move {
            self.admit(&request.owner.scope, &request.mandate)?;
            self.get(endpoint_id)
        })
    }

    fn suspend<'a>(&'a self, endpoint_id: &'a EndpointId, mandate: &'a Mandate) -> Pending<'a, ()> {
        Box::pin(async move {
            let mut endpoint = self.get(endpoint_id)?;
            self.admit(&endpoint.owner.scope, mandate)?;
            endpoint.phase = ObservedPhase::Stopped;
            self.note("suspend", endpoint_id);
            self.world().endpoints.insert(endpoint_id.clone(), endpoint);
            Ok(())
        })
    }

    fn delete<'a>(&'a self, endpoint_id: &'a EndpointId, mandate: &'a Mandate) -> Pending<'a, ()> {
        Box::pin(async move {
            if let Ok(endpoint) = self.get(endpoint_id) {
                self.admit(&endpoint.owner.scope, mandate)?;
            }
            self.note("delete", endpoint_id);
            self.world().endpoints.remove(endpoint_id);
            Ok(())
        })
    }

    fn health<'a>(&'a self, endpoint: &'a ObservedEndpoint) -> Pending<'a, Health> {
        Box::pin(async move {
            let reason = self.world().unhealthy.get(&endpoint.owner.resource).cloned();
            Ok(reason.map_or(Health::Ready, |reason| Health::Unhealthy { reason }))
        })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
