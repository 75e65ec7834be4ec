//! What an endpoint answers to provider, mothership and other endpoints.

use std::time::Duration;

use bytes::Bytes;
use flash_model::wire::{
    CHILD_CALL_PATH, CHILD_IDENTITY_PATH, CHILD_METRICS_PATH, CHILD_MOTHERSHIP_PATH, IdentityResponse,
    MothershipRequest,
};
use flash_model::{Secret, TraceContext};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, StatusCode};

use crate::transport::{Request, base, segment};
use crate::{Error, Transport, set_trace};

const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// Whoever collects metrics asks again soon.
const METRICS_TIMEOUT: Duration = Duration::from_secs(2);
const CONTROL_TIMEOUT: Duration = Duration::from_secs(5);
/// A call is bounded by the endpoint's own execution time-out; this only ends what nobody waits for any more.
const CALL_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);
const UNNAMED_CONTENT: &str = "application/octet-stream";

/// An endpoint at a base URL. Cheap to make and to clone.
#[derive(Debug, Clone)]
pub struct Endpoint {
    transport: Transport,
    url: String,
    token: Option<Secret>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ping {
    /// 200: calls are served.
    Healthy,
    /// 204: the first worker is starting.
    Starting,
}

impl Endpoint {
    pub fn new(url: impl Into<String>, token: Option<Secret>) -> Self {
        Self::with_transport(Transport::new(), url, token)
    }

    pub fn with_transport(transport: Transport, url: impl Into<String>, token: Option<Secret>) -> Self {
        Self { transport, url: base(url), token }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// `GET /ping`; an endpoint whose code cannot be loaded is an [`Error::Problem`] with the import's traceback.
    pub async fn ping(&self) -> Result<Ping, Error> {
        let answer = self.transport.send(self.request(Method::GET, "/ping", PING_TIMEOUT)).await?;
        match answer.status {
            StatusCode::OK => Ok(Ping::Healthy),
            StatusCode::NO_CONTENT => Ok(Ping::Starting),
            _ => Err(answer.refusal()),
        }
    }

    pub async fn identity(&self) -> Result<IdentityResponse, Error> {
        let request = self.request(Method::GET, CHILD_IDENTITY_PATH, CONTROL_TIMEOUT);
        self.transport.send(request).await?.success()?.json("an identity")
    }

    /// What the endpoint counts: OpenMetrics text.
    pub async fn metrics(&self) -> Result<String, Error> {
        let request = self.request(Method::GET, CHILD_METRICS_PATH, METRICS_TIMEOUT);
        let answer = self.transport.send(request).await?.success()?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// Tells the endpoint where its mothership is now.
    pub async fn announce_mothership(&self, url: &str) -> Result<(), Error> {
        let mut request = self.request(Method::PUT, CHILD_MOTHERSHIP_PATH, CONTROL_TIMEOUT);
        let body = serde_json::json!(MothershipRequest { url: url.to_owned() });
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.body = Some(body.to_string().into());
        self.transport.send(request).await?.success().map(drop)
    }

    /// Calls one of the endpoint's functions past its queue. Gives content type and body of the answer.
    pub async fn call(
        &self,
        function: &str,
        content_type: &str,
        body: Bytes,
        trace: Option<&TraceContext>,
    ) -> Result<(String, Bytes), Error> {
        let path = format!("{CHILD_CALL_PATH}/{}", segment(function));
        let mut request = self.request(Method::POST, &path, CALL_TIMEOUT);
        if let Ok(content_type) = HeaderValue::from_str(content_type) {
            request.headers.insert(CONTENT_TYPE, content_type);
        }
        if let Some(trace) = trace {
            set_trace(&mut request.headers, trace);
        }
        request.body = Some(body);
        let answer = self.transport.send(request).await?.success()?;
        let content_type = answer.text_header(CONTENT_TYPE).unwrap_or(UNNAMED_CONTENT).to_owned();
        Ok((content_type, answer.body))
    }

    fn request(&self, method: Method, path: &str, timeout: Duration) -> Request<'_> {
        Request::new(method, format!("{}{path}", self.url), self.token.as_ref(), timeout)
    }
}
