//! The provider as one mothership sees it: the world, behind the network. Idempotent by key, and refuses the mandates of
//! earlier leases, as every provider must.

use flash_model::*;
use flash_providers::{EndpointRequest, Error, Limits, Mandate, Pending, Provider};
use std::time::Duration;
use tokio::sync::watch;

use super::faults::{PROVIDER_TIMEOUT_MS, Service, Trouble};
use super::network::{Arrival, Line};
use super::realm::{Mutation, Realm};
use super::scenario::Setting;
use super::world::{Endpoint, as_requested, endpoint_id};

#[derive(Debug)]
pub(super) struct SimulatedProvider {
    line: Line,
    limits: Limits,
    changes: watch::Receiver<u64>,
}

impl SimulatedProvider {
    pub(super) fn new(line: Line, setting: &Setting, changes: watch::Receiver<u64>) -> Self {
        let limits = Limits {
            parallel_calls_max: setting.parallel_calls_max,
            calls_per_second_max: setting.calls_per_second_max,
            call_timeout: Duration::from_millis(PROVIDER_TIMEOUT_MS),
            health_period: Duration::from_secs(5),
        };
        Self { line, limits, changes }
    }

    fn call<'a, T: Send + 'static>(
        &'a self,
        what: impl FnOnce() -> String + Send + 'a,
        effect: impl FnMut(&mut Realm, Arrival) -> Result<T, Error> + Send + 'static,
    ) -> Pending<'a, T> {
        Box::pin(async move {
            self.line.pace.begin(self.line.now_ms());
            let answer = self.line.call(Service::Provider, what(), effect, error).await;
            if let Err(error) = &answer
                && let Retry::After(pause) = error.retry()
            {
                self.line.pace.asked_for_a_pause(self.line.now_ms(), pause);
            }
            answer
        })
    }
}

fn error(trouble: Trouble) -> Error {
    let (message, retry) = match trouble {
        Trouble::Refused => ("503 service unavailable", Retry::Backoff),
        Trouble::RateLimited { after_ms } => {
            ("429 too many requests", Retry::After(Duration::from_millis(after_ms)))
        }
        Trouble::NoAnswer => ("no answer", Retry::Backoff),
    };
    Error::Injected { message: message.into(), retry }
}

impl Provider for SimulatedProvider {
    fn name(&self) -> &'static str {
        "simulated"
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn inventory<'a>(&'a self, scope: &'a Scope) -> Pending<'a, Inventory> {
        let scope = scope.clone();
        self.call(|| "inventory".into(), move |realm, _| realm.list(Some(&scope)))
    }

    fn inventory_of_all(&self) -> Pending<'_, Inventory> {
        self.call(|| "inventory of all".into(), |realm, _| realm.list(None))
    }

    fn find<'a>(&'a self, endpoint_id: &'a EndpointId) -> Pending<'a, Existence> {
        let id = endpoint_id.clone();
        self.call(move || format!("find {endpoint_id}"), move |realm, _| Ok(realm.find(&id)))
    }

    fn ensure_volume<'a>(&'a self, _: &'a Scope, volume: &'a VolumeSpec) -> Pending<'a, ()> {
        let name = volume.name.clone().unwrap_or_default();
        let what = format!("ensure volume {name}");
        self.call(
            || what,
            move |realm, _| {
                realm.world.volumes.insert(name.clone());
                Ok(())
            },
        )
    }

    fn create<'a>(&'a self, request: &'a EndpointRequest) -> Pending<'a, ObservedEndpoint> {
        let what = move || {
            format!("create {} key {} {}", request.owner.resource, request.idempotency_key, hash(request))
        };
        let request = request.clone();
        self.call(what, move |realm, arrival| realm.create(&request, arrival))
    }

    fn update<'a>(
        &'a self,
        endpoint_id: &'a EndpointId,
        request: &'a EndpointRequest,
    ) -> Pending<'a, ObservedEndpoint> {
        let what = move || format!("update {endpoint_id} of {} {}", request.owner.resource, hash(request));
        let (id, request) = (endpoint_id.clone(), request.clone());
        self.call(what, move |realm, arrival| realm.update(&id, &request, arrival))
    }

    fn adopt<'a>(
        &'a self,
        endpoint_id: &'a EndpointId,
        request: &'a EndpointRequest,
    ) -> Pending<'a, ObservedEndpoint> {
        let what = move || format!("adopt {endpoint_id} of {}", request.owner.resource);
        let (id, request) = (endpoint_id.clone(), request.clone());
        self.call(what, move |realm, _| realm.adopt(&id, &request))
    }

    fn suspend<'a>(&'a self, endpoint_id: &'a EndpointId, mandate: &'a Mandate) -> Pending<'a, ()> {
        let (id, mandate) = (endpoint_id.clone(), mandate.clone());
        self.call(move || format!("suspend {endpoint_id}"), move |realm, _| realm.suspend(&id, &mandate))
    }

    fn delete<'a>(&'a self, endpoint_id: &'a EndpointId, mandate: &'a Mandate) -> Pending<'a, ()> {
        let (id, mandate) = (endpoint_id.clone(), mandate.clone());
        self.call(move || format!("delete {endpoint_id}"), move |realm, _| realm.delete(&id, &mandate))
    }

    fn health<'a>(&'a self, endpoint: &'a ObservedEndpoint) -> Pending<'a, Health> {
        let id = endpoint.endpoint_id.clone();
        // An endpoint is asked itself.
        Box::pin(async move {
            let what = format!("health of {id}");
            self.line.call(Service::Provider, what, move |realm, _| Ok(realm.health(&id)), error).await
        })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }
}

