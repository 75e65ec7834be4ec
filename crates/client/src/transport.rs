//! The one way a request is sent and an answer is read.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flash_model::Secret;
use flash_model::wire::{PROBLEM_CONTENT_TYPE, Problem};
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Method, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::Error;
use crate::secure::{Secure, TrustedRoots};

pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Shorter than a server's own, so that a pooled connection is rarely one that the server has just closed.
pub(crate) const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);
const POOL_IDLE_PER_HOST_MAX: usize = 64;
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
pub(crate) const USER_AGENT_NAME: &str = concat!("flash/", env!("CARGO_PKG_VERSION"));
const HTTPS: &str = "https:";
/// Of a refusal without a problem document, this much is shown.
const REFUSAL_SHOWN_CHARS_MAX: usize = 300;
/// RFC 3986 unreserved characters stay as they are.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A connection pool; clones share it. Make one per process and hand it around. Never uses a proxy.
#[derive(Debug, Clone)]
pub struct Transport {
    http: reqwest::Client,
    secure: Arc<Secure>,
}

impl Default for Transport {
    fn default() -> Self {
        Self::new()
    }
}

impl Transport {
    pub fn new() -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .pool_max_idle_per_host(POOL_IDLE_PER_HOST_MAX)
            .tcp_keepalive(TCP_KEEPALIVE)
            .tcp_nodelay(true)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(USER_AGENT_NAME)
            .build()
            // Without TLS nothing in there can fail; a plain client is the same but for the tuning.
            .unwrap_or_default();
        Self { http, secure: Arc::default() }
    }

    /// Where certificates have to be shown, these are trusted instead of the system's.
    pub fn trusting(self, roots: TrustedRoots) -> Self {
        Self { secure: Arc::new(Secure::new(roots)), ..self }
    }

    /// Posts to somebody who is none of ours, by `http` or `https`, and heeds nothing of the answer but its status. An error's text names no URL.
    pub async fn notify(
        &self,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
        timeout: Duration,
    ) -> Result<StatusCode, String> {
        if url.get(..HTTPS.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(HTTPS)) {
            return self.secure.post(url, headers, body, timeout).await;
        }
        let request = self.http.post(url).timeout(timeout).headers(headers).body(body);
        request.send().await.map(|response| response.status()).map_err(|error| shown(&error.without_url()))
    }

    pub(crate) async fn send(&self, request: Request<'_>) -> Result<Answer, Error> {
        let Request { method, url, token, headers, body, timeout, repeatable } = request;
        let mut builder = self.http.request(method, &url).timeout(timeout).headers(headers);
        if let Some(token) = token {
            builder = builder.header(AUTHORIZATION, format!("Bearer {}", token.expose()));
        }
        if let Some(body) = body {
            builder = builder.body(body);
        }
        let broken = |url: String, error: reqwest::Error| match () {
            () if error.is_connect() || error.is_builder() => {
                Error::Connect { url, source: error.without_url().into() }
            }
            () if error.is_timeout() => Error::Timeout { url, repeatable },
            () => Error::Interrupted { url, repeatable, source: error.without_url().into() },
        };
        let response = match builder.send().await {
            Ok(response) => response,
            Err(error) => return Err(broken(url, error)),
        };
        let (status, headers) = (response.status(), response.headers().clone());
        match response.bytes().await {
            Ok(body) => Ok(Answer { url, status, headers, body }),
            Err(error) => Err(broken(url, error)),
        }
    }
}

/// With its causes.
pub(crate) fn shown(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) token: Option<&'a Secret>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    pub(crate) timeout: Duration,
    /// Whether sending it twice does no more than sending it once.
    pub(crate) repeatable: bool,
}

impl<'a> Request<'a> {
    pub(crate) fn new(method: Method, url: String, token: Option<&'a Secret>, timeout: Duration) -> Self {
        let repeatable = method != Method::POST;
        Self { method, url, token, headers: HeaderMap::new(), body: None, timeout, repeatable }
    }
}

pub(crate) struct Answer {
    pub(crate) url: String,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text_header(&self, name: http::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, expected: &'static str) -> Result<T, Error> {
        serde_json::from_slice(&self.body).map_err(|error| Error::Decode {
            url: self.url.clone(),
            expected,
            source: Some(error.into()),
        })
    }

    /// The answer, unless its status is not a success.
    pub(crate) fn success(self) -> Result<Self, Error> {
        if self.status.is_success() { Ok(self) } else { Err(self.refusal()) }
    }

    pub(crate) fn refusal(self) -> Error {
        let retry_after = self
            .text_header(RETRY_AFTER)
            .and_then(|seconds| seconds.trim().parse().ok())
            .map(Duration::from_secs);
        let is_problem =
            self.text_header(CONTENT_TYPE).is_some_and(|kind| kind.starts_with(PROBLEM_CONTENT_TYPE));
        match serde_json::from_slice::<Problem>(&self.body) {
            Ok(problem) if is_problem => Error::Problem { problem: Box::new(problem), retry_after },
            _ => {
                let body =
                    String::from_utf8_lossy(&self.body).chars().take(REFUSAL_SHOWN_CHARS_MAX).collect();
                Error::Status { url: self.url, status: self.status, body, retry_after }
            }
        }
    }
}

pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// Base URLs are kept without a trailing slash.
pub(crate) fn base(url: impl Into<String>) -> String {
    let mut url = url.into();
    url.truncate(url.trim_end_matches('/').len());
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_segment() {
        assert_eq!(segment("Class.method"), "Class.method");
        assert_eq!(segment("../a b?c#d/é"), "..%2Fa%20b%3Fc%23d%2F%C3%A9");
        assert_eq!(base("http://127.0.0.1:1//"), "http://127.0.0.1:1");
    }
}
