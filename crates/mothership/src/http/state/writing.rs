//! Every write belongs to a lease: its sender's, named by `Flash-Fence`, or one that is taken for a moment.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use flash_model::wire::{FENCE_HEADER, Problem};
use flash_model::{Code, HolderId, LeaseRequest, Scope};
use tokio::sync::MutexGuard;

use super::super::problem::Refusal;
use super::StateApi;
use super::refusal::locked;
use crate::store::{Error, Store};

/// Of a lease that is held for one write. If the process dies within it, others wait this long.
const MOMENT: Duration = Duration::from_secs(5);
/// For those before in the queue.
const TURN_TIMEOUT: Duration = Duration::from_secs(10);

impl StateApi {
    /// Carries out `write` under the sender's lease, or under a momentary one if it named none and nobody leads. Once
    /// begun it is carried out to its end, whether or not the sender waits for it. One that looks before it writes is
    /// `alone`: of those no two are under way at once.
    pub(super) async fn write<T, F>(
        &self,
        (store, scope): (Arc<dyn Store>, Scope),
        headers: &HeaderMap,
        alone: bool,
        write: impl FnOnce(Arc<dyn Store>, Scope, u64) -> F + Send + 'static,
    ) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Refusal>> + Send + 'static,
    {
        let fence = number(headers, FENCE_HEADER)?;
        let api = self.clone();
        let writing = async move {
            let _turn = if alone || fence.is_none() { Some(api.turn().await?) } else { None };
            match fence {
                Some(fence) => write(store, scope, fence).await,
                None => momentarily(store, scope, write).await,
            }
        };
        match tokio::spawn(writing).await {
            Ok(result) => result,
            Err(error) => Err(Error::Task(error).into()),
        }
    }

    async fn turn(&self) -> Result<MutexGuard<'_, ()>, Refusal> {
        tokio::time::timeout(TURN_TIMEOUT, self.0.turn.lock()).await.map_err(|_| {
            let detail = format!("others were not done writing within {} s", TURN_TIMEOUT.as_secs());
            Problem::new(Code::Overloaded, 503, detail).into()
        })
    }
}

async fn momentarily<T, F>(
    store: Arc<dyn Store>,
    scope: Scope,
    write: impl FnOnce(Arc<dyn Store>, Scope, u64) -> F,
) -> Result<T, Refusal>
where
    F: Future<Output = Result<T, Refusal>>,
{
    let holder = holder()?;
    let request = LeaseRequest::Acquire {
        holder: holder.clone(),
        purpose: "one write of a client without a lease".to_owned(),
        seat: None,
        term_ms: u64::try_from(MOMENT.as_millis()).unwrap_or(u64::MAX),
    };
    let fence = match store.lease(&scope, request).await {
        Ok(Some(lease)) => lease.fence,
        Ok(None) => return Err(Error::Ended.into()),
        Err(Error::Lease(refusal)) => return Err(locked(refusal)),
        Err(error) => return Err(error.into()),
    };
    let written = write(Arc::clone(&store), scope.clone(), fence).await;
    // If it fails, others wait for the moment to pass.
    if let Err(error) = store.lease(&scope, LeaseRequest::Release { holder, fence }).await {
        tracing::debug!(%error, "momentary lease not given back");
    }
    written
}

/// Never used before.
fn holder() -> Result<HolderId, Refusal> {
    let refused = |error: &dyn std::fmt::Display| {
        Refusal::from(Problem::new(Code::StoreFailed, 500, format!("no randomness on this machine: {error}")))
    };
    let number = getrandom::u64().map_err(|error| refused(&error))?;
    HolderId::new(format!("state-api-{number:016x}")).map_err(|error| refused(&error))
}

/// A header of ours that holds a number.
pub(super) fn number(headers: &HeaderMap, name: &str) -> Result<Option<u64>, Refusal> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.trim().parse().ok());
    number
        .map(Some)
        .ok_or_else(|| Problem::new(Code::InvalidBody, 400, format!("{name} is not a number")).into())
}
