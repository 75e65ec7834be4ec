//! The user's own web application: everything goes to a worker's own server, bodies as they come.

use flash_client::{ForwardError, Forwarder, ShownHost};
use flash_model::Code;
use http::Request;
use http::uri::{Authority, PathAndQuery};
use hyper::body::Incoming;

use super::content::Content;
use super::respond::Response;
use crate::refusal::Refusal;
use crate::worker::pool::Lease;
use crate::worker::{Patience, Pool};

#[derive(Debug)]
pub(crate) struct Proxy {
    forwarder: Forwarder<Incoming>,
}

impl Proxy {
    pub(crate) fn new() -> Self {
        Self { forwarder: Forwarder::new() }
    }

    pub(super) async fn forward(&self, pool: &Pool, request: Request<Incoming>) -> Result<Response, Refusal> {
        let slot = pool.lease(false, 0, Patience::Door).await?;
        let port = slot
            .port()
            .ok_or_else(|| Refusal::new(Code::WorkerStartFailed, 503, "the application told no port"))?;
        let response = self.pass(request, port).await.map_err(|error| {
            let detail = format!("the application did not answer: {error}");
            Refusal::new(Code::WorkerDied, 502, detail)
        })?;
        Ok(streamed(response, Some(slot)))
    }

    /// Without waiting for a worker, and without keeping one from being idle.
    pub(super) async fn ask_a_ready_one(&self, pool: &Pool, request: Request<Incoming>) -> Option<Response> {
        let port = pool.any_port()?;
        let response = self.pass(request, port).await.ok()?;
        Some(streamed(response, None))
    }

    async fn pass(
        &self,
        request: Request<Incoming>,
        port: u16,
    ) -> Result<http::Response<Incoming>, ForwardError> {
        let path = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
        let authority = Authority::try_from(format!("127.0.0.1:{port}"))
            .unwrap_or_else(|_| Authority::from_static("127.0.0.1"));
        self.forwarder.forward(request, authority, path, ShownHost::Asked).await
    }
}

fn streamed(response: http::Response<Incoming>, slot: Option<Lease>) -> Response {
    response.map(|body| Content::Passed { body, _slot: slot })
}
