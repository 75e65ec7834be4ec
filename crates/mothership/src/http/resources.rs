//! `GET /api/v1/resources`: of every resource whether it is as the applied manifest wants it, and why not.

use std::time::Duration;

use axum::Json;
use axum::extract::State as Extract;
use flash_model::wire::Problem;
use flash_model::{Code, Outcome};
use tokio::time::{Instant, sleep};

use super::State;
use super::problem::Refusal;
use crate::service::Handle;
use crate::store::{self, Clock, SystemClock};

/// Between two looks at the records while something is under way.
const LOOK_PERIOD: Duration = Duration::from_millis(100);

pub(super) async fn get(Extract(state): Extract<State>) -> Result<Json<Outcome>, Refusal> {
    let handle = state.mothership()?;
    let stored = handle.store().manifest(handle.scope()).await.map_err(|error| failed(&error))?;
    let Some(stored) = stored else {
        return Err(Problem::new(Code::NotReady, 503, "nothing was applied yet").into());
    };
    let records = handle.store().snapshot(handle.scope()).await.map_err(|error| failed(&error))?;
    Ok(Json(Outcome::of(stored.generation, &stored.manifest, &records, SystemClock.now_ms())))
}

/// What became of the manifest that was applied as `generation`, once nothing is under way or `wait` is over.
pub(super) async fn settled(handle: &Handle, generation: u64, wait: Duration) -> Result<Outcome, Refusal> {
    let until = Instant::now() + wait;
    let stored = handle.store().generation(handle.scope(), generation).await;
    let manifest = stored.map_err(|error| failed(&error))?.map(|stored| stored.manifest);
    let Some(manifest) = manifest else {
        let detail = format!("generation {generation} is not kept any more");
        return Err(Problem::new(Code::UnknownGeneration, 404, detail).into());
    };
    loop {
        let state = handle.store().snapshot(handle.scope()).await.map_err(|error| failed(&error))?;
        let outcome = Outcome::of(generation, &manifest, &state, SystemClock.now_ms());
        if outcome.is_settled() || Instant::now() >= until {
            return Ok(outcome);
        }
        sleep(LOOK_PERIOD).await;
    }
}

pub(super) fn failed(error: &store::Error) -> Refusal {
    Problem::new(Code::StoreFailed, 503, crate::reconcile::chain(error)).into()
}
