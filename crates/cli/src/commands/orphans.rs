//! `flash state orphans [PATH] [--delete] [--yes] [--json]`: endpoints of ours that no record names.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use flash_model::{
    Code, Completeness, EndpointId, Existence, Inventory, Lease, LeaseRequest, MothershipId,
    ObservedEndpoint, ObservedPhase, Scope, StateSnapshot,
};
use flash_mothership::LeaseSettings;
use flash_mothership::store::Store;
use flash_providers::Mandate;
use flash_providers::local::LocalEndpoints;
use serde_json::json;

use super::block_on;
use super::boot::{self, counted};
use crate::args::OrphansArgs;
use crate::error::Failure;
use crate::printer::Printer;
use crate::project::Project;
use crate::run_dir::{Lock, RunDir};
use crate::state_store::{StatePlace, refused};
use crate::view;

const NO_STATE: &str = "its app and environment have no state here";
const PURPOSE: &str = "flash state orphans --delete";

/// What is recorded of each app+environment that has endpoints here.
type States = BTreeMap<Scope, StateSnapshot>;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Orphan {
    pub(crate) endpoint: ObservedEndpoint,
    pub(crate) why: String,
    pub(crate) started_ms: Option<u64>,
}

pub(crate) fn orphans(args: &OrphansArgs, printer: Printer) -> Result<(), Failure> {
    block_on(list_and_delete(args, printer))
}

async fn list_and_delete(args: &OrphansArgs, printer: Printer) -> Result<(), Failure> {
    let project = Project::locate(&args.path)?;
    let run_dir = RunDir::of(&project.root);
    let place = StatePlace::of(&args.state, &run_dir)?;
    let endpoints = LocalEndpoints::new(&run_dir.endpoints_dir());
    let store = place.open_if_any().await?;
    let inventory = listed(&endpoints)?;
    let orphans = found(&inventory, &states(store.as_ref(), &inventory).await?, &endpoints);
    if inventory.completeness == Completeness::Partial {
        printer.notice("note: not every endpoint's folder can be read; what is unknown is no orphan");
    }
    if args.json {
        let document: Vec<_> = orphans.iter().map(document).collect();
        printer.data(format_args!("{:#}", json!({ "orphans": document })));
    } else if orphans.is_empty() {
        printer.data("no orphans");
    } else {
        printer.data(view::orphans::table(&orphans));
    }
    if orphans.iter().any(|orphan| orphan.why == NO_STATE) {
        let place = place.shown();
        printer.note(None, format!("the state that was asked is {place}; one that lies elsewhere is named with --state, and may want them"));
    }
    if !args.delete || orphans.is_empty() {
        return Ok(());
    }
    consent(args, orphans.len(), printer)?;
    Deleter { run_dir, endpoints, place, store, printer }.delete(&orphans).await
}

fn listed(endpoints: &LocalEndpoints) -> Result<Inventory, Failure> {
    endpoints
        .inventory_of_all()
        .map_err(|error| Failure::because("what exists cannot be listed", &error).code(Code::ProviderFailed))
}

async fn states(store: Option<&Arc<dyn Store>>, inventory: &Inventory) -> Result<States, Failure> {
    let mut states = States::new();
    for endpoint in &inventory.endpoints {
        let scope = &endpoint.owner.scope;
        if !states.contains_key(scope) {
            states.insert(scope.clone(), state(store, scope).await?);
        }
    }
    Ok(states)
}

async fn state(store: Option<&Arc<dyn Store>>, scope: &Scope) -> Result<StateSnapshot, Failure> {
    match store {
        None => Ok(StateSnapshot::default()),
        Some(store) => {
            let read = store.snapshot(scope).await;
            read.map_err(|error| refused("the recorded state cannot be read", &error))
        }
    }
}

fn found(inventory: &Inventory, states: &States, endpoints: &LocalEndpoints) -> Vec<Orphan> {
    let nothing = StateSnapshot::default();
    let orphan = |endpoint: &ObservedEndpoint| {
        let why = why(endpoint, states.get(&endpoint.owner.scope).unwrap_or(&nothing))?;
        let started_ms = endpoints.started_at(&endpoint.endpoint_id).and_then(milliseconds);
        Some(Orphan { endpoint: endpoint.clone(), why, started_ms })
    };
    inventory.endpoints.iter().filter_map(orphan).collect()
}

