//! `GET /ping`: waits for nothing.

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

pub(super) async fn ping() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], r#"{"status":"healthy"}"#)
}
