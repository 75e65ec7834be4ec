//! `(Manifest, State, Inventory, Policy) → Plan`.

use std::collections::BTreeMap;

use flash_model::{
    Completeness, IdempotencyKey, IntentAction, Inventory, Manifest, MothershipId, ObservedEndpoint,
    ObservedPhase, Resource, ResourceName, ResourceRecord, Scope, StateSnapshot, sha256_hex,
};

use crate::{Action, Deferred, Drift, Plan, Policy, Reason, Step, field_changes, order};

/// Total and pure: same input, same plan, whatever the order of the inventory.
pub fn plan(manifest: &Manifest, state: &StateSnapshot, inventory: &Inventory, policy: &Policy) -> Plan {
    let mut planner = Planner { policy, state, inventory, steps: Vec::new(), deferred: Vec::new() };
    let mut observed = by_resource(inventory, policy);
    let names = manifest.resources.keys().chain(state.records.keys()).chain(observed.keys()).cloned();
    let names: std::collections::BTreeSet<ResourceName> = names.collect();
    for name in names {
        if policy.own_resource.as_ref() == Some(&name) {
            continue;
        }
        let desired = manifest.resources.get(&name);
        let record = state.records.get(&name);
        let endpoints = observed.remove(&name).unwrap_or_default();
        if let Some(place) = record.and_then(|record| elsewhere(record, policy)) {
            planner.defer(
                &name,
                &format!("its endpoint is at another place ({place}), which cannot be seen from here"),
            );
            continue;
        }
        match desired {
            Some(desired) => planner.want(&name, desired, record, endpoints),
            None => planner.unwant(&name, record, endpoints),
        }
    }
    order::sort(&mut planner.steps);
    Plan { state_serial: state.serial, steps: planner.steps, deferred: planner.deferred }
}

struct Planner<'a> {
    policy: &'a Policy,
    state: &'a StateSnapshot,
    inventory: &'a Inventory,
    steps: Vec<Step>,
    deferred: Vec<Deferred>,
}

