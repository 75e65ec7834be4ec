//! What became of what was applied.

use comfy_table::{Table, presets};
use flash_model::{End, Outcome, ResourceOutcome};

/// One row per resource.
pub(crate) fn table(outcome: &Outcome) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["RESOURCE", "STATUS", "ENDPOINT", "WHY"]);
    for (name, resource) in &outcome.resources {
        let endpoint = resource.endpoint_id.as_ref().map(ToString::to_string).unwrap_or_default();
        table.add_row([name.to_string(), status(resource), endpoint, why(resource)]);
    }
    super::lines(&table)
}

/// `2 of 3 ready`, and who is not.
pub(crate) fn sum(outcome: &Outcome) -> String {
    let named = |end: End| {
        let names = outcome.resources.iter().filter(|(_, resource)| resource.end == end);
        names.map(|(name, _)| name.as_str()).collect::<Vec<_>>()
    };
    let mut sum = format!("{} of {} ready", named(End::Done).len(), outcome.resources.len());
    for (end, word) in [(End::Failed, "failed"), (End::UnderWay, "under way")] {
        let names = named(end);
        if !names.is_empty() {
            sum.push_str(&format!("; {word}: {}", names.join(", ")));
        }
    }
    sum
}

/// What a person reads while it happens.
pub(crate) fn line(name: &str, resource: &ResourceOutcome) -> String {
    match why(resource) {
        why if why.is_empty() => format!("{name} {}", status(resource)),
        why => format!("{name} {}: {why}", status(resource)),
    }
}

fn status(resource: &ResourceOutcome) -> String {
    let word = resource.status.to_string();
    match (resource.end, resource.serves) {
        (End::Failed, true) => format!("{word} (the earlier version serves)"),
        (End::UnderWay, true) => "changing".to_owned(),
        _ => word,
    }
}

/// The first line: what follows is a program's output, which is in the endpoint's log.
fn why(resource: &ResourceOutcome) -> String {
    let reason = resource.reason.as_deref().and_then(|reason| reason.lines().next()).unwrap_or_default();
    match resource.code {
        Some(code) if !reason.is_empty() => format!("{code}: {reason}"),
        _ => reason.to_owned(),
    }
}
