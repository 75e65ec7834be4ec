//! `GET /metrics`: what this mothership counts and what its endpoints do, in one document.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State as Extract;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use flash_client::Endpoint;
use flash_model::wire::METRICS_CONTENT_TYPE;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::State;
use crate::leadership::Role;
use crate::metrics::merge;

/// Endpoints asked at the same time.
const PARALLEL_MAX: usize = 32;

/// An endpoint that does not answer is missing from it; its resource's status says more.
pub(super) async fn get(Extract(state): Extract<State>) -> impl IntoResponse {
    let served = state.discovery.current();
    let mut documents = BTreeMap::new();
    if let Some(handle) = state.handle.get() {
        let is_leading = matches!(&*handle.role().borrow(), Role::Leading { .. });
        documents.insert(String::new(), handle.metrics().render(&served, is_leading));
    }
    let permits = Arc::new(Semaphore::new(PARALLEL_MAX));
    let mut asked = JoinSet::new();
    for (name, provisioned) in served.all_provisioned() {
        let Some(url) = provisioned.endpoint_url.clone().filter(|_| provisioned.serves) else { continue };
        let endpoint = Endpoint::with_transport(state.transport.clone(), url, Some(state.token.clone()));
        let (name, permits) = (name.to_string(), Arc::clone(&permits));
        asked.spawn(async move {
            let _permit = permits.acquire().await;
            endpoint.metrics().await.map(|text| (name, text))
        });
    }
    while let Some(answered) = asked.join_next().await {
        match answered {
            Ok(Ok((name, text))) => drop(documents.insert(name, text)),
            Ok(Err(error)) => tracing::debug!(%error, "an endpoint's metrics cannot be read"),
            Err(error) => tracing::error!(%error, "reading metrics ended by a panic"),
        }
    }
    ([(CONTENT_TYPE, METRICS_CONTENT_TYPE)], merge(documents.values().map(String::as_str)))
}
