//! Passes a request on to an endpoint and its answer back, bodies streaming both ways.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{
    CONNECTION, HOST, HeaderName, ORIGIN, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use flash_model::Code;
use flash_model::wire::Problem;
use std::time::Duration;

use super::problem::Refusal;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Shorter than an endpoint keeps an idle connection, so that none is used that has just been closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// They belong to one connection, not to the request.
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

#[derive(Debug)]
pub(super) struct Forwarder {
    client: reqwest::Client,
}

impl Forwarder {
    pub(super) fn new() -> Self {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .tcp_nodelay(true)
            .build()
            .unwrap_or_default();
        Self { client }
    }

    /// `target` is the endpoint's URL with the path to ask for; the request's query is kept.
    pub(super) async fn forward(
        &self,
        mut target: String,
        request: Request,
        keep_origin: bool,
    ) -> Result<Response, Refusal> {
        if let Some(query) = request.uri().query() {
            target.push('?');
            target.push_str(query);
        }
        let (parts, body) = request.into_parts();
        let mut headers = parts.headers;
        strip(&mut headers);
        if let Some(host) = headers.remove(HOST) {
            headers.insert(HeaderName::from_static("x-forwarded-host"), host);
        }
        headers.insert(HeaderName::from_static("x-forwarded-proto"), HeaderValue::from_static("http"));
        if !keep_origin {
            headers.remove(ORIGIN);
        }
        let has_body = headers.contains_key(axum::http::header::CONTENT_LENGTH) || !body_is_empty(&body);
        let mut outgoing = self.client.request(parts.method, &target).headers(headers);
        if has_body {
            outgoing = outgoing.body(reqwest::Body::wrap_stream(body.into_data_stream()));
        }
        let answer = outgoing.send().await.map_err(|error| unreachable(&target, &error))?;
        let (mut parts, body) = axum::http::Response::from(answer).into_parts();
        strip(&mut parts.headers);
        Ok(Response::from_parts(parts, Body::new(body)))
    }
}

fn body_is_empty(body: &Body) -> bool {
    use axum::body::HttpBody;
    body.size_hint().exact() == Some(0)
}

fn strip(headers: &mut HeaderMap) {
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

fn unreachable(target: &str, error: &reqwest::Error) -> Refusal {
    tracing::warn!(target, %error, "endpoint unreachable");
    let detail = if error.is_connect() {
        "the endpoint does not accept connections now"
    } else {
        "the connection to the endpoint broke before it had answered"
    };
    Problem::new(Code::EndpointUnreachable, if error.is_connect() { 503 } else { 502 }, detail)
        .hint("`flash status` shows what it is doing; the mothership restarts it by itself")
        .into()
}
