//! A plan as a person reads it before saying yes.

use std::fmt::Write as _;

use flash_plan::{Action, PlanFile, Reason, Step};
use serde_json::Value;

/// Longer values of a field are cut.
const VALUE_SHOWN_CHARS_MAX: usize = 60;

/// Steps in the order in which they are applied, what is left as it is, what is not known, and the sum.
pub(crate) fn text(file: &PlanFile) -> String {
    let mut text = heading(file);
    let steps: Vec<&Step> = file.plan.changes().collect();
    let number_width = steps.len().to_string().len();
    let name_width =
        steps.iter().map(|step| step.resource.as_str().chars().count()).max().unwrap_or_default();
    let action_width = steps.iter().map(|step| step.action.to_string().len()).max().unwrap_or_default();
    for (index, step) in steps.iter().enumerate() {
        let start = format!(
            "{:>number_width$}. {} {:<action_width$}  {:<name_width$}  ",
            index + 1,
            step.action.symbol(),
            step.action,
            step.resource
        );
        let mut reasons = step.reasons.iter().map(|reason| shown(reason, step));
        let _ = write!(text, "{start}{}", reasons.next().unwrap_or_default());
        for reason in reasons {
            let _ = write!(text, "\n{:width$}{reason}", "", width = start.chars().count());
        }
        text.push('\n');
    }
    if !steps.is_empty() {
        text.push('\n');
    }
    for step in file.plan.drifted() {
        let reasons: Vec<String> = step.reasons.iter().map(|reason| shown(reason, step)).collect();
        let _ = writeln!(text, "! {} is left as it is: {}", step.resource, reasons.join(", "));
    }
    for deferred in &file.plan.deferred {
        let _ = writeln!(text, "? {} is not known well enough to act: {}", deferred.resource, deferred.why);
    }
    if file.plan.drifted().next().is_some() || !file.plan.deferred.is_empty() {
        text.push('\n');
    }
    text.push_str(&sum(file));
    text
}

fn heading(file: &PlanFile) -> String {
    let state = match &file.lineage {
        Some(lineage) => format!("from state {} of {lineage}", file.plan.state_serial),
        None => "nothing is recorded yet".to_owned(),
    };
    format!("{}: {state}\n\n", file.scope)
}

fn sum(file: &PlanFile) -> String {
    let count =
        |wanted: &[Action]| file.plan.steps.iter().filter(|step| wanted.contains(&step.action)).count();
    format!(
        "{} to create, {} to change, {} to delete, {} unchanged",
        count(&[Action::Create]),
        count(&[Action::Adopt, Action::Update, Action::Replace]),
        count(&[Action::Delete, Action::Forget]),
        count(&[Action::NoOp]),
    )
}

fn shown(reason: &Reason, step: &Step) -> String {
    match reason {
        Reason::FieldChanged(change) => {
            format!("{} {} → {}", change.field, value(&change.old), value(&change.new))
        }
        Reason::Drifted(change) => {
            format!("changed outside: {} {} → {}", change.field, value(&change.old), value(&change.new))
        }
        Reason::NotInManifest | Reason::Surplus => match &step.endpoint_id {
            Some(endpoint_id) => format!("{reason} ({endpoint_id})"),
            None => reason.to_string(),
        },
        reason => reason.to_string(),
    }
}

fn value(value: &Value) -> String {
    let text = match value {
        Value::Null => "nothing".to_owned(),
        value => value.to_string(),
    };
    match text.char_indices().nth(VALUE_SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
