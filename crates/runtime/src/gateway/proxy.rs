//! The user's own web application: everything goes to a worker's own server, bodies as they come.

use bytes::Bytes;
use flash_model::Code;
use http::header::{
    CONNECTION, HOST, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Request, Uri};
use http_body_util::Either;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::respond::{Response, Streamed};
use crate::refusal::Refusal;
use crate::worker::{Patience, Pool};

/// Meant for one connection, not for what is behind it (RFC 9110 §7.6.1).
const HOP_BY_HOP: [HeaderName; 7] =
    [CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE];

#[derive(Debug)]
pub(crate) struct Proxy {
    client: Client<HttpConnector, Incoming>,
}

impl Proxy {
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self { client: Client::builder(TokioExecutor::new()).build(connector) }
    }

    pub(super) async fn forward(&self, pool: &Pool, request: Request<Incoming>) -> Result<Response, Refusal> {
        let slot = pool.lease(false, Patience::Door).await?;
        let port = slot
            .port()
            .ok_or_else(|| Refusal::new(Code::WorkerStartFailed, 503, "the application told no port"))?;
        let response = self.client.request(redirected(request, port)).await.map_err(|error| {
            let detail = format!("the application did not answer: {error}");
            Refusal::new(Code::WorkerDied, 502, detail)
        })?;
        Ok(passed_on(response, Some(slot)))
    }

    /// Without waiting for a worker, and without keeping one from being idle.
    pub(super) async fn ask_a_ready_one(&self, pool: &Pool, request: Request<Incoming>) -> Option<Response> {
        let port = pool.any_port()?;
        let response = self.client.request(redirected(request, port)).await.ok()?;
        Some(passed_on(response, None))
    }
}

fn redirected(request: Request<Incoming>, port: u16) -> Request<Incoming> {
    let (mut parts, body) = request.into_parts();
    let mut uri = http::uri::Parts::default();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Authority::try_from(format!("127.0.0.1:{port}")).ok();
    uri.path_and_query = parts.uri.path_and_query().cloned().or(Some(PathAndQuery::from_static("/")));
    parts.uri = Uri::from_parts(uri).unwrap_or_default();
    parts.version = http::Version::HTTP_11;
    drop_hop_by_hop(&mut parts.headers);
    if let Some(host) = parts.headers.get(HOST).cloned() {
        parts.headers.entry("x-forwarded-host").or_insert(host);
    }
    parts.headers.entry("x-forwarded-proto").or_insert(HeaderValue::from_static("http"));
    parts.extensions = http::Extensions::new();
    Request::from_parts(parts, body)
}

fn passed_on(response: http::Response<Incoming>, slot: Option<crate::worker::pool::Lease>) -> Response {
    let (mut parts, body) = response.into_parts();
    drop_hop_by_hop(&mut parts.headers);
    parts.extensions = http::Extensions::new();
    http::Response::from_parts(
        parts,
        Either::<http_body_util::Full<Bytes>, _>::Right(Streamed { body, _slot: slot }),
    )
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    headers.remove("keep-alive");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_connection_stay_behind() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Private"),
            ("x-private", "1"),
            ("keep-alive", "1"),
            ("te", "trailers"),
            ("x-kept", "1"),
        ] {
            headers.append(name, HeaderValue::from_static(value));
        }
        drop_hop_by_hop(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-kept"]);
    }
}
