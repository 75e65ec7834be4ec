//! What must be true after every step, whatever goes wrong, and what must come true when nothing goes wrong any more.

use std::sync::Arc;

use flash_model::*;
use flash_mothership::Served;
use flash_plan::{Drift, Plan, Policy};
use flash_providers::EndpointRequest;

use super::network::{Arrival, Life};
use super::realm::Realm;
use super::store::now;
use super::world::Endpoint;

/// Marks every secret value; nothing that is written down may hold it.
pub(super) const SECRET_MARK: &str = "s3cr3t-";

/// The resource that motherships run as, by their own account.
pub(super) const OWN_RESOURCE: &str = "mothership";

/// An endpoint that somebody disturbed, or whose answers were lost, may be brought back more than once: what was seen of it may be old.
const DISTURBANCE_FORGOTTEN_MS: u64 = 60_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Invariant {
    /// No endpoint is made or changed without an intent that was stored before.
    WriteAhead,
    /// No second endpoint is made for what has one already.
    MadeOnce,
    /// No recorded endpoint is deleted before its record says so.
    NoLiveDeleted,
    /// A record's endpoint id is given up only when the endpoint is gone or a proven one took its place, and a record is
    /// dropped only when its endpoint is gone: not being able to read is not absence.
    Remembered,
    /// Nothing is written under a lease that is not the current one.
    Fenced,
    /// The state's serial only grows, and its lineage stays.
    SerialGrows,
    /// Only what has answered that it is ready is called ready, and routed to.
    TrafficToReady,
    /// An endpoint that is as wanted is not written to.
    Untouched,
    /// Nothing that carries another's tag, and not the mothership itself, is ever written to.
    OwnOnly,
    /// A volume exists before an endpoint is made that mounts it.
    VolumeFirst,
    /// No secret is in the state, a plan, an event or a log.
    Secrecy,
    /// No mothership calls more often than is of use to anybody.
    Moderate,
    /// A plan is applied as it was, and nothing else is done under it, or it is refused and nothing is done.
    Exact,
    /// Each generation has one number, which is new, and one that is brought back is what it was.
    RollsBack,
    /// What somebody changed or deleted is left alone where it is only to be reported.
    LeftAlone,
    /// When nothing goes wrong any more, everything is as wanted in bounded time.
    Converges,
    /// And then stays so, without another write.
    Settles,
}

/// Calls of one process in one second. Four resources that start are asked 25 times a second each.
const CALLS_PER_SECOND_MAX: u64 = 300;

impl Realm {
    pub(super) fn check_calls(&mut self, who: Life, calls: u64, breach: Option<String>) {
        if let Some(breach) = breach {
            self.violated(Invariant::Moderate, || format!("{who} {breach}"));
        }
        if calls > CALLS_PER_SECOND_MAX {
            self.violated(Invariant::Moderate, || format!("{who} made {calls} calls in a second"));
        }
    }

    pub(super) fn check_fence(&mut self, whom: &str, fence: u64, current: u64) {
        if fence < current {
            self.violated(Invariant::Fenced, || {
                format!("{whom} was written to under fence {fence}, when {current} was the current one")
            });
        }
    }

    pub(super) fn check_serial(&mut self, state: &StateSnapshot) {
        let before = &self.state;
        let has_changed = before.records != state.records;
        let is_other = before.lineage.is_some() && before.lineage != state.lineage;
        let (old, new) = (before.serial, state.serial);
        if is_other || new < old || (has_changed && new == old) {
            self.violated(Invariant::SerialGrows, || {
                format!("serial {old} became {new}, or the lineage changed")
            });
        }
    }

    pub(super) fn check_secrecy(&mut self, place: &str, text: &str) {
        if text.contains(SECRET_MARK) {
            self.violated(Invariant::Secrecy, || format!("a secret is in {place}: {text}"));
        }
    }

