//! `GET /manifest`: the discovery document, conditional and waiting.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State as Extract;
use axum::http::StatusCode;
use axum::http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, VARY,
};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;

use super::State;
use super::extract::Asked;
use crate::served::Served;

const WAIT_SECONDS_MAX: u64 = 60;

#[derive(Debug, Deserialize)]
pub(super) struct Wait {
    /// Seconds to wait for something newer than `If-None-Match`.
    #[serde(default)]
    wait: u64,
}

pub(super) async fn get(
    Extract(state): Extract<State>,
    Asked(Wait { wait }): Asked<Wait>,
    headers: HeaderMap,
) -> Response {
    let known = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let is_known = |served: &Arc<Served>| known.is_some_and(|known| matches(known, served.etag()));
    if wait > 0 {
        let mut changes = state.discovery.subscribe();
        let newer = changes.wait_for(|served| !is_known(served));
        let _ = tokio::time::timeout(Duration::from_secs(wait.min(WAIT_SECONDS_MAX)), newer).await;
    }
    let served = state.discovery.current();
    let mut response = if is_known(&served) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        document(&headers, Arc::clone(&served)).await
    };
    if let Ok(etag) = HeaderValue::from_str(served.etag()) {
        response.headers_mut().insert(ETAG, etag);
    }
    response
}

async fn document(asked: &HeaderMap, served: Arc<Served>) -> Response {
    let gzip = asked.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).is_some_and(accepts_gzip);
    let mut response = render(served, gzip).await.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// Large documents take milliseconds to write, which nobody else shall wait for; each is written once.
async fn render(served: Arc<Served>, gzip: bool) -> Bytes {
    let text = move |served: &Served| if gzip { served.gzip() } else { served.json() };
    if served.is_rendered(gzip) {
        return text(&served);
    }
    tokio::task::spawn_blocking(move || text(&served)).await.unwrap_or_default()
}

fn accepts_gzip(accepted: &str) -> bool {
    accepted.split(',').any(|coding| {
        let (name, quality) = coding.split_once(';').unwrap_or((coding, ""));
        matches!(name.trim(), "gzip" | "*")
            && !matches!(quality.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
    })
}

/// `If-None-Match` may list several tags, or be `*`.
fn matches(known: &str, etag: &str) -> bool {
    known.split(',').map(|tag| tag.trim().trim_start_matches("W/")).any(|tag| tag == etag || tag == "*")
}