/// Why nobody wants it. None if a record names it, or an intent that is recorded, and if it was deleted already.
fn why(endpoint: &ObservedEndpoint, state: &StateSnapshot) -> Option<String> {
    let resource = &endpoint.owner.resource;
    if endpoint.phase == ObservedPhase::Draining {
        return None;
    }
    if state.lineage.is_none() {
        return Some(NO_STATE.to_owned());
    }
    let Some(record) = state.records.get(resource) else {
        return Some(format!("nothing is recorded of {resource}"));
    };
    let is_intended =
        record.intent.as_ref().is_some_and(|intent| intent.idempotency_key == endpoint.idempotency_key);
    match &record.endpoint_id {
        Some(recorded) if *recorded == endpoint.endpoint_id => None,
        _ if is_intended => None,
        Some(recorded) => Some(format!("{resource} is recorded as {recorded}")),
        None => Some(format!("{resource} is recorded without an endpoint")),
    }
}

fn milliseconds(time: SystemTime) -> Option<u64> {
    u64::try_from(time.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
}

fn document(orphan: &Orphan) -> serde_json::Value {
    let endpoint = &orphan.endpoint;
    json!({
        "endpoint_id": endpoint.endpoint_id, "app": endpoint.owner.scope.app,
        "environment": endpoint.owner.scope.environment, "resource": endpoint.owner.resource,
        "phase": endpoint.phase, "started_ms": orphan.started_ms, "url": endpoint.url, "why": orphan.why,
    })
}

fn consent(args: &OrphansArgs, count: usize, printer: Printer) -> Result<(), Failure> {
    if args.yes {
        return Ok(());
    }
    let refused = |message: &str| Failure::coded(Code::NoConsent, message.to_owned());
    let question = format!("delete {} with their queues? [y/N] ", counted(count, "endpoint"));
    match printer.ask(&question) {
        Some(answer) if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") => Ok(()),
        Some(_) => Err(refused("nothing was deleted")),
        None => {
            Err(refused("there is no terminal to ask on; nothing was deleted")
                .hint("say --yes if you mean it"))
        }
    }
}

/// Deletes under the lease of each app+environment, so that no mothership decides about the same endpoint meanwhile.
struct Deleter {
    run_dir: RunDir,
    endpoints: LocalEndpoints,
    place: StatePlace,
    store: Option<Arc<dyn Store>>,
    printer: Printer,
}

impl Deleter {
    async fn delete(&self, orphans: &[Orphan]) -> Result<(), Failure> {
        let mut by_scope: BTreeMap<&Scope, Vec<&EndpointId>> = BTreeMap::new();
        for orphan in orphans {
            by_scope.entry(&orphan.endpoint.owner.scope).or_default().push(&orphan.endpoint.endpoint_id);
        }
        self.endpoints.sweep().await;
        // Held where nobody else has it: then whoever led from under it is dead.
        let lock = self.run_dir.lock().ok();
        let mut failures = 0;
        for (scope, ids) in by_scope {
            if let Err(failure) = self.delete_in(scope, &ids, lock.as_ref()).await {
                failure.print(self.printer);
                failures += 1;
            }
        }
        match failures {
            0 => Ok(()),
            _ => Err(Failure::new("not every orphan was deleted")),
        }
    }

    async fn delete_in(
        &self,
        scope: &Scope,
        ids: &[&EndpointId],
        lock: Option<&Lock>,
    ) -> Result<(), Failure> {
        let known = state(self.store.as_ref(), scope).await?;
        match (&self.store, known.lineage) {
            (Some(store), Some(lineage)) => {
                let lease = acquire(store, scope, lock.is_some() && self.place.is_the_projects_own()).await?;
                let mandate = Mandate { mothership_id: lineage, fence: lease.fence };
                let deleted = self.delete_under(scope, ids, &mandate).await;
                let release = LeaseRequest::Release { holder: lease.holder, fence: lease.fence };
                if let Err(error) = store.lease(scope, release).await {
                    tracing::debug!(%error, "lease not given back");
                }
                deleted
            }
            _ if lock.is_none() => Err(Failure::coded(
                Code::AlreadyRunning,
                format!("a mothership of this project runs, and may know the endpoints of {scope} from another state"),
            )
            .hint("stop it first")),
            _ => {
                let random = getrandom::u64()
                    .map_err(|error| Failure::because("no randomness on this machine", &error))?;
                let mothership_id = MothershipId::new(format!("orphans-{random:016x}"))
                    .map_err(|error| Failure::because("internal name", &error))?;
                self.delete_under(scope, ids, &Mandate { mothership_id, fence: 1 }).await
            }
        }
    }

    /// What was an orphan when it was listed is looked at once more.
    async fn delete_under(
        &self,
        scope: &Scope,
        ids: &[&EndpointId],
        mandate: &Mandate,
    ) -> Result<(), Failure> {
        let state = state(self.store.as_ref(), scope).await?;
        for endpoint in listed(&self.endpoints)?.endpoints {
            let id = &endpoint.endpoint_id;
            if !ids.contains(&id) {
                continue;
            }
            if why(&endpoint, &state).is_none() {
                self.printer.notice(format_args!("{id} is wanted by now and stays"));
                continue;
            }
            self.endpoints.delete(id, mandate).await.map_err(|error| {
                Failure::because(format!("{id} cannot be deleted"), &error).code(Code::ProviderFailed)
            })?;
            match self.endpoints.find(id) {
                Existence::Absent => self.printer.notice(format_args!("deleted {id}")),
                _ => self.printer.notice(format_args!("deleted {id}; it finishes what it has in hand first")),
            }
        }
        Ok(())
    }
}

async fn acquire(store: &Arc<dyn Store>, scope: &Scope, is_seated: bool) -> Result<Lease, Failure> {
    let random = |error: &dyn std::error::Error| Failure::because("no randomness on this machine", error);
    let settings = LeaseSettings::new(PURPOSE).map_err(|error| random(&error))?;
    let request = LeaseRequest::Acquire {
        holder: settings.holder,
        purpose: settings.purpose,
        seat: is_seated.then(|| boot::LEASE_SEAT.to_owned()),
        term_ms: u64::try_from(settings.term.as_millis()).unwrap_or(u64::MAX),
    };
    let lease = store.lease(scope, request).await.map_err(|error| {
        refused(&format!("endpoints of {scope} are not deleted"), &error)
            .hint("whoever leads removes what nobody wants by itself; stop it, or wait for its lease to end")
    })?;
    lease.ok_or_else(|| Failure::new("the lease was not given"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics says where")]
mod tests {
    use flash_model::*;

    use super::why;

    #[test]
    fn only_what_neither_a_record_nor_an_intent_names_is_an_orphan() {
        let name = ResourceName::new("a").unwrap();
        let endpoint = ObservedEndpoint {
            endpoint_id: EndpointId::new("e-1").unwrap(),
            owner: Owner {
                scope: Scope {
                    app: AppName::new("p").unwrap(),
                    environment: EnvironmentName::new("dev").unwrap(),
                },
                resource: name.clone(),
            },
            idempotency_key: IdempotencyKey::new("k-1").unwrap(),
            config_hash: String::new(),
            phase: ObservedPhase::Running,
            url: None,
            spec: None,
            mothership_url: None,
        };
        let intent = |key: &str| {
            let idempotency_key = IdempotencyKey::new(key).unwrap();
            Some(Intent { action: IntentAction::Create, idempotency_key, config_hash: String::new() })
        };
        let state = |id: Option<&str>, intent: Option<Intent>| {
            let mut record = ResourceRecord::new(name.clone(), "local");
            record.endpoint_id = id.map(|id| EndpointId::new(id).unwrap());
            record.intent = intent;
            let mut state =
                StateSnapshot { lineage: MothershipId::new("ms-1").ok(), ..StateSnapshot::default() };
            state.records.insert(name.clone(), record);
            state
        };
        assert_eq!(why(&endpoint, &state(Some("e-1"), None)), None);
        assert_eq!(why(&endpoint, &state(Some("e-2"), intent("k-1"))), None, "it is being made");
        assert_eq!(why(&endpoint, &state(None, intent("k-1"))), None);
        assert_eq!(why(&endpoint, &state(Some("e-2"), None)).unwrap(), "a is recorded as e-2");
        assert_eq!(why(&endpoint, &state(None, intent("k-2"))).unwrap(), "a is recorded without an endpoint");
        let empty = StateSnapshot { lineage: MothershipId::new("ms-1").ok(), ..StateSnapshot::default() };
        assert_eq!(why(&endpoint, &empty).unwrap(), "nothing is recorded of a");
        assert!(why(&endpoint, &StateSnapshot::default()).unwrap().contains("no state"));
    }
}
