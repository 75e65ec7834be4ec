//! Whether the `if` that a value is bound under holds whenever the module is imported.

use std::sync::atomic::Ordering;

use crate::fold::fold_traced;
use crate::imports::{FileIndex, Project};
use crate::survey::{Condition, ConditionIndex, Outcome};

/// Conditions that wait for one another's outcome.
const OPEN_MAX: usize = 32;

static UNKNOWN: Outcome = Outcome { holds: None, variables: Vec::new() };

/// Works a condition, and those around it, out once.
pub(crate) fn outcome<'p>(
    project: &'p Project<'_>,
    file: FileIndex,
    condition: ConditionIndex,
) -> &'p Outcome {
    let conditions = &project.surveys[file].conditions;
    let mut unknown = vec![condition];
    let mut around = conditions[condition].around;
    while let Some(outer) = around.filter(|outer| conditions[*outer].outcome.get().is_none()) {
        unknown.push(outer);
        around = conditions[outer].around;
    }
    for index in unknown.into_iter().rev() {
        let condition = &conditions[index];
        if condition.outcome.get().is_none() {
            let outer = condition.around.and_then(|outer| conditions[outer].outcome.get());
            let found = work_out(project, file, condition, outer);
            condition.outcome.get_or_init(|| found);
        }
    }
    conditions[condition].outcome.get().unwrap_or(&UNKNOWN)
}

fn work_out<'a>(
    project: &Project<'a>,
    file: FileIndex,
    condition: &Condition<'a>,
    outer: Option<&Outcome>,
) -> Outcome {
    let mut found = outer.cloned().unwrap_or(Outcome { holds: Some(true), variables: Vec::new() });
    if found.holds != Some(true) {
        return found;
    }
    // One that asks for a value bound under itself has no outcome.
    let is_again = condition.is_open.swap(true, Ordering::Relaxed);
    let open = project.open_conditions.fetch_add(1, Ordering::Relaxed);
    found.holds = None;
    if !is_again && open < OPEN_MAX {
        let (value, variables) = fold_traced(project, file, condition.test);
        let truth = value.ok().and_then(|value| value.settled().truth());
        found.holds = truth.map(|truth| truth == condition.wanted);
        found.variables.extend(variables);
    }
    project.open_conditions.fetch_sub(1, Ordering::Relaxed);
    if !is_again {
        condition.is_open.store(false, Ordering::Relaxed);
    }
    found
}
