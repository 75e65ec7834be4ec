//! What a mothership answers to command line and children.

use std::time::Duration;

use bytes::Bytes;
use flash_model::wire::{
    APPLY_PATH, DeadLetters, JobAccepted, MOTHERSHIP_CALL_PATH, PROBLEM_CONTENT_TYPE, Problem,
    RESOURCES_PATH, ROLLBACK_PATH, Redriven, RollbackRequest,
};
use flash_model::{HttpMethod, Manifest, Outcome, Secret};
use http::header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderValue, Method, StatusCode};
use serde_json::Value;

use crate::transport::{Answer, Request, base, segment};
use crate::{Error, Transport};

const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// Beyond the asked-for wait.
const MANIFEST_TIMEOUT: Duration = Duration::from_secs(10);
/// For a plan to be compared and written down, beyond the asked-for wait.
const STEER_TIMEOUT: Duration = Duration::from_secs(90);
/// Beyond what the mothership waits for an endpoint that is on its way.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(60);
/// A call is bounded by the endpoint's own execution time-out; this only ends what nobody waits for any more.
const CALL_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// A mothership at a base URL. Cheap to make and to clone.
#[derive(Debug, Clone)]
pub struct Mothership {
    transport: Transport,
    url: String,
    token: Option<Secret>,
}

/// Answer to a conditional `GET /manifest`.
#[derive(Debug, Clone, PartialEq)]
pub enum Fetched {
    NotModified,
    Document { manifest: Box<Manifest>, etag: Option<String> },
}

/// What came back, from an endpoint or from the mothership itself.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub body: Bytes,
    /// If the answer is one of Flash's own problem documents.
    pub problem: Option<Problem>,
}

impl Mothership {
    pub fn new(url: impl Into<String>, token: Option<Secret>) -> Self {
        Self::with_transport(Transport::new(), url, token)
    }

