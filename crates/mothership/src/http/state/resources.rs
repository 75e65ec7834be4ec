//! Records, one by one.

use axum::Json as Answer;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use flash_model::wire::ResourcePatch;
use flash_model::{ResourceName, ResourceRecord, Scope, StateSnapshot};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::extract::{At, Json, unfit};
use super::super::problem::Refusal;
use super::StateApi;
use super::conditions::{Condition, is_known, tagged, version_tag};
use super::patch;
use super::refusal::{moved, not_found};
use crate::store::{Error, Store};

/// Of a change that takes nothing for granted, while others change the same record.
const TRIES_MAX: u32 = 5;

pub(super) async fn list(
    Extract(api): Extract<StateApi>,
    At(id): At<String>,
) -> Result<Answer<StateSnapshot>, Refusal> {
    let (store, scope) = api.scope(&id).await?;
    Ok(Answer(store.snapshot(&scope).await?))
}

pub(super) async fn get(
    Extract(api): Extract<StateApi>,
    At((id, name)): At<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let name = resource_name(name)?;
    let (store, scope) = api.scope(&id).await?;
    let record = find(&*store, &scope, &name).await?;
    let record = record.ok_or_else(|| not_found(format!("{scope} has no record of {name}")))?;
    let tag = version_tag(record.version);
    if is_known(&headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, tagged(&tag)).into_response());
    }
    Ok((tagged(&tag), Answer(record)).into_response())
}

/// A whole record, which replaces the version it names; or a patch as the reference's client sends it.
pub(super) async fn put(
    Extract(api): Extract<StateApi>,
    At((id, name)): At<(String, String)>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Result<Response, Refusal> {
    let name = resource_name(name)?;
    let condition = Condition::of(&headers)?;
    let is_record = body.get("provider").is_some() && body.get("version").is_some();
    let written = if is_record {
        let record: ResourceRecord = parse(body)?;
        if record.resource != name {
            return Err(unfit(&format_args!("it is the record of {}, not of {name}", record.resource)).into());
        }
        let place = api.scope_to_write(&id).await?;
        api.write(place, &headers, false, |store, scope, fence| {
            replace(store, scope, fence, record, condition)
        })
        .await?
    } else {
        let patch: ResourcePatch = parse(body)?;
        let place = api.scope_to_write(&id).await?;
        api.write(place, &headers, false, |store, scope, fence| {
            merge(store, scope, fence, name, patch, condition)
        })
        .await?
    };
    let status = if written.version == 1 { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, tagged(&version_tag(written.version)), Answer(written)).into_response())
}

/// Success too if there is no record.
pub(super) async fn delete(
    Extract(api): Extract<StateApi>,
    At((id, name)): At<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    let name = resource_name(name)?;
    let condition = Condition::of(&headers)?;
    let place = api.scope(&id).await?;
    let deleted = api.write(place, &headers, false, |store, scope, fence| async move {
        match &condition {
            // A version that is not there any more was removed: by a request whose answer was lost, perhaps.
            Condition::Is(tags) => {
                let expected = version(tags)?;
                Ok(store.remove(&scope, fence, &name, expected).await?)
            }
            _ => {
                for _ in 0..TRIES_MAX {
                    let current = find(&*store, &scope, &name).await?.map_or(0, |record| record.version);
                    condition.check((current > 0).then_some(version_tag(current)).as_deref())?;
                    match store.remove(&scope, fence, &name, current).await {
                        Err(Error::Conflict { .. }) => {}
                        removed => return Ok(removed?),
                    }
                }
                Err(moved(format!("{name} changes all the time")))
            }
        }
    });
    deleted.await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn replace(
    store: std::sync::Arc<dyn Store>,
    scope: Scope,
    fence: u64,
    record: ResourceRecord,
    condition: Condition,
) -> Result<ResourceRecord, Refusal> {
    let expected = match &condition {
        Condition::None => record.version,
        Condition::Absent => 0,
        Condition::Is(tags) => version(tags)?,
        Condition::Present => {
            let current = find(&*store, &scope, &record.resource).await?.map(|record| record.version);
            condition.check(current.map(version_tag).as_deref())?;
            current.unwrap_or(0)
        }
    };
    Ok(store.put(&scope, fence, record, expected).await?)
}

async fn merge(
    store: std::sync::Arc<dyn Store>,
    scope: Scope,
    fence: u64,
    name: ResourceName,
    patch: ResourcePatch,
    condition: Condition,
) -> Result<ResourceRecord, Refusal> {
    for _ in 0..TRIES_MAX {
        let current = find(&*store, &scope, &name).await?;
        let version = current.as_ref().map(|record| record.version);
        condition.check(version.map(version_tag).as_deref())?;
        let now_ms = store.pulse(&scope).await?.now_ms;
        let declared =
            store.manifest(&scope).await?.and_then(|stored| stored.manifest.resources.get(&name).cloned());
        let record = current.unwrap_or_else(|| ResourceRecord::new(name.clone(), patch::PROVIDER));
        let record = patch::merge(record, &patch, declared.as_ref(), now_ms);
        match store.put(&scope, fence, record, version.unwrap_or(0)).await {
            Err(Error::Conflict { .. }) => {}
            written => return Ok(written?),
        }
    }
    Err(moved(format!("{name} changes all the time")))
}

async fn find(
    store: &dyn Store,
    scope: &Scope,
    name: &ResourceName,
) -> Result<Option<ResourceRecord>, Refusal> {
    Ok(store.snapshot(scope).await?.records.remove(name))
}

/// The version that `If-Match` names.
fn version(tags: &[String]) -> Result<u64, Refusal> {
    match tags {
        [tag] => tag.trim_matches('"').parse().map_err(|_| moved(format!("{tag} is no version of a record"))),
        _ => Err(moved("a record has one version, and `If-Match` names several")),
    }
}

fn resource_name(text: String) -> Result<ResourceName, Refusal> {
    ResourceName::new(text).map_err(|invalid| not_found(invalid.to_string()))
}

fn parse<T: DeserializeOwned>(body: Value) -> Result<T, Refusal> {
    serde_json::from_value(body).map_err(|error| unfit(&error).into())
}
