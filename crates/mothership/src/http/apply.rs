//! `POST /api/v1/apply`: does exactly what a plan file says, or nothing.

use std::time::Duration;

use axum::Json;
use axum::extract::State as Extract;
use flash_model::wire::Problem;
use flash_model::{Code, Outcome};
use flash_plan::PlanFile;
use serde::Deserialize;

use super::State;
use super::extract::{Asked, Body};
use super::guard::TokenHolder;
use super::problem::Refusal;
use super::resources::settled;
use crate::reconcile::{ApplyRefusal, Desired};
use crate::service::Handle;

/// For everything to become ready or fail, unless the caller waits for less.
const WAIT_SECONDS_MAX: u64 = 30 * 60;

#[derive(Debug, Deserialize)]
pub(super) struct Wait {
    /// Seconds to wait for the outcome; it may say that something is still under way.
    wait: Option<u64>,
}

impl Wait {
    pub(super) fn duration(&self) -> Duration {
        Duration::from_secs(self.wait.unwrap_or(WAIT_SECONDS_MAX).min(WAIT_SECONDS_MAX))
    }
}

pub(super) async fn apply(
    _: TokenHolder,
    Extract(state): Extract<State>,
    Asked(wait): Asked<Wait>,
    Body(body): Body,
) -> Result<Json<Outcome>, Refusal> {
    let handle = state.mothership()?;
    let text = std::str::from_utf8(&body).map_err(|_| unusable("it is not UTF-8"))?;
    let file = PlanFile::from_json(text).map_err(|error| unusable(&crate::reconcile::chain(&error)))?;
    if file.scope != *handle.scope() {
        let detail =
            format!("it is a plan for {}, and this mothership serves {}", file.scope, handle.scope());
        return Err(unusable(&detail));
    }
    if file.manifest.resources.is_empty() {
        return Err(Problem::new(Code::NoFunctions, 422, "the plan wants no resource at all").into());
    }
    let plan = file.plan_in(handle.mothership_id()).ok_or_else(|| {
        let detail = "the plan is not what would be done now: it was made from another state, which is gone";
        Refusal::from(Problem::new(Code::StateConflict, 409, detail).hint("plan again: `flash plan -o FILE`"))
    })?;
    let environment = handle.environment(&file.manifest);
    let desired = Desired { manifest: file.manifest.into(), environment };
    let generation = handle.apply(desired, plan).await.map_err(|refusal| refused(&refusal))?;
    Ok(Json(settled(handle, generation, wait.duration()).await?))
}

fn unusable(why: &str) -> Refusal {
    let detail = format!("the body is not a plan file that can be applied: {why}");
    Problem::new(Code::InvalidPlanFile, 400, detail).hint("have it written by `flash plan -o FILE`").into()
}

pub(super) fn refused(refusal: &ApplyRefusal) -> Refusal {
    let problem = |code, status| Problem::new(code, status, refusal.to_string());
    match refusal {
        ApplyRefusal::Moved(_) | ApplyRefusal::Superseded => {
            problem(Code::StateConflict, 409).hint("plan again: `flash plan -o FILE`").into()
        }
        ApplyRefusal::NotLeading(_) => not_leading(refusal.to_string()),
        ApplyRefusal::Failed(_) => problem(Code::StoreFailed, 500).into(),
    }
}

pub(super) fn not_leading(detail: String) -> Refusal {
    Problem::new(Code::StateConflict, 421, detail)
        .hint("ask the one that leads; `flash state lease` says who that is")
        .into()
}

/// Applying again from what is stored is the leader's alone.
pub(super) fn check_leading(handle: &Handle) -> Result<(), Refusal> {
    match &*handle.role().borrow() {
        crate::Role::Leading { .. } => Ok(()),
        crate::Role::Starting => Err(Problem::new(Code::NotReady, 503, "this mothership is starting").into()),
        crate::Role::Following { leader } => {
            Err(not_leading(ApplyRefusal::NotLeading(leader.clone()).to_string()))
        }
    }
}
