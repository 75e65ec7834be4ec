//! What was applied, and what happened.

use axum::Json as Answer;
use axum::extract::State as Extract;
use axum::http::StatusCode;
use flash_model::wire::{EventsRequest, EventsResponse, GenerationResponse, GenerationsResponse, Problem};
use flash_model::{Code, EVENTS_MAX};
use serde::Deserialize;

use super::super::extract::{Asked, At, Json};
use super::super::problem::Refusal;
use super::StateApi;
use super::refusal::not_found;
use crate::store::EVENTS_READ_MAX;

/// In place of a number: the last one.
const APPLIED: &str = "applied";

#[derive(Debug, Deserialize)]
pub(super) struct Page {
    #[serde(default)]
    after: u64,
    #[serde(default = "all")]
    limit: u32,
}

fn all() -> u32 {
    EVENTS_READ_MAX
}

pub(super) async fn generations(
    Extract(api): Extract<StateApi>,
    At(id): At<String>,
) -> Result<Answer<GenerationsResponse>, Refusal> {
    let (store, scope) = api.scope(&id).await?;
    Ok(Answer(GenerationsResponse { generations: store.generations(&scope).await? }))
}

pub(super) async fn generation(
    Extract(api): Extract<StateApi>,
    At((id, number)): At<(String, String)>,
) -> Result<Answer<GenerationResponse>, Refusal> {
    let (store, scope) = api.scope(&id).await?;
    let stored = match number.as_str() {
        APPLIED => store.manifest(&scope).await?,
        number => {
            let number = number.parse().map_err(|_| {
                not_found(format!("{number:?} is no generation: use a number or `{APPLIED}`"))
            })?;
            store.generation(&scope, number).await?
        }
    };
    let stored = stored.ok_or_else(|| not_found(format!("{scope} has no generation {number}")))?;
    Ok(Answer(GenerationResponse { generation: stored.generation, manifest: stored.manifest }))
}

pub(super) async fn events(
    Extract(api): Extract<StateApi>,
    At(id): At<String>,
    Asked(Page { after, limit }): Asked<Page>,
) -> Result<Answer<EventsResponse>, Refusal> {
    let (store, scope) = api.scope(&id).await?;
    Ok(Answer(EventsResponse { events: store.events(&scope, after, limit).await? }))
}

/// Reasons are cut to their length here too, whoever sent them.
pub(super) async fn append(
    Extract(api): Extract<StateApi>,
    At(id): At<String>,
    Json(EventsRequest { happenings }): Json<EventsRequest>,
) -> Result<StatusCode, Refusal> {
    if happenings.len() as u64 > EVENTS_MAX {
        let detail = format!("more than {EVENTS_MAX} events at once");
        return Err(Problem::new(Code::PayloadTooLarge, 413, detail).into());
    }
    let (store, scope) = api.scope_to_write(&id).await?;
    let cut = |happening: flash_model::Happening| {
        flash_model::Happening::new(happening.who, happening.what, happening.resource, happening.why)
    };
    store.append(&scope, happenings.into_iter().map(cut).collect()).await?;
    Ok(StatusCode::NO_CONTENT)
}
