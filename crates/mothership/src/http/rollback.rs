//! `POST /api/v1/rollback`: an earlier generation's manifest becomes the desired state again, as a new generation.

use std::sync::Arc;
use std::time::Duration;

use axum::Json as Answer;
use axum::extract::State as Extract;
use flash_model::wire::{Problem, RollbackRequest};
use flash_model::{Code, Manifest, Outcome};
use tokio::time::{Instant, sleep};

use super::State;
use super::apply::{Wait, check_leading, refused};
use super::extract::{Asked, Json};
use super::guard::TokenHolder;
use super::problem::Refusal;
use super::resources::{failed, settled};
use crate::reconcile::{ApplyRefusal, Desired};
use crate::service::Handle;
use crate::store::StoredManifest;

/// For the new wish to be written down.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(10);
const PUBLISH_PAUSE: Duration = Duration::from_millis(20);

pub(super) async fn rollback(
    _: TokenHolder,
    Extract(state): Extract<State>,
    Asked(wait): Asked<Wait>,
    Json(RollbackRequest { generation }): Json<RollbackRequest>,
) -> Result<Answer<Outcome>, Refusal> {
    let handle = state.mothership()?;
    check_leading(handle)?;
    let (store, scope) = (handle.store(), handle.scope());
    let stored = store.generation(scope, generation).await.map_err(|error| failed(&error))?;
    let applied = store.manifest(scope).await.map_err(|error| failed(&error))?;
    let (Some(stored), Some(applied)) = (stored, applied) else {
        let detail = format!("there is no generation {generation}, or it is too old");
        return Err(Problem::new(Code::UnknownGeneration, 404, detail)
            .hint("`flash rollback --list` shows what there is")
            .into());
    };
    if stored.manifest == applied.manifest {
        let detail = format!("generation {generation} is what is applied now");
        return Err(Problem::new(Code::UnknownGeneration, 409, detail).into());
    }
    check_code(&stored.manifest, &applied.manifest)?;
    let environment = handle.environment(&stored.manifest);
    handle.set_desired(Desired { manifest: Arc::clone(&stored.manifest), environment });
    let generation = published(handle, &stored.manifest, applied.generation).await?;
    Ok(Answer(settled(handle, generation, wait.duration()).await?))
}

/// The project's files are what endpoints run, and they are as the applied manifest says.
fn check_code(wanted: &Manifest, applied: &Manifest) -> Result<(), Refusal> {
    let names: Vec<&str> = wanted
        .resources
        .iter()
        .filter(|(name, resource)| {
            applied.resources.get(*name).is_none_or(|applied| applied.code_digest != resource.code_digest)
        })
        .map(|(name, _)| name.as_str())
        .collect();
    if names.is_empty() {
        return Ok(());
    }
    let detail = format!("that generation had other code than there is now: {}", names.join(", "));
    Err(Problem::new(Code::CodeIsAnother, 409, detail)
        .hint("bring the files of that time back, and the project is applied from them")
        .into())
}

/// The number that it has become.
async fn published(handle: &Handle, manifest: &Manifest, before: u64) -> Result<u64, Refusal> {
    let until = Instant::now() + PUBLISH_TIMEOUT;
    loop {
        let stored = handle.store().manifest(handle.scope()).await.map_err(|error| failed(&error))?;
        match stored {
            Some(StoredManifest { generation, manifest: now }) if generation > before => {
                let superseded = || refused(&ApplyRefusal::Superseded);
                return if *now == *manifest { Ok(generation) } else { Err(superseded()) };
            }
            _ if Instant::now() >= until => {
                let detail = format!("not written down within {} s", PUBLISH_TIMEOUT.as_secs());
                return Err(refused(&ApplyRefusal::Failed(detail)));
            }
            _ => sleep(PUBLISH_PAUSE).await,
        }
    }
}