fn hash(request: &EndpointRequest) -> String {
    let resource = request.resource().unwrap();
    format!("workers {} hash {}", resource.spec.workers_max, &resource.config_hash[..6])
}

/// What each call does to the world, when it arrives.
impl Realm {
    fn list(&mut self, scope: Option<&Scope>) -> Result<Inventory, Error> {
        let faults = self.faults.clone();
        let lag_ms = if self.random.chance(500) {
            0
        } else {
            self.random.between(0..=faults.listing_lag_ms_max.min(self.now_ms))
        };
        let mut endpoints = self.world.listed(scope, self.now_ms - lag_ms);
        let mut completeness = Completeness::Complete;
        if self.random.chance(faults.listing_failed) {
            if self.mutation != Some(Mutation::TwoValuedExistence) {
                return match self.random.chance(500) {
                    true => Ok(Inventory::unknown()),
                    false => Err(error(Trouble::Refused)),
                };
            }
            endpoints.clear();
        }
        if self.random.chance(faults.listing_partial) {
            let random = &mut self.random;
            endpoints.retain(|_| random.chance(500));
            completeness = Completeness::Partial;
        }
        if self.mutation == Some(Mutation::TwoValuedExistence) {
            completeness = Completeness::Complete;
        }
        self.note(|| {
            let seen: Vec<_> = endpoints
                .iter()
                .map(|endpoint| {
                    format!(
                        "{} of {} {:?} hash {}",
                        endpoint.endpoint_id,
                        endpoint.owner.resource,
                        endpoint.phase,
                        &endpoint.config_hash[..6]
                    )
                })
                .collect();
            format!("  {completeness:?}, {lag_ms} ms old: {}", seen.join(", "))
        });
        Ok(Inventory { completeness, endpoints })
    }

    fn find(&mut self, id: &EndpointId) -> Existence {
        let is_unknown = self.random.chance(self.faults.find_unknown);
        let existence = match self.world.endpoints.get(id) {
            _ if is_unknown && self.mutation == Some(Mutation::TwoValuedExistence) => Existence::Absent,
            _ if is_unknown => Existence::Unknown,
            Some(endpoint) => Existence::Present(Box::new(endpoint.observed.clone())),
            None => match self.world.draining(id, self.now_ms) {
                Some(observed) => Existence::Present(Box::new(observed.clone())),
                None => Existence::Absent,
            },
        };
        self.note(|| {
            let answer = match existence {
                Existence::Present(_) => "present",
                Existence::Absent => "absent",
                Existence::Unknown => "unknown",
            };
            format!("  {answer}")
        });
        existence
    }

    fn health(&mut self, id: &EndpointId) -> Health {
        let now_ms = self.now_ms;
        let health = match self.world.endpoints.get(id) {
            Some(endpoint) => endpoint.health(now_ms),
            None => Health::Unreachable { reason: "no such host".into() },
        };
        if health == Health::Ready
            && let Some(endpoint) = self.world.endpoints.get_mut(id)
        {
            endpoint.was_ready = true;
            endpoint.is_proven = true;
        }
        self.note(|| format!("  {health:?}"));
        health
    }

    /// The highest fence is kept, and lower ones are refused.
    fn admit(&mut self, mandate: &Mandate) -> Result<(), Error> {
        let seen = self.world.mandate.as_ref().map_or(0, |seen| seen.fence);
        if mandate.fence < seen && self.mutation != Some(Mutation::NoFencing) {
            self.note(|| format!("  refused: fence {} after {seen}", mandate.fence));
            return Err(Error::Fenced { fence: mandate.fence, seen });
        }
        self.check_fence("the provider", mandate.fence, seen);
        if mandate.fence >= seen {
            self.world.mandate = Some(mandate.clone());
        }
        Ok(())
    }

