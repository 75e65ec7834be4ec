//! Passes a request on to another server and its answer back, bodies streaming both ways.

use std::time::Duration;

use http::header::{
    CONNECTION, HOST, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Extensions, HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version};
use hyper::body::{Body, Incoming};
use hyper::upgrade::OnUpgrade;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::upgrade::WEBSOCKET;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Shorter than a server's own, so that a pooled connection is rarely one that the server has just closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// Meant for one connection, not for what is behind it (RFC 9110 §7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
];
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Which `Host` the server behind is shown. The one that was asked for is in `X-Forwarded-Host` either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShownHost {
    /// The server's own address.
    Target,
    /// What the first caller asked for, so that links it makes lead back to where the caller came in.
    Asked,
}

#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// Nothing was sent.
    #[error("the server does not accept connections")]
    Connect(#[source] hyper_util::client::legacy::Error),
    #[error("the connection broke before the answer began")]
    Interrupted(#[source] hyper_util::client::legacy::Error),
}

/// A pool of connections for requests with bodies of type `B`.
#[derive(Debug)]
pub struct Forwarder<B> {
    client: Client<HttpConnector, B>,
}

impl<B> Forwarder<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Self { client }
    }

    /// To `path_and_query` of the server at `authority` (`127.0.0.1:8000`).
    pub async fn forward(
        &self,
        request: Request<B>,
        authority: Authority,
        path_and_query: PathAndQuery,
        shown: ShownHost,
    ) -> Result<Response<Incoming>, ForwardError> {
        let mut response = self.pass(request, authority, path_and_query, shown, false).await?;
        *response.extensions_mut() = Extensions::new();
        Ok(response)
    }

    /// A WebSocket handshake, as [`Self::forward`]. Where the server agrees (101), its connection comes with the answer.
    pub async fn forward_handshake(
        &self,
        request: Request<B>,
        authority: Authority,
        path_and_query: PathAndQuery,
        shown: ShownHost,
    ) -> Result<(Response<Incoming>, Option<OnUpgrade>), ForwardError> {
        let mut response = self.pass(request, authority, path_and_query, shown, true).await?;
        let is_agreed = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let upgrade = is_agreed.then(|| hyper::upgrade::on(&mut response));
        if is_agreed {
            say_websocket(response.headers_mut());
        }
        *response.extensions_mut() = Extensions::new();
        Ok((response, upgrade))
    }

    async fn pass(
        &self,
        request: Request<B>,
        authority: Authority,
        path_and_query: PathAndQuery,
        shown: ShownHost,
        is_handshake: bool,
    ) -> Result<Response<Incoming>, ForwardError> {
        let (mut parts, body) = request.into_parts();
        let mut target = http::uri::Parts::default();
        target.scheme = Some(Scheme::HTTP);
        target.authority = Some(authority);
        target.path_and_query = Some(path_and_query);
        parts.uri = Uri::from_parts(target).unwrap_or_default();
        parts.version = Version::HTTP_11;
        parts.extensions = Extensions::new();
        drop_hop_by_hop(&mut parts.headers);
        if is_handshake {
            say_websocket(&mut parts.headers);
        }
        show_host(&mut parts.headers, shown);
        let sent = self.client.request(Request::from_parts(parts, body)).await;
        let mut response = sent.map_err(classify)?;
        drop_hop_by_hop(response.headers_mut());
        Ok(response)
    }
}

impl<B> Default for Forwarder<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn default() -> Self {
        Self::new()
    }
}

fn classify(error: hyper_util::client::legacy::Error) -> ForwardError {
    if error.is_connect() { ForwardError::Connect(error) } else { ForwardError::Interrupted(error) }
}

/// Without a `Host` the client puts the target's.
fn show_host(headers: &mut HeaderMap, shown: ShownHost) {
    let host = headers.remove(HOST);
    let asked = headers.get(FORWARDED_HOST).cloned().or(host);
    if let Some(asked) = asked {
        if shown == ShownHost::Asked {
            headers.insert(HOST, asked.clone());
        }
        headers.insert(FORWARDED_HOST, asked);
    }
    headers.entry(FORWARDED_PROTO).or_insert(HeaderValue::from_static("http"));
}

/// What both sides of a handshake say of their connection.
fn say_websocket(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
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
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn headers_of_the_connection_stay_behind() {
        let mut headers = headers(&[
            ("connection", "close, X-Private"),
            ("x-private", "1"),
            ("keep-alive", "1"),
            ("te", "trailers"),
            ("x-kept", "1"),
        ]);
        drop_hop_by_hop(&mut headers);
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-kept"]);
    }

    #[test]
    fn the_host_that_was_asked_for_first_survives_two_doors() {
        let mut headers = headers(&[("host", "localhost:8888")]);
        show_host(&mut headers, ShownHost::Target);
        assert_eq!(
            (headers.get("host"), &headers["x-forwarded-host"]),
            (None, &HeaderValue::from_static("localhost:8888"))
        );
        headers.insert("host", HeaderValue::from_static("127.0.0.1:40000"));
        show_host(&mut headers, ShownHost::Asked);
        assert_eq!(headers["host"], "localhost:8888");
    }
}
