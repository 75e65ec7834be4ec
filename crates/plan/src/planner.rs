//! `(Manifest, State, Inventory, Policy) → Plan`.

use std::collections::BTreeMap;

use flash_model::{
    Completeness, IdempotencyKey, Inventory, Manifest, ObservedEndpoint, ObservedPhase, Resource,
    ResourceName, ResourceRecord, StateSnapshot, sha256_hex,
};

use crate::{Action, Deferred, Plan, Policy, Reason, Step, field_changes, order};

/// Total and pure: same input, same plan, whatever the order of the inventory.
pub fn plan(manifest: &Manifest, state: &StateSnapshot, inventory: &Inventory, policy: &Policy) -> Plan {
    let mut planner = Planner { policy, inventory, steps: Vec::new(), deferred: Vec::new() };
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
        let current = take_current(&mut endpoints, desired, record);
        let resumed = intent
            .filter(|intent| intent.config_hash == desired.config_hash)
            .map(|intent| intent.idempotency_key.clone());
        let key = resumed.clone().unwrap_or_else(|| self.idempotency_key(name, desired, record));
        let step = |action, reasons| Step {
            resource: name.clone(),
            action,
            reasons,
            endpoint_id: current.map(|endpoint| endpoint.endpoint_id.clone()),
            desired: Some(Box::new(desired.clone())),
            idempotency_key: matches!(action, Action::Create | Action::Replace).then(|| key.clone()),
            record_version: record.map_or(0, |record| record.version),
        };
        let recorded = record.and_then(|record| record.endpoint_id.as_ref());
        let wanted = match current {
            None if self.inventory.completeness == Completeness::Partial => {
                match (recorded, record.and_then(|record| record.applied.as_ref())) {
                    (Some(id), Some(applied)) if applied.config_hash == desired.config_hash => {
                        Step { endpoint_id: Some(id.clone()), ..step(Action::NoOp, vec![Reason::Unchanged]) }
                    }
                    _ => return self.defer(name, "the provider could not list what exists"),
                }
            }
            None if recorded.is_some() => step(Action::Create, vec![Reason::Gone]),
            None if resumed.is_some() => step(Action::Create, vec![Reason::Interrupted]),
            None => step(Action::Create, vec![Reason::New]),
            Some(endpoint) => match (endpoint.phase, endpoint.config_hash == desired.config_hash) {
                (ObservedPhase::Running, true) if recorded != Some(&endpoint.endpoint_id) => {
                    step(Action::Adopt, vec![Reason::Unrecorded])
                }
                // A change that was begun and then taken back: the record is to say so.
                (ObservedPhase::Running, true) if intent.is_some() => {
                    step(Action::Adopt, vec![Reason::Interrupted])
                }
                (ObservedPhase::Running, true) => step(Action::NoOp, vec![Reason::Unchanged]),
                (ObservedPhase::Stopped, true) => step(Action::Update, vec![Reason::Stopped]),
                (ObservedPhase::Stopped, false) => {
                    let mut reasons = vec![Reason::Stopped];
                    reasons.extend(changes(record, desired));
                    step(Action::Update, reasons)
                }
                (ObservedPhase::Running, false) if self.policy.in_place.contains(&desired.spec.kind) => {
                    step(Action::Update, changes(record, desired))
                }
                (ObservedPhase::Running, false) => step(Action::Replace, changes(record, desired)),
            },
        };
        self.steps.push(wanted);
        // The successor of an interrupted replacement is found again by its key when the step is repeated.
        let successor = resumed.filter(|_| current.is_some());
        endpoints.retain(|endpoint| Some(&endpoint.idempotency_key) != successor.as_ref());
        self.delete_all(name, record, &endpoints, Reason::Surplus);
    }

    fn unwant(
        &mut self,
        name: &ResourceName,
        record: Option<&ResourceRecord>,
        endpoints: Vec<&ObservedEndpoint>,
    ) {
        let recorded = record.and_then(|record| record.endpoint_id.as_ref());
        let seen = endpoints.iter().any(|endpoint| recorded == Some(&endpoint.endpoint_id));
        if record.is_some() && !seen && self.inventory.completeness == Completeness::Partial {
            return self.defer(name, "no longer wanted, but the provider could not list what exists");
        }
        self.delete_all(name, record, &endpoints, Reason::NotInManifest);
        if let Some(record) = record.filter(|_| endpoints.is_empty()) {
            self.steps.push(Step {
                resource: name.clone(),
                action: Action::Forget,
                reasons: vec![Reason::NotInManifest],
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

    /// Made from what was planned from, so that planning stays pure and a repeated plan repeats its keys.
    fn idempotency_key(
        &self,
        name: &ResourceName,
        desired: &Resource,
        record: Option<&ResourceRecord>,
    ) -> IdempotencyKey {
        let version = record.map_or(0, |record| record.version);
        let digest = sha256_hex(
            format!("{}\n{name}\n{}\n{version}", self.policy.scope, desired.config_hash).as_bytes(),
        );
        IdempotencyKey::new(&digest[..32]).unwrap_or_else(|_| unreachable!("32 hex digits are a key"))
    }
}

/// Takes the endpoint that stands for the resource out of what was observed: the recorded one, else the one that an
/// interrupted step made, else the best unrecorded one.
fn take_current<'a>(
    endpoints: &mut Vec<&'a ObservedEndpoint>,
    desired: &Resource,
    record: Option<&ResourceRecord>,
) -> Option<&'a ObservedEndpoint> {
    let recorded = record.and_then(|record| record.endpoint_id.as_ref());
    let key = record.and_then(|record| record.intent.as_ref()).map(|intent| &intent.idempotency_key);
    let best = endpoints
        .iter()
        .enumerate()
        .min_by_key(|(_, endpoint)| {
            (
                recorded != Some(&endpoint.endpoint_id),
                key != Some(&endpoint.idempotency_key),
                endpoint.config_hash != desired.config_hash,
                endpoint.phase != ObservedPhase::Running,
                endpoint.endpoint_id.clone(),
            )
        })
        .map(|(index, _)| index)?;
    Some(endpoints.swap_remove(best))
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
    for endpoint in inventory.endpoints.iter().filter(|endpoint| endpoint.owner.scope == policy.scope) {
        by_resource.entry(endpoint.owner.resource.clone()).or_default().push(endpoint);
    }
    for endpoints in by_resource.values_mut() {
        endpoints.sort_by(|left, right| left.endpoint_id.cmp(&right.endpoint_id));
    }
    by_resource
}