impl Planner<'_> {
    fn want(
        &mut self,
        name: &ResourceName,
        desired: &Resource,
        record: Option<&ResourceRecord>,
        mut endpoints: Vec<&ObservedEndpoint>,
    ) {
        let intent = record.and_then(|record| record.intent.as_ref());
        if let (Some(IntentAction::Delete), Some(record)) = (intent.map(|intent| intent.action), record) {
            // A deletion that was asked for may still take effect: what it may hit is never taken back into use.
            return self.finish_deletion(record);
        }
        let recorded = record.and_then(|record| record.endpoint_id.as_ref());
        // An update's key is its endpoint's own, under which nothing is made.
        let resumed = intent
            .filter(|intent| {
                intent.action != IntentAction::Update && intent.config_hash == desired.config_hash
            })
            .map(|intent| intent.idempotency_key.clone());
        let current = take_current(&mut endpoints, desired, record);
        let key = || resumed.clone().unwrap_or_else(|| self.idempotency_key(name, desired));
        let step = |action, reasons| Step {
            resource: name.clone(),
            action,
            reasons,
            endpoint_id: current.map(|endpoint| endpoint.endpoint_id.clone()),
            desired: (action != Action::NoOp).then(|| Box::new(desired.clone())),
            idempotency_key: matches!(action, Action::Create | Action::Replace).then(key),
            record_version: record.map_or(0, |record| record.version),
        };
        let Some(endpoint) = current else {
            let is_applied = record
                .and_then(|record| record.applied.as_ref())
                .is_some_and(|applied| applied.config_hash == desired.config_hash);
            let wanted = match recorded {
                Some(_) if self.is_partial() && !is_applied => {
                    return self.defer(name, "the provider could not list what exists");
                }
                None if self.is_partial() => {
                    return self.defer(name, "the provider could not list what exists");
                }
                Some(_) if self.is_partial() => step(Action::NoOp, vec![Reason::Unchanged]),
                Some(_) if is_applied && intent.is_none() && self.policy.drift == Drift::Report => {
                    // Nothing is made in its place, from which others could be wanted.
                    let left = step(Action::NoOp, vec![Reason::Gone]);
                    self.steps.push(Step { endpoint_id: recorded.cloned(), ..left });
                    return self.delete_all(name, record, &endpoints, Reason::Surplus);
                }
                Some(_) => step(Action::Create, vec![Reason::Gone]),
                None if resumed.is_some() => step(Action::Create, vec![Reason::Interrupted]),
                None => step(Action::Create, vec![Reason::New]),
            };
            // Others of the resource are not judged before it is certain that the recorded one is gone.
            return self.steps.push(Step { endpoint_id: recorded.cloned(), ..wanted });
        };
        let drift = drift(record, endpoint, desired);
        self.steps.push(match (endpoint.phase, endpoint.config_hash == desired.config_hash) {
            (ObservedPhase::Running, _) if !drift.is_empty() => match self.policy.drift {
                Drift::Repair => step(Action::Update, drift),
                // A change that failed and was then taken back: the record is to say so, and then what drifted.
                Drift::Report if record.is_some_and(|record| record.rejected.is_some()) => {
                    step(Action::Adopt, vec![Reason::Interrupted])
                }
                Drift::Report => step(Action::NoOp, drift),
            },
            (ObservedPhase::Running, true) if recorded != Some(&endpoint.endpoint_id) => {
                step(Action::Adopt, vec![Reason::Unrecorded])
            }
            // A change that was begun and then taken back: the record is to say so.
            (ObservedPhase::Running, true)
                if intent.is_some() || record.is_some_and(|record| record.rejected.is_some()) =>
            {
                step(Action::Adopt, vec![Reason::Interrupted])
            }
            (ObservedPhase::Running, true) => step(Action::NoOp, vec![Reason::Unchanged]),
            (ObservedPhase::Running, false) => step(Action::Replace, changes(record, desired)),
            (_, is_as_wanted) => {
                let mut reasons = vec![match endpoint.phase {
                    ObservedPhase::Unresponsive => Reason::Unresponsive,
                    _ => Reason::Stopped,
                }];
                if !is_as_wanted {
                    reasons.extend(changes(record, desired));
                }
                step(Action::Update, reasons)
            }
        });
        // The successor of an interrupted replacement is found again by its key when the step is repeated.
        endpoints.retain(|endpoint| Some(&endpoint.idempotency_key) != resumed.as_ref());
        self.delete_all(name, record, &endpoints, Reason::Surplus);
    }

    fn is_partial(&self) -> bool {
        self.inventory.completeness == Completeness::Partial
    }

    fn finish_deletion(&mut self, record: &ResourceRecord) {
        self.steps.push(Step {
            resource: record.resource.clone(),
            action: Action::Delete,
            reasons: vec![Reason::Interrupted],
            endpoint_id: record.endpoint_id.clone(),
            desired: None,
            idempotency_key: None,
            record_version: record.version,
        });
    }

    fn unwant(
        &mut self,
        name: &ResourceName,
        record: Option<&ResourceRecord>,
        endpoints: Vec<&ObservedEndpoint>,
    ) {
        let recorded = record.and_then(|record| record.endpoint_id.as_ref());
        let seen = endpoints.iter().any(|endpoint| recorded == Some(&endpoint.endpoint_id));
        if record.is_some() && !seen && self.is_partial() {
            return self.defer(name, "no longer wanted, but the provider could not list what exists");
        }
        self.delete_all(name, record, &endpoints, Reason::NotInManifest);
        if let Some(record) = record.filter(|_| endpoints.is_empty()) {
            // What is recorded and not listed may only not be listed yet: it is deleted like any other.
            let (action, gone) = match record.endpoint_id {
                Some(_) => (Action::Delete, Some(Reason::Gone)),
                None => (Action::Forget, None),
            };
            self.steps.push(Step {
                resource: name.clone(),
                action,
                reasons: [Reason::NotInManifest].into_iter().chain(gone).collect(),
                endpoint_id: record.endpoint_id.clone(),
                desired: None,
                idempotency_key: None,
                record_version: record.version,
            });
        }
    }

    fn delete_all(
        &mut self,
        name: &ResourceName,
        record: Option<&ResourceRecord>,
        endpoints: &[&ObservedEndpoint],
        reason: Reason,
    ) {
        self.steps.extend(endpoints.iter().map(|endpoint| Step {
            resource: name.clone(),
            action: Action::Delete,
            reasons: vec![reason.clone()],
            endpoint_id: Some(endpoint.endpoint_id.clone()),
            desired: None,
            idempotency_key: None,
            record_version: record.map_or(0, |record| record.version),
        }));
    }

    fn defer(&mut self, resource: &ResourceName, why: &str) {
        self.deferred.push(Deferred { resource: resource.clone(), why: why.to_owned() });
    }

    fn idempotency_key(&self, name: &ResourceName, desired: &Resource) -> IdempotencyKey {
        idempotency_key(&self.policy.scope, self.state.lineage.as_ref(), self.state.serial, name, desired)
    }
}

