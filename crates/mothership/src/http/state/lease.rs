//! Who writes.

use axum::Json as Answer;
use axum::extract::State as Extract;
use flash_model::wire::{LeaseAction, LeaseResponse, LineageRequest, LineageResponse, PulseResponse};

use super::super::extract::{At, Json};
use super::super::problem::Refusal;
use super::StateApi;

pub(super) async fn pulse(
    Extract(api): Extract<StateApi>,
    At(id): At<String>,
) -> Result<Answer<PulseResponse>, Refusal> {
    let (store, scope) = api.scope(&id).await?;
    let pulse = store.pulse(&scope).await?;
    Ok(Answer(PulseResponse {
        serial: pulse.serial,
        lineage: pulse.lineage,
        lease: pulse.lease,
        now_ms: pulse.now_ms,
    }))
}

pub(super) async fn ask(
    Extract(api): Extract<StateApi>,
    At(id): At<String>,
    Json(action): Json<LeaseAction>,
) -> Result<Answer<LeaseResponse>, Refusal> {
    let (store, scope) = api.scope_to_write(&id).await?;
    Ok(Answer(LeaseResponse { lease: store.lease(&scope, action.into()).await? }))
}

pub(super) async fn lineage(
    Extract(api): Extract<StateApi>,
    At(id): At<String>,
    Json(request): Json<LineageRequest>,
) -> Result<Answer<LineageResponse>, Refusal> {
    let (store, scope) = api.scope_to_write(&id).await?;
    Ok(Answer(LineageResponse { lineage: store.lineage(&scope, request.candidate).await? }))
}
