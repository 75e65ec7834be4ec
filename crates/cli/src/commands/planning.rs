//! What a plan is made from, read without changing anything: the recorded state and what exists.

use flash_model::{Code, Inventory, Manifest, Scope, StateSnapshot};
use flash_mothership::store::{SqliteStore, Store};
use flash_plan::{Drift, PlanFile, Policy};
use flash_providers::local::LocalEndpoints;

use crate::error::Failure;
use crate::run_dir::RunDir;

/// The state and the world at one moment.
#[derive(Debug)]
pub(super) struct Observed {
    pub(super) state: StateSnapshot,
    pub(super) inventory: Inventory,
    place: Option<String>,
}

impl Observed {
    /// Of a project that never ran: nothing is recorded and nothing exists. Makes no file then.
    pub(super) async fn of(run_dir: &RunDir, scope: &Scope) -> Result<Self, Failure> {
        let state = match recorded(run_dir)? {
            Some(store) => {
                let read = store.snapshot(scope).await;
                read.map_err(|error| state_failed("the recorded state cannot be read", &error))?
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

/// The project's state, if there is any.
pub(super) fn recorded(run_dir: &RunDir) -> Result<Option<SqliteStore>, Failure> {
    let path = run_dir.state_path();
    if !path.exists() {
        return Ok(None);
    }
    let opened = SqliteStore::open(&path);
    opened
        .map(Some)
        .map_err(|error| state_failed(format!("the state at {} cannot be opened", path.display()), &error))
}

fn state_failed(message: impl Into<String>, error: &dyn std::error::Error) -> Failure {
    Failure::because(message, error).code(Code::StoreFailed)
}
