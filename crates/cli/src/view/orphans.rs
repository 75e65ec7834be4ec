//! Endpoints that no record names.

use comfy_table::{Table, presets};
use flash_model::ObservedPhase;

use crate::commands::orphans::Orphan;

pub(crate) fn table(orphans: &[Orphan]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["ENDPOINT", "OF", "RESOURCE", "STATE", "STARTED", "WHY"]);
    for Orphan { endpoint, why, started_ms } in orphans {
        let phase = match endpoint.phase {
            ObservedPhase::Running => "running",
            ObservedPhase::Stopped => "stopped",
            ObservedPhase::Unresponsive => "not answering",
            ObservedPhase::Draining => "draining",
        };
        table.add_row([
            endpoint.endpoint_id.to_string(),
            endpoint.owner.scope.to_string(),
            endpoint.owner.resource.to_string(),
            phase.to_owned(),
            started_ms.map_or_else(|| "unknown".to_owned(), super::time::moment),
            why.clone(),
        ]);
    }
    super::lines(&table)
}
