//! What provider and mothership ask an endpoint.

use std::time::Duration;

use flash_model::Code;
use flash_model::wire::{METRICS_CONTENT_TYPE, MothershipRequest};
use http::{HeaderValue, Request, StatusCode};
use hyper::body::Incoming;

use super::respond::{self, Response};
use super::{Front, Gateway, Proxy};
use crate::refusal::Refusal;
use crate::worker::Health;

/// How long an application's own `/ping` may take before ours is given.
const APPLICATION_PING_TIMEOUT: Duration = Duration::from_secs(1);

impl Gateway {
    /// Never waits for a worker.
    pub(super) fn ping(&self) -> Result<Response, Refusal> {
        match self.pool.health() {
            Health::Healthy => {
                Ok(respond::bytes(respond::JSON, bytes::Bytes::from_static(br#"{"status":"healthy"}"#)))
            }
            Health::Starting => Ok(respond::empty(StatusCode::NO_CONTENT)),
            Health::Failed(failure) => Err(Refusal::cannot_load(&failure)),
        }
    }

    /// The application's own `/ping` if it has one and is up.
    pub(super) async fn application_ping(&self, proxy: &Proxy, request: Request<Incoming>) -> Response {
        let theirs =
            tokio::time::timeout(APPLICATION_PING_TIMEOUT, proxy.ask_a_ready_one(&self.pool, request));
        match theirs.await {
            Ok(Some(response)) if response.status() != StatusCode::NOT_FOUND => response,
            _ => self.ping().unwrap_or_else(respond::refusal),
        }
    }

    /// What was counted so far.
    pub(super) async fn measured(&self) -> Result<Response, Refusal> {
        let jobs = match &self.front {
            Front::Jobs(jobs) => Some((jobs.queue.counts().await?, jobs.queue.age().await?)),
            Front::Routes(..) | Front::Application(_) => None,
        };
        let text = self.metrics.render(self.pool.counts(), self.pool.worker_start(), jobs);
        Ok(respond::bytes(HeaderValue::from_static(METRICS_CONTENT_TYPE), text.into()))
    }

    pub(super) async fn announce_mothership(&self, request: Request<Incoming>) -> Result<Response, Refusal> {
        let body = respond::read_body(request.into_body()).await?;
        let MothershipRequest { url } = serde_json::from_slice(&body).map_err(respond::invalid_body)?;
        self.discovery.set_mothership(url);
        Ok(respond::empty(StatusCode::NO_CONTENT))
    }
}

pub(super) fn not_mothership() -> Refusal {
    Refusal::new(Code::NotMothership, 403, "this is an endpoint; only the mothership serves the manifest")
}
