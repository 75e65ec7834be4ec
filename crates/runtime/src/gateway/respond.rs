//! Reading request bodies and making answers.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use flash_model::Code;
use flash_model::wire::PROBLEM_CONTENT_TYPE;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, UPGRADE};
use http::{HeaderValue, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use serde::Serialize;

use super::content::Content;
use crate::refusal::Refusal;

pub(super) const BODY_BYTES_MAX: usize = 30 * 1024 * 1024;
/// From the end of a request's headers to the end of its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(300);
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

pub(crate) type Response = http::Response<Content>;

pub(super) async fn read_body(body: Incoming) -> Result<Bytes, Refusal> {
    if body.size_hint().lower() > BODY_BYTES_MAX as u64 {
        return Err(too_large());
    }
    tokio::time::timeout(BODY_TIMEOUT, gather(body)).await.map_err(|_| {
        Refusal::new(Code::InvalidBody, 408, format!("no complete body within {} s", BODY_TIMEOUT.as_secs()))
    })?
}

/// Most bodies come in one piece, which is not copied. Of others each piece is as soon as it comes, so that the connection can use
/// its memory again.
async fn gather(mut body: Incoming) -> Result<Bytes, Refusal> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or_default();
    let (mut first, mut whole) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Refusal::new(Code::InvalidBody, 400, format!("the body ended early: {error}"))
        })?;
        // Nobody reads trailers.
        let Ok(piece) = frame.into_data() else { continue };
        if first.len() + whole.len() + piece.len() > BODY_BYTES_MAX {
            return Err(too_large());
        }
        if first.is_empty() && whole.is_empty() {
            first = piece;
            continue;
        }
        if whole.is_empty() {
            whole.reserve(announced.max(first.len() + piece.len()));
            whole.extend_from_slice(&std::mem::take(&mut first));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(if whole.is_empty() { first } else { whole.freeze() })
}

fn too_large() -> Refusal {
    Refusal::new(Code::PayloadTooLarge, 413, format!("a body may have {BODY_BYTES_MAX} bytes at most"))
}

pub(super) fn invalid_body(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(Code::InvalidBody, 400, format!("the body is not what is expected: {error}"))
}

pub(super) fn bytes(content_type: HeaderValue, body: Bytes) -> Response {
    let mut response = http::Response::new(Content::Whole(Full::new(body)));
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

pub(super) fn json<T: Serialize>(value: &T) -> Response {
    // Wire bodies are structs and maps with text keys, which always serialise.
    bytes(JSON, serde_json::to_vec(value).unwrap_or_default().into())
}

pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = http::Response::new(Content::Whole(Full::new(Bytes::new())));
    *response.status_mut() = status;
    response
}

pub(super) fn refusal(refusal: Refusal) -> Response {
    let body = serde_json::to_vec(&refusal.problem).unwrap_or_default();
    let mut response = bytes(HeaderValue::from_static(PROBLEM_CONTENT_TYPE), body.into());
    let status = StatusCode::from_u16(refusal.problem.status);
    *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if response.status() == StatusCode::UPGRADE_REQUIRED {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        response.headers_mut().insert(UPGRADE, HeaderValue::from_static(flash_client::WEBSOCKET));
    }
    if let Some(pause) = refusal.retry_after {
        let seconds = pause.as_secs() + u64::from(pause.subsec_nanos() > 0);
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    if let Some(allow) = refusal.allow.and_then(|allow| HeaderValue::from_str(&allow).ok()) {
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}