    fn create(&mut self, request: &EndpointRequest, arrival: Arrival) -> Result<ObservedEndpoint, Error> {
        self.admit(&request.mandate)?;
        let id = endpoint_id(&request.owner.scope, &request.idempotency_key);
        let now_ms = self.now_ms;
        if let Some(existing) = self.world.endpoints.get(&id) {
            let observed = existing.observed.clone();
            if observed.phase == ObservedPhase::Stopped {
                let ready_at_ms = now_ms + self.random.between(0..=2_000);
                self.world.writes += 1;
                self.world.change(&id, now_ms, |endpoint| {
                    endpoint.observed.phase = ObservedPhase::Running;
                    endpoint.ready_at_ms = ready_at_ms;
                });
            }
            return Ok(self.world.endpoints[&id].observed.clone());
        }
        self.refuse_draining(&id)?;
        self.check_create(request, arrival);
        self.world.writes += 1;
        let observed = as_requested(request, &id);
        self.note(|| format!("  made {id}"));
        let endpoint = Endpoint {
            observed: observed.clone(),
            ready_at_ms: now_ms + self.random.between(0..=3_000),
            sick_until_ms: 0,
            // Nobody can tell one that a late request made again from the one that somebody deleted.
            was_ready: self.world.existed(&id),
            is_proven: self.world.existed(&id),
            disturbed_ms: None,
            tampered_ms: None,
            brought_ms: now_ms,
            is_late: arrival.is_repeat || arrival.is_late,
            keys: [request.idempotency_key.clone()].into(),
        };
        self.world.add(endpoint, now_ms);
        Ok(observed)
    }

    fn adopt(&mut self, id: &EndpointId, request: &EndpointRequest) -> Result<ObservedEndpoint, Error> {
        self.admit(&request.mandate)?;
        let now_ms = self.now_ms;
        self.world.change(id, now_ms, |endpoint| {
            endpoint.observed.mothership_url = Some(request.mothership_url.clone());
        });
        let found = self.world.endpoints.get(id).map(|endpoint| endpoint.observed.clone());
        found.ok_or_else(|| Error::NoEndpoint { endpoint_id: id.clone() })
    }

    fn update(
        &mut self,
        id: &EndpointId,
        request: &EndpointRequest,
        arrival: Arrival,
    ) -> Result<ObservedEndpoint, Error> {
        self.admit(&request.mandate)?;
        self.refuse_draining(id)?;
        let Some(before) = self.world.endpoints.get(id).cloned() else {
            return Err(Error::NoEndpoint { endpoint_id: id.clone() });
        };
        self.check_update(&before, request, arrival);
        self.world.writes += 1;
        let (now_ms, key) = (self.now_ms, request.idempotency_key.clone());
        let ready_at_ms = now_ms + self.random.between(0..=3_000);
        let is_expected = !arrival.is_late && !arrival.is_repeat;
        let observed = ObservedEndpoint {
            idempotency_key: before.observed.idempotency_key,
            ..as_requested(request, id)
        };
        // What comes late looks as if somebody else had done it, where it is not what was applied since.
        let applied = self
            .state
            .records
            .get(&before.observed.owner.resource)
            .and_then(|record| record.applied.as_ref());
        let is_applied = applied.is_none_or(|applied| {
            applied.config_hash == observed.config_hash && observed.spec.as_ref() == Some(&applied.spec)
        });
        self.world.change(id, now_ms, |endpoint| {
            endpoint.observed = observed.clone();
            endpoint.ready_at_ms = ready_at_ms;
            endpoint.is_proven &= !is_expected;
            // What comes late may undo what came since.
            if !is_expected {
                endpoint.disturbed_ms = Some(now_ms);
            }
            endpoint.tampered_ms = (!is_expected && !is_applied).then_some(now_ms);
            endpoint.brought_ms = now_ms;
            endpoint.keys.insert(key);
        });
        Ok(observed)
    }

    fn suspend(&mut self, id: &EndpointId, mandate: &Mandate) -> Result<(), Error> {
        self.admit(mandate)?;
        let now_ms = self.now_ms;
        self.world.writes += 1;
        self.world.cut_off(id, now_ms);
        self.world.change(id, now_ms, |endpoint| {
            endpoint.observed.phase = ObservedPhase::Stopped;
            endpoint.disturbed_ms = Some(now_ms);
        });
        Ok(())
    }

    fn delete(&mut self, id: &EndpointId, mandate: &Mandate) -> Result<(), Error> {
        self.admit(mandate)?;
        let now_ms = self.now_ms;
        if let Some(endpoint) = self.world.endpoints.get(id).cloned() {
            self.check_delete(&endpoint);
            self.world.writes += 1;
            if endpoint.observed.phase == ObservedPhase::Running && self.random.chance(500) {
                let until_ms = now_ms + self.random.between(1..=60_000);
                self.note(|| format!("  drains until {until_ms}"));
                self.world.drain(id, now_ms, until_ms);
            } else {
                self.world.remove(id, now_ms);
            }
        }
        Ok(())
    }

    fn refuse_draining(&mut self, id: &EndpointId) -> Result<(), Error> {
        match self.world.draining(id, self.now_ms) {
            Some(_) => Err(Error::Draining { endpoint_id: id.clone() }),
            None => Ok(()),
        }
    }
}