    /// An endpoint that did not exist is about to be made.
    pub(super) fn check_create(&mut self, request: &EndpointRequest, arrival: Arrival) {
        let (owner, key) = (&request.owner, &request.idempotency_key);
        self.check_owner(&owner.clone());
        self.check_intended(key, &owner.resource);
        let Ok(resource) = request.resource() else { return };
        for volume in resource.spec.volumes.iter().filter_map(|volume| volume.name.as_ref()) {
            if !self.world.volumes.contains(volume) {
                self.violated(Invariant::VolumeFirst, || format!("{} mounts {volume}", owner.resource));
            }
        }
        // What arrives when nobody waits for it any more cannot be kept from being made, only be cleared away.
        if arrival.is_repeat || arrival.is_late {
            return;
        }
        let record = self.state.records.get(&owner.resource);
        let recorded = record.and_then(|record| record.endpoint_id.as_ref());
        let intent = record.and_then(|record| record.intent.as_ref());
        let counts = |endpoint: &&Endpoint| {
            let is_recorded = recorded == Some(endpoint.id()) && !endpoint.is_late;
            let is_intended = intent.is_some_and(|intent| endpoint.keys.contains(&intent.idempotency_key));
            let is_unknown = recorded.is_none() && !endpoint.is_late;
            endpoint.observed.config_hash == resource.config_hash
                && (is_recorded || is_intended || is_unknown)
        };
        let twin = self.world.of_resource(&self.scope, &owner.resource).find(counts);
        if let Some(twin) = twin.map(|twin| twin.id().clone()) {
            self.violated(Invariant::MadeOnce, || {
                format!("{} is made under key {key}, and {twin} exists and is the same", owner.resource)
            });
        }
    }

    /// An endpoint is about to be brought to a specification in place.
    pub(super) fn check_update(&mut self, before: &Endpoint, request: &EndpointRequest, arrival: Arrival) {
        self.check_owner(&before.observed.owner);
        self.check_intended(&request.idempotency_key, before.resource());
        let Ok(resource) = request.resource() else { return };
        let now_ms = self.now_ms;
        let is_as_wanted = before.observed.config_hash == resource.config_hash
            && before.observed.spec.as_deref() == Some(&resource.spec)
            && before.observed.phase == ObservedPhase::Running
            && before.health(now_ms) != Health::Unreachable { reason: "no answer".into() };
        let unheard_ms = self.network.unheard_ms(&format!("health of {}", before.id()));
        let is_forgotten =
            |at_ms: Option<u64>| at_ms.is_none_or(|at_ms| at_ms + DISTURBANCE_FORGOTTEN_MS < now_ms);
        let is_undisturbed = is_forgotten(before.disturbed_ms) && is_forgotten(unheard_ms);
        let is_calm = is_undisturbed && is_forgotten(before.tampered_ms);
        if let Some(tampered_ms) = before.tampered_ms.filter(|_| self.drift == Drift::Report) {
            let was_meant = self
                .intent_since
                .get(before.resource())
                .is_some_and(|(_, since_ms)| *since_ms <= tampered_ms);
            let is_same = before.observed.config_hash == resource.config_hash
                && before.observed.phase == ObservedPhase::Running;
            if is_same && is_undisturbed && !was_meant && !arrival.is_repeat && !arrival.is_late {
                self.violated(Invariant::LeftAlone, || {
                    format!("{} of {} was changed outside, and is repaired", before.id(), before.resource())
                });
            }
        }
        // An update that was interrupted is carried out again.
        let is_resumed = self
            .intent_since
            .get(before.resource())
            .is_some_and(|(_, since_ms)| *since_ms <= before.brought_ms);
        if is_as_wanted && is_calm && !is_resumed && !arrival.is_repeat && !arrival.is_late {
            self.violated(Invariant::Untouched, || {
                format!("{} of {} is as wanted, and is updated", before.id(), before.resource())
            });
        }
    }

    /// An endpoint that exists is about to be deleted.
    pub(super) fn check_delete(&mut self, endpoint: &Endpoint) {
        self.check_owner(&endpoint.observed.owner);
        let Some(record) = self.state.records.get(endpoint.resource()) else { return };
        let is_recorded = record.endpoint_id.as_ref() == Some(endpoint.id());
        let is_meant = record.intent.as_ref().is_some_and(|intent| intent.action == IntentAction::Delete)
            || record.status == ResourceStatus::Removing;
        if is_recorded && !is_meant {
            let status = record.status;
            self.violated(Invariant::NoLiveDeleted, || {
                format!(
                    "{} is deleted, and {}'s record names it as {status}",
                    endpoint.id(),
                    endpoint.resource()
                )
            });
        }
    }

