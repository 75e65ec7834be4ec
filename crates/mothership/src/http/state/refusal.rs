//! What the store refused, as problem documents.

use flash_model::wire::{Problem, StateRefusal};
use flash_model::{Code, LeaseRefusal, Retry};

use super::super::problem::Refusal;
use crate::store::Error;

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        problem(error).into()
    }
}

fn problem(error: Error) -> Problem {
    let detail = error.to_string();
    match error {
        Error::Conflict { resource, expected, actual } => Problem::new(Code::StateConflict, 412, detail)
            .hint("read it again and decide anew")
            .refusal(StateRefusal::Conflict { resource, expected, actual }),
        Error::Overtaken { expected, actual } => Problem::new(Code::StateConflict, 412, detail)
            .hint("read it again and decide anew")
            .refusal(StateRefusal::Overtaken { expected, actual }),
        Error::Fenced { fence, held_by } => Problem::new(Code::LeaseLost, 409, detail)
            .hint("ask for the lease, read the state again, and decide anew")
            .refusal(StateRefusal::Fenced { fence, held_by }),
        Error::Lease(refusal) => {
            let code = match &refusal {
                LeaseRefusal::Held { .. } => Code::LeaseHeld,
                LeaseRefusal::Lost { .. } => Code::LeaseLost,
            };
            Problem::new(code, 409, detail).refusal(refusal.into())
        }
        Error::NotEmpty { records, .. } => {
            Problem::new(Code::StateNotEmpty, 409, detail).refusal(StateRefusal::NotEmpty { records })
        }
        error => {
            // What it says of files and hosts is for whoever runs the server, not for its callers.
            tracing::warn!(error = %crate::reconcile::chain(&error), "state store failed");
            let status = if error.retry() == Retry::Never { 500 } else { 503 };
            Problem::new(Code::StoreFailed, status, detail).hint("the server's log says more")
        }
    }
}

/// Somebody leads, and the request brought no lease of its own.
pub(super) fn locked(refusal: LeaseRefusal) -> Refusal {
    let detail = format!("{refusal}, and this request names none of its own");
    Problem::new(Code::LeaseHeld, 423, detail)
        .hint("send `Flash-Fence: N` with the number of your lease, or wait until the holder is done")
        .refusal(refusal.into())
        .into()
}

pub(super) fn not_found(detail: impl Into<String>) -> Refusal {
    Problem::new(Code::StateNotFound, 404, detail).into()
}

pub(super) fn moved(detail: impl Into<String>) -> Refusal {
    Problem::new(Code::StateConflict, 412, detail).hint("read it again and decide anew").into()
}
