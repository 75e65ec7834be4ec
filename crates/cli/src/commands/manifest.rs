//! `flash manifest [PATH]`, `flash manifest --openapi RESOURCE` and `flash manifest --schema`.

use flash_model::{EndpointKind, Manifest, openapi};

use crate::args::ManifestArgs;
use crate::error::Failure;
use crate::printer::Printer;
use crate::project::{CodeFrom, Project};

pub(crate) fn manifest(args: &ManifestArgs, printer: Printer) -> Result<(), Failure> {
    if args.schema {
        printer.data(schema());
        return Ok(());
    }
    let project = Project::locate(&args.path)?;
    let scan = project.scan(&project.select()?, CodeFrom::Artifact, printer)?;
    if let Some(resource) = &args.openapi {
        printer.data(document(&scan.manifest, resource)?);
        return Ok(());
    }
    let json = scan
        .manifest
        .to_json()
        .map_err(|error| Failure::because("the manifest cannot be written as JSON", &error))?;
    printer.data(json.trim_end());
    Ok(())
}

fn document(manifest: &Manifest, wanted: &str) -> Result<String, Failure> {
    let is_served = |kind: EndpointKind| kind == EndpointKind::LoadBalanced;
    let found = manifest.resources.iter().find(|(name, _)| name.as_str() == wanted);
    let known: Vec<&str> = manifest
        .resources
        .iter()
        .filter(|(_, resource)| is_served(resource.spec.kind))
        .map(|(name, _)| name.as_str())
        .collect();
    let hint = match known.as_slice() {
        [] => "the project has none; `LiveLoadBalancer(name=\"api\")` makes one".to_owned(),
        known => format!("load-balanced here: {}", known.join(", ")),
    };
    match found {
        Some((name, resource)) if is_served(resource.spec.kind) => {
            Ok(format!("{:#}", openapi::document(&manifest.project_name, name, resource)))
        }
        Some((name, resource)) => {
            let kind = resource.spec.kind.label();
            let message =
                format!("{name} is no load-balanced resource but a {kind} one, which has no routes");
            Err(Failure::new(message).hint(hint))
        }
        None => Err(Failure::new(format!("the project has no resource {wanted}")).hint(hint)),
    }
}

/// Generated from the types; `docs/manifest.schema.json` is the same text.
fn schema() -> String {
    format!("{:#}", schemars::schema_for!(Manifest).to_value())
}

#[cfg(test)]
mod tests {
    /// `UPDATE_EXPECT=1` writes the file anew.
    #[test]
    #[allow(clippy::disallowed_methods, reason = "the person who runs the tests says so this way")]
    fn the_checked_in_schema_is_what_the_types_say() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/manifest.schema.json");
        let actual = super::schema() + "\n";
        if std::env::var_os("UPDATE_EXPECT").is_some() {
            std::fs::write(path, &actual).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), actual);
    }
}
