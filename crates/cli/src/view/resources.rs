//! The table of resources.

use comfy_table::{Table, presets};
use flash_model::{Manifest, Resource, ResourceName};

/// One row per resource: name, kind, workers, status, URL through the mothership at `url`.
pub(crate) fn table(manifest: &Manifest, url: &str) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["RESOURCE", "KIND", "WORKERS", "STATUS", "URL"]);
    for (name, resource) in &manifest.resources {
        let spec = &resource.spec;
        let hardware = if spec.hardware.is_gpu() { ", gpu" } else { "" };
        table.add_row([
            name.to_string(),
            format!("{}{hardware}", spec.kind.label()),
            format!("{}–{}", spec.workers_min, spec.workers_max),
            resource.provisioned.status.map(|status| status.to_string()).unwrap_or_default(),
            front_url(name, resource, url),
        ]);
    }
    super::lines(&table)
}

/// Where the mothership's front door has this resource.
pub(crate) fn front_url(name: &ResourceName, resource: &Resource, url: &str) -> String {
    match resource.spec.kind {
        flash_model::EndpointKind::Queue => format!("{url}/v2/{name}"),
        flash_model::EndpointKind::LoadBalanced => format!("{url}/lb/{name}"),
        flash_model::EndpointKind::Asgi => format!("{url}/"),
    }
}
