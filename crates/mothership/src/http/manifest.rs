//! `GET /manifest`: the discovery document, conditional and waiting.

use std::time::Duration;

use axum::extract::{Query, State as Extract};
use axum::http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::State;

const WAIT_SECONDS_MAX: u64 = 60;

#[derive(Debug, Deserialize)]
pub(super) struct Wait {
    /// Seconds to wait for something newer than `If-None-Match`.
    #[serde(default)]
    wait: u64,
}

pub(super) async fn get(
    Extract(state): Extract<State>,
    Query(Wait { wait }): Query<Wait>,
    headers: HeaderMap,
) -> Response {
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let mut changes = state.discovery.subscribe();
    let newer = changes.wait_for(|served| known.is_none_or(|known| !matches(known, &served.etag)));
    let _ = tokio::time::timeout(Duration::from_secs(wait.min(WAIT_SECONDS_MAX)), newer).await;
    let served = state.discovery.current();
    let etag = [(ETAG, served.etag.clone())];
    if known.is_some_and(|known| matches(known, &served.etag)) {
        return (StatusCode::NOT_MODIFIED, etag).into_response();
    }
    (etag, [(CONTENT_TYPE, "application/json")], served.json.clone()).into_response()
}

/// `If-None-Match` may list several tags, or be `*`.
fn matches(known: &str, etag: &str) -> bool {
    known.split(',').map(|tag| tag.trim().trim_start_matches("W/")).any(|tag| tag == etag || tag == "*")
}
