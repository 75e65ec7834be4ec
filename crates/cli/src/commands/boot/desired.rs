//! What is wanted of a project: its manifest, and values of the environment variables that its resources name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use flash_model::{Manifest, Secret};
use flash_mothership::{Desired, Environment, EnvironmentSource};
use flash_scan::Scan;

use crate::project::{CodeFrom, Project};

/// Values named in the source (`env={…}`), and those that the source takes from this process's environment.
pub(in crate::commands) fn desired(scan: Scan) -> Desired {
    let environment = environment(&scan);
    Desired { manifest: Arc::new(scan.manifest), environment }
}

fn environment(scan: &Scan) -> Environment {
    let mut environment: Environment = BTreeMap::new();
    for (resource, values) in &scan.environment {
        let values = values.iter().map(|(name, value)| (name.clone(), Secret::new(value.as_str())));
        environment.entry(resource.clone()).or_default().extend(values);
    }
    for (resource, sources) in &scan.inherited {
        let values = sources.iter().filter_map(|(name, source)| {
            Some((name.clone(), Secret::new(crate::environment::text(source)?)))
        });
        environment.entry(resource.clone()).or_default().extend(values);
    }
    environment
}

/// For a manifest that was stored, without values: what the project's files say now, else what this process has under
/// the same name. Files that cannot be read now count as they were when they could be.
pub(in crate::commands) fn source(project: Project, scan: &Scan) -> Arc<EnvironmentSource> {
    let last = Mutex::new(environment(scan));
    Arc::new(move |manifest: &Manifest| {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(values) = read(&project) {
            *last = values;
        }
        let mut environment = last.clone();
        for (name, resource) in &manifest.resources {
            let known = environment.entry(name.clone()).or_default();
            for variable in &resource.spec.env {
                if !known.contains_key(variable)
                    && let Some(value) = crate::environment::text(variable)
                {
                    known.insert(variable.clone(), Secret::new(value));
                }
            }
        }
        environment
    })
}

fn read(project: &Project) -> Option<Environment> {
    let sources = project.sources(&project.select().ok()?).ok()?;
    let scan = project.read(&sources, CodeFrom::Folder);
    (!scan.has_errors()).then(|| environment(&scan))
}
