//! Endpoints that exist in memory only, with failures on demand: for tests of whoever uses a provider.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flash_model::{
    Completeness, EndpointId, Existence, Health, Inventory, ObservedEndpoint, ObservedPhase, ResourceName,
    ResourceSpec, Retry, Scope, VolumeSpec, sha256_hex,
};
use tokio::sync::watch;

use crate::Error;
use crate::provider::{EndpointRequest, Limits, Mandate, Pending, Provider};

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
    volumes: BTreeSet<String>,
    silent: BTreeSet<ResourceName>,
    refused: u64,
    unreachable: bool,
    calls: BTreeMap<&'static str, u64>,
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
    latency: Duration,
    changes: watch::Sender<u64>,
}

impl Default for SimProvider {
    fn default() -> Self {
        Self::with_latency(Duration::ZERO)
    }
}

impl SimProvider {
    /// Every call takes this long.
    pub fn with_latency(latency: Duration) -> Self {
        Self { world: Mutex::default(), latency, changes: watch::Sender::new(0) }
    }

    /// How often each verb was called, whatever came of it.
    pub fn calls(&self) -> BTreeMap<&'static str, u64> {
        self.world().calls.clone()
    }

    /// Somebody else changes what an endpoint is.
    pub fn tamper(&self, endpoint_id: &EndpointId, change: impl FnOnce(&mut ResourceSpec)) {
        if let Some(spec) =
            self.world().endpoints.get_mut(endpoint_id).and_then(|endpoint| endpoint.spec.as_mut())
        {
            change(Arc::make_mut(spec));
        }
        self.changes.send_modify(|count| *count += 1);
    }

    /// Something happened, says the provider.
    pub fn nudge(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Endpoints of this resource do not answer at all.
    pub fn set_silent(&self, resource: &ResourceName, silent: bool) {
        let mut world = self.world();
        if silent {
            world.silent.insert(resource.clone());
        } else {
            world.silent.remove(resource);
        }
    }

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
        self.world().calls.get("inventory").copied().unwrap_or(0)
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
            spec: Some(Arc::clone(&request.resource()?.spec)),
            mothership_url: None,
        };
        self.world().endpoints.insert(endpoint_id, endpoint.clone());
        Ok(endpoint)
    }

    async fn called(&self, verb: &'static str) {
        *self.world().calls.entry(verb).or_default() += 1;
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
    }

    fn listed(&self, wanted: impl Fn(&ObservedEndpoint) -> bool) -> Inventory {
        let world = self.world();
        if world.unreachable {
            return Inventory::unknown();
        }
        let endpoints = world.endpoints.values().filter(|endpoint| wanted(endpoint)).cloned().collect();
        Inventory { completeness: Completeness::Complete, endpoints }
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

    fn missing_volume(&self, request: &EndpointRequest) -> Result<Option<String>, Error> {
        let world = self.world();
        let names = request.resource()?.spec.volumes.iter().filter_map(|volume| volume.name.clone());
        Ok({ names }.find(|name| !world.volumes.contains(name)))
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

    fn limits(&self) -> Limits {
        Limits {
            parallel_calls_max: 64,
            calls_per_second_max: None,
            call_timeout: Duration::from_secs(30),
            health_period: Duration::from_secs(2),
        }
    }

    fn inventory<'a>(&'a self, scope: &'a Scope) -> Pending<'a, Inventory> {
        Box::pin(async move {
            self.called("inventory").await;
            Ok(self.listed(|endpoint| endpoint.owner.scope == *scope))
        })
    }

    fn inventory_of_all(&self) -> Pending<'_, Inventory> {
        Box::pin(async move {
            self.called("inventory").await;
            Ok(self.listed(|_| true))
        })
    }

    fn find<'a>(&'a self, endpoint_id: &'a EndpointId) -> Pending<'a, Existence> {
        Box::pin(async move {
            self.called("find").await;
            if self.world().unreachable {
                return Ok(Existence::Unknown);
            }
            Ok(match self.get(endpoint_id) {
                Ok(endpoint) => Existence::Present(Box::new(endpoint)),
                Err(_) => Existence::Absent,
            })
        })
    }

    fn ensure_volume<'a>(&'a self, _: &'a Scope, volume: &'a VolumeSpec) -> Pending<'a, ()> {
        Box::pin(async move {
            self.called("volume").await;
            let name = volume.name.clone().or_else(|| volume.id.clone()).unwrap_or_default();
            self.world().volumes.insert(name);
            Ok(())
        })
    }

    fn create<'a>(&'a self, request: &'a EndpointRequest) -> Pending<'a, ObservedEndpoint> {
        Box::pin(async move {
            self.called("create").await;
            self.admit(&request.owner.scope, &request.mandate)?;
            self.injected(&request.owner.resource, false)?;
            if let Some(missing) = self.missing_volume(request)? {
                let message = format!("volume {missing} was never made");
                return Err(Error::Injected { message, retry: Retry::Never });
            }
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
            self.called("update").await;
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
            self.called("adopt").await;
            self.admit(&request.owner.scope, &request.mandate)?;
            self.get(endpoint_id)
        })
    }

    fn suspend<'a>(&'a self, endpoint_id: &'a EndpointId, mandate: &'a Mandate) -> Pending<'a, ()> {
        Box::pin(async move {
            self.called("suspend").await;
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
            self.called("delete").await;
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
            self.called("health").await;
            if self.world().silent.contains(&endpoint.owner.resource) {
                return Ok(Health::Unreachable { reason: "no answer".to_owned() });
            }
            let reason = self.world().unhealthy.get(&endpoint.owner.resource).cloned();
            Ok(reason.map_or(Health::Ready, |reason| Health::Unhealthy { reason }))
        })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
