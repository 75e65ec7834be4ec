//! The truth about endpoints: which exist, who asked for them, how they are. What a provider would know, and more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flash_model::*;
use flash_providers::{EndpointRequest, Mandate};

/// Endpoints that are never healthy ask for this many workers.
pub(super) const POISONED_WORKERS: u32 = 99;

/// Moments kept for listings that lag.
const PAST_MAX: usize = 64;

#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    pub(super) observed: ObservedEndpoint,
    pub(super) ready_at_ms: u64,
    pub(super) sick_until_ms: u64,
    /// It was asked for its health and said that it is ready: ever, and since it was last changed on purpose.
    pub(super) was_ready: bool,
    pub(super) is_proven: bool,
    /// When somebody or something other than us last changed it or kept it from answering.
    pub(super) disturbed_ms: Option<u64>,
    /// When somebody last changed its specification.
    pub(super) tampered_ms: Option<u64>,
    /// When it was last brought to a specification.
    pub(super) brought_ms: u64,
    /// Made by a request that came when nobody waited for it any more.
    pub(super) is_late: bool,
    /// Under which keys it was asked for.
    pub(super) keys: BTreeSet<IdempotencyKey>,
}

impl Endpoint {
    pub(super) fn id(&self) -> &EndpointId {
        &self.observed.endpoint_id
    }

    pub(super) fn resource(&self) -> &ResourceName {
        &self.observed.owner.resource
    }

    fn spec(&self) -> Option<&ResourceSpec> {
        self.observed.spec.as_deref()
    }

    pub(super) fn health(&self, now_ms: u64) -> Health {
        let is_poisoned = self.spec().is_some_and(|spec| spec.workers_max == POISONED_WORKERS);
        if self.observed.phase != ObservedPhase::Running {
            Health::Unreachable { reason: "connection refused".into() }
        } else if is_poisoned {
            Health::Unhealthy { reason: "ImportError: no module named numpy".into() }
        } else if now_ms < self.ready_at_ms {
            Health::Starting
        } else if now_ms < self.sick_until_ms {
            Health::Unreachable { reason: "no answer".into() }
        } else {
            Health::Ready
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) endpoints: BTreeMap<EndpointId, Endpoint>,
    /// What became of each endpoint, for listings that lag: when, and what could be seen from then on.
    past: BTreeMap<EndpointId, Vec<(u64, Option<ObservedEndpoint>)>>,
    /// What was deleted and still finishes what it has in hand, and until when. Deleted is deleted: nothing counts it any more.
    draining: BTreeMap<EndpointId, (ObservedEndpoint, u64)>,
    /// What somebody deleted.
    pub(super) lost: BTreeSet<EndpointId>,
    /// Those that somebody deleted after they had been ready: what they took the place of may be given up.
    pub(super) lost_ready: BTreeSet<EndpointId>,
    pub(super) volumes: BTreeSet<String>,
    pub(super) mandate: Option<Mandate>,
    /// Creates, updates, suspensions and deletions that changed something.
    pub(super) writes: u64,
}

impl World {
    pub(super) fn of_scope<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = &'a Endpoint> {
        self.endpoints.values().filter(move |endpoint| endpoint.observed.owner.scope == *scope)
    }