    /// A record was stored. The state still shows what was there before.
    pub(super) fn check_put(&mut self, record: &ResourceRecord) {
        let before = self.state.records.get(&record.resource);
        let makes = |intent: &Intent| {
            intent.action == IntentAction::Create
                && before.is_some_and(|before| {
                    let applied = before.applied.as_ref().map(|applied| &applied.config_hash);
                    before.intent.is_none()
                        && before.endpoint_id.is_some()
                        && applied == Some(&intent.config_hash)
                })
        };
        if self.drift == Drift::Report && record.intent.as_ref().is_some_and(makes) {
            return self.violated(Invariant::LeftAlone, || {
                format!("{} was deleted outside, and is to be made again", record.resource)
            });
        }
        let before = before.and_then(|before| before.endpoint_id.clone());
        if let Some(before) = before
            && record.endpoint_id.as_ref() != Some(&before)
            // One that a request made again that nobody waited for any more was gone.
            && self.world.endpoints.get(&before).is_some_and(|endpoint| !endpoint.is_late)
        {
            let was_ready = |id: &EndpointId| {
                let successor = self.world.endpoints.get(id);
                successor.is_some_and(|successor| successor.was_ready) || self.world.lost_ready.contains(id)
            };
            if !record.endpoint_id.as_ref().is_some_and(was_ready) {
                self.violated(Invariant::Remembered, || {
                    format!("{}'s record gives {before} up, which exists", record.resource)
                });
            }
        }
        if record.status == ResourceStatus::Ready {
            let endpoint = record.endpoint_id.as_ref().and_then(|id| self.world.endpoints.get(id));
            // What somebody just deleted may still count as ready for a moment.
            if record.endpoint_id.is_none() || endpoint.is_some_and(|endpoint| !endpoint.is_proven) {
                self.violated(Invariant::TrafficToReady, || {
                    format!("{} is recorded as ready and never said so", record.resource)
                });
            }
        }
    }

    /// A record was dropped.
    pub(super) fn check_remove(&mut self, before: &ResourceRecord) {
        let key = before.intent.as_ref().map(|intent| &intent.idempotency_key);
        let of_record = |endpoint: &&Endpoint| {
            before.endpoint_id.as_ref() == Some(endpoint.id())
                || key.is_some_and(|key| endpoint.keys.contains(key))
        };
        let left = self.world.of_resource(&self.scope, &before.resource).find(of_record);
        if let Some(left) = left.filter(|left| !left.is_late).map(|left| left.id().clone()) {
            self.violated(Invariant::Remembered, || {
                format!("{}'s record is dropped, and {left} exists", before.resource)
            });
        }
    }

    /// A mothership serves something new.
    pub(super) fn check_served(&mut self, who: Life, served: &Served) {
        for route in served.routes().functions.values() {
            let endpoint = self.world.endpoints.get(&route.endpoint_id);
            if endpoint.is_some_and(|endpoint| !endpoint.was_ready) {
                self.violated(Invariant::TrafficToReady, || {
                    format!(
                        "{who} routes to {} of {}, which was never ready",
                        route.endpoint_id, route.resource
                    )
                });
            }
        }
    }

    fn check_owner(&mut self, owner: &Owner) {
        if owner.scope != self.scope || owner.resource.as_str() == OWN_RESOURCE {
            self.violated(Invariant::OwnOnly, || {
                format!("{} of {} is written to", owner.resource, owner.scope)
            });
        }
    }

    fn check_intended(&mut self, key: &IdempotencyKey, resource: &ResourceName) {
        if !self.intended.contains(key) {
            self.violated(Invariant::WriteAhead, || {
                format!("{resource} is written to; nobody intended {key}")
            });
        }
    }

    /// What there is to do, as somebody sees it who sees everything.
    pub(super) fn plan(&self, wanted: &Manifest) -> Plan {
        let endpoints = self.world.listed(Some(&self.scope), self.now_ms);
        let inventory = Inventory { completeness: Completeness::Complete, endpoints };
        let policy = Policy {
            place: None,
            scope: self.scope.clone(),
            own_resource: ResourceName::new(OWN_RESOURCE).ok(),
            drift: self.drift,
        };
        flash_plan::plan(wanted, &self.state, &inventory, &policy)
    }

