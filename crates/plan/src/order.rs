//! The order of a plan's steps.

use crate::{Action, Step};

/// Cheap bookkeeping first, then everything that makes endpoints, deletions last; by name within each.
pub(crate) fn sort(steps: &mut [Step]) {
    steps.sort_by(|left, right| rank(left).cmp(&rank(right)).then_with(|| key(left).cmp(&key(right))));
}

fn rank(step: &Step) -> u8 {
    match step.action {
        Action::NoOp | Action::Adopt | Action::Forget => 0,
        Action::Create | Action::Update | Action::Replace => 1,
        Action::Delete => 2,
    }
}

fn key(step: &Step) -> (&str, Option<&str>) {
    (step.resource.as_str(), step.endpoint_id.as_ref().map(|id| id.as_str()))
}
