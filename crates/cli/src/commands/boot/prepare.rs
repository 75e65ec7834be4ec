//! Python, the SDK and the worker environments: everything that must be there before an endpoint can be.

use std::collections::BTreeMap;

use flash_artifact::requirements::{self, InvalidLine};
use flash_artifact::{ProjectRequirements, RequirementSet};
use flash_providers::LocalProvider;
use flash_providers::local::LocalSettings;
use flash_providers::local::python::{Cancel, Environments, interpreter};
use flash_scan::Scan;

use super::super::installing::{self, Job};
use super::{Boot, blocking};
use crate::error::Failure;
use crate::printer::Printer;

pub(super) async fn provider(boot: &Boot, scan: &Scan, cancel: Cancel) -> Result<LocalProvider, Failure> {
    let Boot { project, run_dir, python, printer, .. } = boot.clone();
    let envs_dir = crate::environment::path(crate::environment::ENVS_DIR);
    let resources: Vec<_> = scan.manifest.resources.values().cloned().collect();
    blocking(move || {
        let search_path = crate::environment::search_path();
        let interpreter = interpreter::find(python.as_deref(), &project.root, &search_path)
            .map_err(installing::no_interpreter)?;
        let requirements =
            ProjectRequirements::read(&project.root).map_err(installing::unreadable_requirements)?;
        let invalid: Vec<InvalidLine> =
            resources.iter().flat_map(requirements::invalid_dependencies).collect();
        if !invalid.is_empty() {
            return Err(installing::invalid_requirements(&invalid));
        }
        let sdk_path = flash_artifact::sdk::materialize(&run_dir.sdk_dir())
            .map_err(|error| Failure::because("the Python SDK cannot be unpacked", &error))?;
        let flash = std::env::current_exe()
            .map_err(|error| Failure::because("this program cannot find itself", &error))?;
        let provider = LocalProvider::new(LocalSettings {
            flash,
            endpoints_dir: run_dir.endpoints_dir(),
            import_root: project.root.clone(),
            sdk_path,
            environments: Environments::new(
                envs_dir.unwrap_or_else(|| run_dir.environments_dir()),
                interpreter,
                &search_path,
            )
            .cancelled_by(cancel),
            requirements,
        });
        let sets: BTreeMap<String, RequirementSet> = resources
            .iter()
            .map(|resource| provider.requirement_set(resource))
            .map(|set| (set.digest(), set))
            .collect();
        install(provider.environments(), &sets.into_values().collect::<Vec<_>>(), printer)?;
        Ok(provider)
    })
    .await
}

/// What is there already costs nothing and says nothing.
fn install(environments: &Environments, sets: &[RequirementSet], printer: Printer) -> Result<(), Failure> {
    let missing = sets.iter().filter(|set| !environments.is_ready(set));
    let jobs = missing.map(|set| Job::new(set, move |progress| environments.ensure(set, progress).map(drop)));
    installing::side_by_side("python environment", jobs.collect(), printer)
        .into_iter()
        .next()
        .map_or(Ok(()), |error| Err(installing::environment_failure(error)))
}