    /// The process that leads, as far as the store knows.
    pub(super) fn leader(&self) -> Option<usize> {
        let lease = now(self.store.pulse(&self.scope)).ok()?.lease?;
        lease.holder.as_str().split('-').nth(1)?.parse().ok()
    }

    /// A plan holds no secret, however it is shown.
    pub(super) fn check_plan(&mut self, wanted: &Manifest) {
        let plan = self.plan(wanted);
        self.check_secrecy("a plan", &format!("{plan} {}", serde_json::to_string(&plan).unwrap()));
    }

    /// Whether what somebody deleted is told of, and left at that.
    fn is_left_lost(&self, name: &ResourceName, served: &[(Life, Option<Arc<Served>>)]) -> bool {
        let Some(record) = self.state.records.get(name).filter(|_| self.drift == Drift::Report) else {
            return false;
        };
        let is_lost = record.endpoint_id.as_ref().is_some_and(|id| self.world.lost.contains(id));
        let is_told = record.status == ResourceStatus::Failed && record.status_code == Some(Code::Drifted);
        let is_routed = served
            .iter()
            .filter_map(|(_, served)| served.as_ref())
            .any(|served| served.routes().functions.values().any(|route| route.resource == *name));
        is_lost && is_told && record.intent.is_none() && !is_routed
    }

    /// Why things are not yet as wanted; none if they are.
    pub(super) fn difference(
        &self,
        wanted: &Manifest,
        served: &[(Life, Option<Arc<Served>>)],
    ) -> Option<String> {
        let is_ours = |name: &ResourceName| name.as_str() != OWN_RESOURCE;
        for (name, resource) in wanted.resources.iter().filter(|(name, _)| is_ours(name)) {
            let mut endpoints = self.world.of_resource(&self.scope, name);
            let (first, second) = (endpoints.next(), endpoints.next());
            if first.is_none() && self.is_left_lost(name, served) {
                continue;
            }
            let (Some(endpoint), None) = (first, second) else {
                return Some(format!("{name} has no endpoint, or several"));
            };
            let is_left = self.drift == Drift::Report && endpoint.tampered_ms.is_some();
            if !is_left
                && (endpoint.observed.config_hash != resource.config_hash
                    || endpoint.observed.spec.as_deref() != Some(&resource.spec))
            {
                return Some(format!("{name}'s endpoint is not as wanted"));
            }
            if endpoint.health(self.now_ms) != Health::Ready {
                return Some(format!("{name}'s endpoint is not ready"));
            }
            let Some(record) = self.state.records.get(name) else {
                return Some(format!("{name} has no record"));
            };
            let applied = record.applied.as_ref().map(|applied| &applied.config_hash);
            if record.endpoint_id.as_ref() != Some(endpoint.id())
                || applied != Some(&resource.config_hash)
                || record.status != ResourceStatus::Ready
                || (record.status_code == Some(Code::Drifted)) != is_left
                || record.intent.is_some()
            {
                return Some(format!("{name}'s record does not say how it is: {record:?}"));
            }
            for (who, served) in served {
                let routes = served.as_ref().map(|served| served.routes());
                let mut routes = routes.iter().flat_map(|routes| routes.functions.values());
                if !routes.any(|route| route.endpoint_id == *endpoint.id()) {
                    return Some(format!("{who} does not route to {name}"));
                }
            }
        }
        let is_wanted = |name: &ResourceName| wanted.resources.contains_key(name) && is_ours(name);
        if let Some(surplus) =
            self.world.of_scope(&self.scope).find(|endpoint| !is_wanted(endpoint.resource()))
        {
            return Some(format!("{} of {} is not wanted", surplus.id(), surplus.resource()));
        }
        if let Some(name) = self.state.records.keys().find(|name| !is_wanted(name)) {
            return Some(format!("{name} has a record and is not wanted"));
        }
        if self.wanted.as_deref() != Some(wanted) {
            return Some("the stored manifest is not the wanted one".into());
        }
        None
    }
}
