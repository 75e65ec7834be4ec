//! `flash status [PATH] [--json]`.

use flash_client::Fetched;
use serde_json::json;

use super::{block_on, refused, running_mothership};
use crate::args::StatusArgs;
use crate::error::Failure;
use crate::printer::Printer;
use crate::view;

pub(crate) fn status(args: &StatusArgs, printer: Printer) -> Result<(), Failure> {
    let (mothership, fetched) = block_on(async {
        let mothership = running_mothership(args.path.as_deref()).await?;
        let fetched = mothership.manifest(None, None).await;
        Ok((mothership, fetched.map_err(|error| refused("asking what is running", &error))?))
    })?;
    let Fetched::Document { manifest, .. } = fetched else {
        return Err(Failure::new("the mothership sent no manifest"));
    };
    if args.json {
        let resources: serde_json::Map<_, _> = manifest
            .resources
            .iter()
            .map(|(name, resource)| {
                let provisioned = &resource.provisioned;
                let entry = json!({
                    "kind": resource.spec.kind, "status": provisioned.status, "reason": provisioned.status_reason,
                    "endpoint_id": provisioned.endpoint_id, "endpoint_url": provisioned.endpoint_url,
                    "url": view::resources::front_url(name, resource, mothership.url()),
                    "config_hash": resource.config_hash,
                });
                (name.to_string(), entry)
            })
            .collect();
        printer.data(format_args!(
            "{:#}",
            json!({
                "project": manifest.project_name, "url": mothership.url(),
                "generation": manifest.generation, "resources": resources,
            })
        ));
        return Ok(());
    }
    printer.data(format_args!("{} at {}\n", manifest.project_name, mothership.url()));
    printer.data(view::resources::table(&manifest, mothership.url()));
    for (name, resource) in &manifest.resources {
        if let Some(reason) = &resource.provisioned.status_reason {
            printer.data(format_args!("\n{name}: {reason}"));
        }
    }
    Ok(())
}
