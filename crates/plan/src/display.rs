//! A plan as a person reads it.

use std::fmt;

use crate::{Action, Plan, Reason, Step};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in self.changes() {
            writeln!(f, "{step}")?;
        }
        for step in self.drifted() {
            writeln!(f, "! left as it is {}", Reasons(step))?;
        }
        for deferred in &self.deferred {
            writeln!(f, "? {}: {}", deferred.resource, deferred.why)?;
        }
        let count = |action| self.steps.iter().filter(|step| step.action == action).count();
        write!(
            f,
            "{} to create, {} to change, {} to delete, {} unchanged",
            count(Action::Create),
            count(Action::Update) + count(Action::Replace) + count(Action::Adopt),
            count(Action::Delete) + count(Action::Forget),
            count(Action::NoOp),
        )
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.action.symbol(), self.action, Reasons(self))
    }
}

/// A resource and why something is done about it, or would have to be.
struct Reasons<'a>(&'a Step);

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.resource)?;
        let mut separator = ": ";
        for reason in &self.0.reasons {
            write!(f, "{separator}{reason}")?;
            separator = ", ";
        }
        Ok(())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unchanged => write!(f, "unchanged"),
            Self::New => write!(f, "new"),
            Self::NotInManifest => write!(f, "not in the manifest"),
            Self::Gone => write!(f, "its endpoint is gone"),
            Self::Stopped => write!(f, "its endpoint is stopped"),
            Self::Unresponsive => write!(f, "its endpoint does not answer"),
            Self::Drifted(change) => {
                write!(f, "changed outside: {} {} → {}", change.field, change.old, change.new)
            }
            Self::ChangedOutside => write!(f, "changed outside"),
            Self::Unrecorded => write!(f, "running but not recorded"),
            Self::Surplus => write!(f, "surplus endpoint"),
            Self::CodeChanged => write!(f, "code changed"),
            Self::FieldChanged(change) => write!(f, "{} {} → {}", change.field, change.old, change.new),
            Self::HashChanged => write!(f, "specification changed"),
            Self::Interrupted => write!(f, "an earlier attempt was interrupted"),
        }
    }
}
