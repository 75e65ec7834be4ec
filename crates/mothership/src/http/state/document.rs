//! The whole state of an app+environment as one document, and its applied manifest.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use flash_model::wire::{
    AppliedResponse, GENERATION_HEADER, ResourceDocument, ScopesResponse, StateDocument,
};
use flash_model::{Manifest, ResourceRecord, ResourceStatus, Scope, StateSnapshot};
use serde_json::Value;

use super::super::extract::{At, Json, unfit};
use super::super::problem::Refusal;
use super::StateApi;
use super::conditions::{Condition, document_tag, is_known, tagged};
use super::refusal::not_found;
use super::writing::number;
use crate::store::StoredManifest;

pub(super) async fn scopes(Extract(api): Extract<StateApi>) -> Result<Answer<ScopesResponse>, Refusal> {
    Ok(Answer(ScopesResponse { scopes: api.store()?.scopes().await? }))
}

/// 404 until something was written: a first boot.
pub(super) async fn get(
    Extract(api): Extract<StateApi>,
    At(id): At<String>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let (store, scope) = api.scope(&id).await?;
    let pulse = store.pulse(&scope).await?;
    if pulse.serial == 0 {
        return Err(not_found(format!("nothing was ever written for {scope}")));
    }
    let tag = document_tag(pulse.lineage.as_ref(), pulse.serial);
    if is_known(&headers, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, tagged(&tag)).into_response());
    }
    let manifest = store.manifest(&scope).await?;
    let snapshot = store.snapshot(&scope).await?;
    // A manifest that was applied between the two reads is newer than its tag says, which a conditional reader then
    // fetches once more.
    let tag = document_tag(snapshot.lineage.as_ref(), snapshot.serial);
    Ok((tagged(&tag), Answer(document(scope, manifest, snapshot))).into_response())
}

/// Makes a manifest the applied one.
pub(super) async fn put(
    Extract(api): Extract<StateApi>,
    At(id): At<String>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Result<Response, Refusal> {
    let condition = Condition::of(&headers)?;
    let expected = number(&headers, GENERATION_HEADER)?;
    let manifest = Manifest::from_json(&body.to_string()).map_err(|error| unfit(&chain(&error)))?;
    let manifest = Arc::new(manifest);
    let place = api.scope_to_write(&id).await?;
    let looks = condition != Condition::None;
    let applied = api.write(place, &headers, looks, move |store, scope, fence| async move {
        if looks {
            let pulse = store.pulse(&scope).await?;
            let tag = document_tag(pulse.lineage.as_ref(), pulse.serial);
            condition.check((pulse.serial > 0).then_some(tag.as_str()))?;
        }
        let stored = store.put_manifest(&scope, fence, &manifest, expected).await?;
        let pulse = store.pulse(&scope).await?;
        Ok((stored.generation, document_tag(pulse.lineage.as_ref(), pulse.serial)))
    });
    let (generation, tag) = applied.await?;
    Ok((tagged(&tag), Answer(AppliedResponse { generation })).into_response())
}

/// Forgets everything, if no resources are left. Repeated it is 404.
pub(super) async fn delete(
    Extract(api): Extract<StateApi>,
    At(id): At<String>,
    headers: HeaderMap,
) -> Result<StatusCode, Refusal> {
    let condition = Condition::of(&headers)?;
    let (store, scope) = api.scope(&id).await?;
    if !store.scopes().await?.contains(&scope) {
        return Err(not_found(format!("nothing was ever written for {scope}")));
    }
    let looks = condition != Condition::None;
    let deleted = api.write((store, scope), &headers, looks, move |store, scope, fence| async move {
        if looks {
            let pulse = store.pulse(&scope).await?;
            let tag = document_tag(pulse.lineage.as_ref(), pulse.serial);
            condition.check((pulse.serial > 0).then_some(tag.as_str()))?;
        }
        Ok(store.remove_scope(&scope, fence).await?)
    });
    deleted.await?;
    Ok(StatusCode::NO_CONTENT)
}

fn document(scope: Scope, applied: Option<StoredManifest>, snapshot: StateSnapshot) -> StateDocument {
    let generation = applied.as_ref().map_or(0, |applied| applied.generation);
    let manifest = applied.map(|applied| applied.manifest);
    let manifest = manifest.map_or_else(|| Manifest::empty(scope.app.as_str()), Arc::unwrap_or_clone);
    let resources: BTreeMap<_, _> =
        snapshot.records.into_iter().map(|(name, record)| (name, resource(record))).collect();
    StateDocument {
        version: manifest.version,
        generated_at: manifest.generated_at,
        project_name: manifest.project_name,
        function_registry: serde_json::json!(manifest.function_registry),
        routes: serde_json::json!(manifest.routes),
        resources,
        scope,
        lineage: snapshot.lineage,
        serial: snapshot.serial,
        generation,
    }
}

fn resource(record: ResourceRecord) -> ResourceDocument {
    ResourceDocument {
        config_hash: record.applied.as_ref().map(|applied| applied.config_hash.clone()),
        endpoint_url: record.endpoint_url.clone(),
        status: match record.status {
            ResourceStatus::Ready => "deployed".to_owned(),
            other => other.to_string(),
        },
        error: record.status_reason.clone().filter(|_| record.status == ResourceStatus::Failed),
        record,
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    crate::reconcile::chain(error)
}
