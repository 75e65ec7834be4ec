//! What a plan is made from, read without changing anything: the recorded state and what exists.

use flash_model::{Code, Inventory, Manifest, Scope, StateSnapshot};
use flash_plan::{Drift, PlanFile, Policy};
use flash_providers::local::LocalEndpoints;

use crate::error::Failure;
use crate::run_dir::RunDir;
use crate::state_store::{StatePlace, refused};

/// The state and the world at one moment.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) state: StateSnapshot,
    pub(super) inventory: Inventory,
    place: Option<String>,
}

impl Observed {
    /// Of a project that never ran: nothing is recorded and nothing exists. Makes no file then.
    pub(super) async fn of(place: &StatePlace, run_dir: &RunDir, scope: &Scope) -> Result<Self, Failure> {
        let state = match place.open_if_any().await? {
            Some(store) => {
                let read = store.snapshot(scope).await;
                read.map_err(|error| refused("the recorded state cannot be read", &error))?
            }
            None => StateSnapshot::default(),
        };
        let endpoints = LocalEndpoints::new(&run_dir.endpoints_dir());
        let inventory = endpoints.inventory(scope).map_err(|error| {
            Failure::because("what exists cannot be listed", &error).code(Code::ProviderFailed)
        })?;
        Ok(Self { state, inventory, place: endpoints.place() })
    }

    pub(super) fn plan(self, scope: Scope, drift: Drift, manifest: Manifest) -> PlanFile {
        let policy = Policy { scope: scope.clone(), place: self.place, own_resource: None, drift };
        let plan = flash_plan::plan(&manifest, &self.state, &self.inventory, &policy);
        PlanFile::new(scope, self.state.lineage, drift, manifest, plan)
    }
}
