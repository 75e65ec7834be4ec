//! A world that a plan can be applied to without side effects: what a perfect provider and store would do.

use std::collections::BTreeMap;

use flash_model::*;
use flash_plan::{Action, Drift, Plan, Policy};
use flash_testkit::{name, scope};

#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) manifest: Manifest,
    pub(crate) state: StateSnapshot,
    pub(crate) inventory: Inventory,
    created: u32,
}

pub(crate) fn policy() -> Policy {
    Policy { scope: scope(), place: None, own_resource: None, drift: Drift::Repair }
}

pub(crate) fn observed(resource: &str, id: &str, hash: &str, phase: ObservedPhase) -> ObservedEndpoint {
    ObservedEndpoint {
        endpoint_id: EndpointId::new(id).unwrap(),
        owner: Owner { scope: scope(), resource: name(resource) },
        idempotency_key: IdempotencyKey::new(format!("key-{id}")).unwrap(),
        config_hash: hash.to_owned(),
        phase,
        url: None,
        spec: None,
        mothership_url: None,
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            manifest: Manifest::empty("shop"),
            state: StateSnapshot::default(),
            inventory: Inventory { completeness: Completeness::Complete, endpoints: vec![] },
            created: 0,
        }
    }

    pub(crate) fn want(&mut self, resource_name: &str, resource: Resource) {
        self.manifest.resources.insert(name(resource_name), resource);
    }

    pub(crate) fn plan(&self) -> Plan {
        flash_plan::plan(&self.manifest, &self.state, &self.inventory, &policy())
    }

    pub(crate) fn apply(&mut self, plan: &Plan) {
        for step in &plan.steps {
            match step.action {
                Action::NoOp => {}
                Action::Forget => drop(self.state.records.remove(&step.resource)),
                Action::Delete => {
                    self.inventory
                        .endpoints
                        .retain(|endpoint| Some(&endpoint.endpoint_id) != step.endpoint_id.as_ref());
                    let gone = |record: &ResourceRecord| record.endpoint_id == step.endpoint_id;
                    if self.state.records.get(&step.resource).is_some_and(gone) {
                        self.state.records.remove(&step.resource);
                    }
                }
                Action::Adopt => self.record(step, step.endpoint_id.clone()),
                Action::Update => {
                    let hash = step.desired.as_ref().unwrap().config_hash.clone();
                    for endpoint in &mut self.inventory.endpoints {
                        if Some(&endpoint.endpoint_id) == step.endpoint_id.as_ref() {
                            endpoint.config_hash.clone_from(&hash);
                            endpoint.phase = ObservedPhase::Running;
                        }
                    }
                    self.record(step, step.endpoint_id.clone());
                }
                Action::Create | Action::Replace => {
                    let made = self.create(step);
                    if step.action == Action::Replace {
                        self.inventory
                            .endpoints
                            .retain(|endpoint| Some(&endpoint.endpoint_id) != step.endpoint_id.as_ref());
                    }
                    self.record(step, Some(made));
                }
            }
        }
        self.state.serial += 1;
    }

    /// What a crash after the provider's create, before the record, leaves behind.
    pub(crate) fn apply_until_created(&mut self, plan: &Plan) {
        for step in plan.steps.iter().filter(|step| matches!(step.action, Action::Create | Action::Replace)) {
            let record = self
                .state
                .records
                .entry(step.resource.clone())
                .or_insert_with(|| ResourceRecord::new(step.resource.clone(), "sim"));
            record.version += 1;
            record.intent = Some(Intent {
                action: IntentAction::Create,
                idempotency_key: step.idempotency_key.clone().unwrap(),
                config_hash: step.desired.as_ref().unwrap().config_hash.clone(),
            });
            self.create(step);
        }
        self.state.serial += 1;
    }

    fn create(&mut self, step: &flash_plan::Step) -> EndpointId {
        let key = step.idempotency_key.clone().unwrap();
        if let Some(existing) =
            self.inventory.endpoints.iter_mut().find(|endpoint| endpoint.idempotency_key == key)
        {
            existing.phase = ObservedPhase::Running;
            return existing.endpoint_id.clone();
        }
        self.created += 1;
        let id = format!("made-{}", self.created);
        let hash = &step.desired.as_ref().unwrap().config_hash;
        let mut endpoint = observed(step.resource.as_str(), &id, hash, ObservedPhase::Running);
        endpoint.idempotency_key = key;
        self.inventory.endpoints.push(endpoint.clone());
        endpoint.endpoint_id
    }

    fn record(&mut self, step: &flash_plan::Step, endpoint_id: Option<EndpointId>) {
        let mut record = ResourceRecord::new(step.resource.clone(), "sim");
        record.version = step.record_version + 1;
        record.endpoint_id = endpoint_id;
        record.applied = step.desired.as_deref().map(Applied::of);
        record.status = ResourceStatus::Ready;
        self.state.records.insert(step.resource.clone(), record);
    }

    pub(crate) fn endpoints_of(&self, resource: &str) -> Vec<&ObservedEndpoint> {
        self.inventory
            .endpoints
            .iter()
            .filter(|endpoint| endpoint.owner.resource.as_str() == resource)
            .collect()
    }

    pub(crate) fn duplicates(&self) -> BTreeMap<&ResourceName, usize> {
        let mut counts = BTreeMap::new();
        for endpoint in &self.inventory.endpoints {
            *counts.entry(&endpoint.owner.resource).or_insert(0) += 1;
        }
        counts.retain(|_, count| *count > 1);
        counts
    }
}
