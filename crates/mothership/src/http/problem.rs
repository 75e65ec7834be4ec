//! Problem documents as responses.

use axum::http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER, UPGRADE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use flash_model::wire::{PROBLEM_CONTENT_TYPE, Problem};

/// How long a caller should wait before asking for what is not up, or for what somebody holds.
const RETRY_AFTER_SECONDS: &str = "1";

#[derive(Debug)]
pub(super) struct Refusal(Box<Problem>);

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let mut response = (status, [(CONTENT_TYPE, PROBLEM_CONTENT_TYPE)], body).into_response();
        if status == StatusCode::UPGRADE_REQUIRED {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
            response.headers_mut().insert(UPGRADE, HeaderValue::from_static(flash_client::WEBSOCKET));
        }
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::LOCKED)
            && let Ok(seconds) = RETRY_AFTER_SECONDS.parse()
        {
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        response
    }
}

pub(super) async fn method_not_allowed(method: axum::http::Method, uri: axum::http::Uri) -> Refusal {
    let detail = format!("{} does not answer {method}", uri.path());
    Problem::new(flash_model::Code::MethodNotAllowed, 405, detail).into()
}