/// Made from what was planned from, so that planning stays pure and a repeated plan repeats its keys. No later state
/// has the same serial, so a key is never used again: what arrives late for an earlier one cannot hit a later endpoint.
pub(crate) fn idempotency_key(
    scope: &Scope,
    lineage: Option<&MothershipId>,
    serial: u64,
    name: &ResourceName,
    desired: &Resource,
) -> IdempotencyKey {
    let lineage = lineage.map_or("", |lineage| lineage.as_str());
    let digest =
        sha256_hex(format!("{scope}\n{lineage}\n{serial}\n{name}\n{}", desired.config_hash).as_bytes());
    IdempotencyKey::new(&digest[..32]).unwrap_or_else(|_| unreachable!("32 hex digits are a key"))
}

/// Where a recorded endpoint is, if that is another place than the one that is seen.
fn elsewhere<'a>(record: &'a ResourceRecord, policy: &Policy) -> Option<&'a str> {
    let (place, here) = (record.place.as_ref()?, policy.place.as_ref()?);
    (record.endpoint_id.is_some() && place != here).then_some(place.as_str())
}

/// Takes the endpoint that stands for the resource out of what was observed: the recorded one and no other; where none
/// is recorded one that is as wanted, before one that an interrupted step made.
fn take_current<'a>(
    endpoints: &mut Vec<&'a ObservedEndpoint>,
    desired: &Resource,
    record: Option<&ResourceRecord>,
) -> Option<&'a ObservedEndpoint> {
    let index = match record.and_then(|record| record.endpoint_id.as_ref()) {
        Some(recorded) => endpoints.iter().position(|endpoint| endpoint.endpoint_id == *recorded),
        None => {
            let key = record.and_then(|record| record.intent.as_ref()).map(|intent| &intent.idempotency_key);
            let rank = |endpoint: &ObservedEndpoint| {
                (
                    endpoint.config_hash != desired.config_hash,
                    key != Some(&endpoint.idempotency_key),
                    endpoint.phase != ObservedPhase::Running,
                    endpoint.endpoint_id.clone(),
                )
            };
            (0..endpoints.len()).min_by_key(|index| rank(endpoints[*index]))
        }
    };
    index.map(|index| endpoints.remove(index))
}

/// What is different from what we applied, though we applied what is wanted and have begun nothing since.
fn drift(record: Option<&ResourceRecord>, endpoint: &ObservedEndpoint, desired: &Resource) -> Vec<Reason> {
    let Some(record) = record.filter(|record| record.intent.is_none()) else { return Vec::new() };
    let applied = record.applied.as_ref().filter(|applied| applied.config_hash == desired.config_hash);
    let Some(applied) = applied.filter(|_| record.endpoint_id.as_ref() == Some(&endpoint.endpoint_id)) else {
        return Vec::new();
    };
    let fields = match &endpoint.spec {
        Some(spec) if *spec != applied.spec => field_changes(&applied.spec, spec),
        _ => Vec::new(),
    };
    match fields.is_empty() {
        false => fields.into_iter().map(Reason::Drifted).collect(),
        true if endpoint.config_hash != applied.config_hash => vec![Reason::ChangedOutside],
        true => Vec::new(),
    }
}

fn changes(record: Option<&ResourceRecord>, desired: &Resource) -> Vec<Reason> {
    let Some(applied) = record.and_then(|record| record.applied.as_ref()) else {
        return vec![Reason::HashChanged];
    };
    let mut reasons: Vec<Reason> =
        field_changes(&applied.spec, &desired.spec).into_iter().map(Reason::FieldChanged).collect();
    if applied.code_digest != desired.code_digest {
        reasons.push(Reason::CodeChanged);
    }
    if reasons.is_empty() {
        reasons.push(Reason::HashChanged);
    }
    reasons
}

fn by_resource<'a>(
    inventory: &'a Inventory,
    policy: &Policy,
) -> BTreeMap<ResourceName, Vec<&'a ObservedEndpoint>> {
    let mut by_resource: BTreeMap<_, Vec<_>> = BTreeMap::new();
    // What is draining was deleted: there is nothing left to decide about it.
    let counts = |endpoint: &&ObservedEndpoint| {
        endpoint.owner.scope == policy.scope && endpoint.phase != ObservedPhase::Draining
    };
    for endpoint in inventory.endpoints.iter().filter(counts) {
        by_resource.entry(endpoint.owner.resource.clone()).or_default().push(endpoint);
    }
    for endpoints in by_resource.values_mut() {
        endpoints.sort_by(|left, right| left.endpoint_id.cmp(&right.endpoint_id));
    }
    by_resource
}