    pub fn with_transport(transport: Transport, url: impl Into<String>, token: Option<Secret>) -> Self {
        Self { transport, url: base(url), token }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// `GET /ping`; an error unless it answers 200.
    pub async fn ping(&self) -> Result<(), Error> {
        self.send(Method::GET, "/ping", PING_TIMEOUT).await?.success().map(drop)
    }

    /// The served manifest. With `etag` of the last one, a `wait` makes the server answer only when there is a newer one,
    /// or [`Fetched::NotModified`] when the wait is over.
    pub async fn manifest(&self, etag: Option<&str>, wait: Option<Duration>) -> Result<Fetched, Error> {
        let path = match wait {
            Some(wait) => format!("/manifest?wait={}", wait.as_secs()),
            None => "/manifest".to_owned(),
        };
        let mut request = self.request(Method::GET, &path, MANIFEST_TIMEOUT + wait.unwrap_or_default());
        if let Some(etag) = etag.and_then(|etag| HeaderValue::from_str(etag).ok()) {
            request.headers.insert(IF_NONE_MATCH, etag);
        }
        let answer = self.transport.send(request).await?;
        if answer.status == StatusCode::NOT_MODIFIED {
            return Ok(Fetched::NotModified);
        }
        let answer = answer.success()?;
        let text = std::str::from_utf8(&answer.body).unwrap_or_default();
        let manifest = Manifest::from_json(text).map_err(|error| Error::Decode {
            url: answer.url.clone(),
            expected: "a manifest",
            source: Some(error.into()),
        })?;
        let etag = answer.text_header(ETAG).map(str::to_owned);
        Ok(Fetched::Document { manifest: Box::new(manifest), etag })
    }

    /// Calls `function` (or `Class.method`) wherever it runs, with JSON keyword arguments.
    pub async fn call_json(&self, function: &str, kwargs: &Value) -> Result<Value, Error> {
        let path = format!("{MOTHERSHIP_CALL_PATH}/{}", segment(function));
        let mut request = self.request(Method::POST, &path, CALL_TIMEOUT);
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.body = Some(kwargs.to_string().into());
        self.transport.send(request).await?.success()?.json("JSON")
    }

    /// Sends any request through the front door. Whatever the status, an answer is no error.
    pub async fn ask(
        &self,
        method: HttpMethod,
        path: &str,
        body: Option<(&'static str, Vec<u8>)>,
        timeout: Duration,
    ) -> Result<Reply, Error> {
        let method = match method {
            HttpMethod::Get => Method::GET,
            HttpMethod::Post => Method::POST,
            HttpMethod::Put => Method::PUT,
            HttpMethod::Patch => Method::PATCH,
            HttpMethod::Delete => Method::DELETE,
        };
        let mut request = self.request(method, path, timeout);
        if let Some((content_type, body)) = body {
            request.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            request.body = Some(body.into());
        }
        let answer = self.transport.send(request).await?;
        let is_problem =
            answer.text_header(CONTENT_TYPE).is_some_and(|kind| kind.starts_with(PROBLEM_CONTENT_TYPE));
        let problem = if is_problem { serde_json::from_slice(&answer.body).ok() } else { None };
        Ok(Reply { status: answer.status.as_u16(), body: answer.body, problem })
    }

    /// Has exactly the plan of a plan file applied, and gives back what had become of it after `wait`.
    pub async fn apply(&self, plan_file: String, wait: Duration) -> Result<Outcome, Error> {
        self.steer(APPLY_PATH, plan_file, wait).await
    }

    /// Has an earlier generation applied as a new one, and gives back what had become of it after `wait`.
    pub async fn rollback(&self, generation: u64, wait: Duration) -> Result<Outcome, Error> {
        let body = serde_json::to_string(&RollbackRequest { generation }).unwrap_or_default();
        self.steer(ROLLBACK_PATH, body, wait).await
    }

    /// Of every resource whether it is as the applied manifest wants it.
    pub async fn resources(&self) -> Result<Outcome, Error> {
        self.send(Method::GET, RESOURCES_PATH, MANIFEST_TIMEOUT).await?.success()?.json("an outcome")
    }

    /// Jobs of a queue endpoint that failed for good, the newest first, `limit` at most.
    pub async fn dead(&self, endpoint: &str, limit: u64) -> Result<DeadLetters, Error> {
        let path = format!("/v2/{}/dead?limit={limit}", segment(endpoint));
        self.send(Method::GET, &path, QUEUE_TIMEOUT).await?.success()?.json("a list of dead letters")
    }

    /// Queues one of them again.
    pub async fn redrive(&self, endpoint: &str, job: &str) -> Result<JobAccepted, Error> {
        let path = format!("/v2/{}/redrive/{}", segment(endpoint), segment(job));
        self.send(Method::POST, &path, QUEUE_TIMEOUT).await?.success()?.json("a job")
    }

    /// Queues all of them again.
    pub async fn redrive_all(&self, endpoint: &str) -> Result<Redriven, Error> {
        let path = format!("/v2/{}/redrive", segment(endpoint));
        self.send(Method::POST, &path, QUEUE_TIMEOUT).await?.success()?.json("a number of jobs")
    }

    async fn steer(&self, path: &str, body: String, wait: Duration) -> Result<Outcome, Error> {
        let path = format!("{path}?wait={}", wait.as_secs());
        let mut request = self.request(Method::POST, &path, STEER_TIMEOUT + wait);
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.body = Some(body.into());
        self.transport.send(request).await?.success()?.json("an outcome")
    }

    async fn send(&self, method: Method, path: &str, timeout: Duration) -> Result<Answer, Error> {
        self.transport.send(self.request(method, path, timeout)).await
    }

    fn request(&self, method: Method, path: &str, timeout: Duration) -> Request<'_> {
        Request::new(method, format!("{}{path}", self.url), self.token.as_ref(), timeout)
    }
}
