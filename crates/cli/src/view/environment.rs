//! What of a manifest the source takes from the environment, with defaults.

use std::collections::BTreeSet;

use flash_model::Manifest;

use crate::printer::Printer;

/// `prep: name from STAGE, workersMax from WORKERS`, one line for each resource that has any.
pub(crate) fn lines(manifest: &Manifest) -> Vec<String> {
    let of_resource = |fields: &std::collections::BTreeMap<String, Vec<String>>| {
        let fields = fields.iter().map(|(field, variables)| format!("{field} from {}", variables.join(", ")));
        fields.collect::<Vec<_>>().join(", ")
    };
    manifest
        .resources
        .iter()
        .filter(|(_, resource)| !resource.environment_dependent.is_empty())
        .map(|(name, resource)| format!("{name}: {}", of_resource(&resource.environment_dependent)))
        .collect()
}

/// Manifests hold the defaults on every machine: says so to whoever has set such a variable.
pub(crate) fn note_ignored(manifest: &Manifest, printer: Printer) {
    let variables: BTreeSet<&String> = manifest
        .resources
        .values()
        .flat_map(|resource| resource.environment_dependent.values().flatten())
        .collect();
    for variable in variables {
        if crate::environment::text(variable).is_some() {
            printer.note(
                None,
                format!("{variable} is set here, but the manifest has the default that the source gives it"),
            );
        }
    }
}
