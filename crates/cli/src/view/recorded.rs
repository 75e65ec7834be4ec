//! The table of what was recorded.

use comfy_table::{Table, presets};

use crate::commands::status::{Process, Recorded};

/// One row per resource: name, kind, recorded status, its process, and the URL where that answers.
pub(crate) fn table(recorded: &Recorded) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["RESOURCE", "KIND", "RECORDED", "PROCESS", "URL"]);
    for (name, resource) in &recorded.resources {
        let (provisioned, process) = (&resource.provisioned, resource.process);
        let url = provisioned.endpoint_url.clone().filter(|_| process == Process::Running);
        table.add_row([
            name.to_string(),
            resource.desired.as_ref().map_or("-", |desired| desired.spec.kind.label()).to_owned(),
            provisioned.status.map(|status| status.to_string()).unwrap_or_default(),
            process.label().to_owned(),
            url.unwrap_or_default(),
        ]);
    }
    super::lines(&table)
}