    pub(super) fn of_resource<'a>(
        &'a self,
        scope: &'a Scope,
        resource: &'a ResourceName,
    ) -> impl Iterator<Item = &'a Endpoint> {
        self.of_scope(scope).filter(move |endpoint| endpoint.resource() == resource)
    }

    /// Whether there ever was such an endpoint.
    pub(super) fn existed(&self, id: &EndpointId) -> bool {
        self.past.contains_key(id)
    }

    /// What existed at that moment.
    pub(super) fn listed(&self, scope: Option<&Scope>, at_ms: u64) -> Vec<ObservedEndpoint> {
        let then = |past: &Vec<(u64, Option<ObservedEndpoint>)>| {
            past.iter().rev().find(|(since_ms, _)| *since_ms <= at_ms)?.1.clone()
        };
        let ours = |endpoint: &ObservedEndpoint| scope.is_none_or(|scope| endpoint.owner.scope == *scope);
        self.past.values().filter_map(then).filter(ours).collect()
    }

    /// Changes an endpoint, and remembers since when it is so.
    pub(super) fn change(&mut self, id: &EndpointId, now_ms: u64, change: impl FnOnce(&mut Endpoint)) {
        if let Some(endpoint) = self.endpoints.get_mut(id) {
            change(endpoint);
            let seen = endpoint.observed.clone();
            self.remember(id, now_ms, Some(seen));
        }
    }

    pub(super) fn remove(&mut self, id: &EndpointId, now_ms: u64) {
        if self.endpoints.remove(id).is_some() {
            self.remember(id, now_ms, None);
        }
    }

    /// Removes an endpoint that is seen to drain until then.
    pub(super) fn drain(&mut self, id: &EndpointId, now_ms: u64, until_ms: u64) {
        if let Some(endpoint) = self.endpoints.remove(id) {
            let observed = ObservedEndpoint { phase: ObservedPhase::Draining, ..endpoint.observed };
            self.remember(id, now_ms, Some(observed.clone()));
            self.remember(id, until_ms, None);
            self.draining.insert(id.clone(), (observed, until_ms));
        }
    }

    pub(super) fn draining(&self, id: &EndpointId, now_ms: u64) -> Option<&ObservedEndpoint> {
        let (observed, until_ms) = self.draining.get(id)?;
        (now_ms < *until_ms).then_some(observed)
    }

    /// It is told to end at once.
    pub(super) fn cut_off(&mut self, id: &EndpointId, now_ms: u64) {
        if self.draining.remove(id).is_some() {
            self.remember(id, now_ms, None);
        }
    }

    /// Somebody deletes it behind our back.
    pub(super) fn lose(&mut self, id: EndpointId, now_ms: u64) {
        if self.endpoints.get(&id).is_some_and(|endpoint| endpoint.was_ready) {
            self.lost_ready.insert(id.clone());
        }
        self.remove(&id, now_ms);
        self.lost.insert(id);
    }

    pub(super) fn add(&mut self, endpoint: Endpoint, now_ms: u64) {
        let (id, seen) = (endpoint.id().clone(), endpoint.observed.clone());
        self.lost.remove(&id);
        self.endpoints.insert(id.clone(), endpoint);
        self.remember(&id, now_ms, Some(seen));
    }

    /// Endpoints that are none of our business: of another environment, with the names of ours.
    pub(super) fn add_strangers(&mut self, scope: &Scope) {
        let environment = EnvironmentName::new("production").unwrap();
        for resource in ["api", "batch"] {
            let resource = ResourceName::new(resource).unwrap();
            let id = EndpointId::new(format!("stranger-{resource}")).unwrap();
            let owner =
                Owner { scope: Scope { environment: environment.clone(), ..scope.clone() }, resource };
            let observed = ObservedEndpoint {
                endpoint_id: id,
                owner,
                idempotency_key: IdempotencyKey::new("strange").unwrap(),
                config_hash: "0123456789".into(),
                phase: ObservedPhase::Running,
                url: Some("sim://stranger".into()),
                spec: None,
                mothership_url: None,
            };
            let endpoint = Endpoint {
                observed,
                ready_at_ms: 0,
                sick_until_ms: 0,
                was_ready: false,
                is_proven: false,
                disturbed_ms: None,
                tampered_ms: None,
                brought_ms: 0,
                is_late: false,
                keys: BTreeSet::new(),
            };
            self.add(endpoint, 0);
        }
    }

    fn remember(&mut self, id: &EndpointId, now_ms: u64, seen: Option<ObservedEndpoint>) {
        let past = self.past.entry(id.clone()).or_default();
        past.push((now_ms, seen));
        if past.len() > PAST_MAX {
            past.remove(0);
        }
    }
}

/// Two requests with one key mean one endpoint.
pub(super) fn endpoint_id(scope: &Scope, key: &IdempotencyKey) -> EndpointId {
    let digest = sha256_hex(format!("{scope}\n{key}").as_bytes());
    EndpointId::new(&digest[..14]).unwrap()
}

/// What a provider shows of an endpoint that is as `request` wants it.
pub(super) fn as_requested(request: &EndpointRequest, id: &EndpointId) -> ObservedEndpoint {
    let resource = request.resource().unwrap();
    ObservedEndpoint {
        endpoint_id: id.clone(),
        owner: request.owner.clone(),
        idempotency_key: request.idempotency_key.clone(),
        config_hash: resource.config_hash.clone(),
        phase: ObservedPhase::Running,
        url: Some(format!("sim://{id}")),
        spec: Some(Arc::clone(&resource.spec)),
        mothership_url: Some(request.mothership_url.clone()),
    }
}
