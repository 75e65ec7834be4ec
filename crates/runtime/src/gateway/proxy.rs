//! The user's own web application: everything goes to a worker's own server, bodies as they come.

use flash_client::{ForwardError, Forwarder, ShownHost};
use flash_model::Code;
use http::Request;
use http::uri::{Authority, PathAndQuery};
use http_body_util::Full;
use hyper::body::Incoming;

use super::content::Content;
use super::respond::Response;
use super::tunnels::Tunnels;
use crate::refusal::Refusal;
use crate::worker::pool::Lease;
use crate::worker::{Patience, Pool};

#[derive(Debug)]
pub(crate) struct Proxy {
    forwarder: Forwarder<Incoming>,
    pub(super) tunnels: Tunnels,
}

impl Proxy {
    pub(crate) fn new() -> Self {
        Self { forwarder: Forwarder::new(), tunnels: Tunnels::default() }
    }

    pub(super) async fn forward(&self, pool: &Pool, request: Request<Incoming>) -> Result<Response, Refusal> {
        let (slot, port) = seat(pool).await?;
        let response = self.pass(request, port).await.map_err(unanswered)?;
        Ok(streamed(response, Some(slot)))
    }

    /// A WebSocket handshake. The worker's slot is taken for as long as the connection lives that comes of it.
    pub(super) async fn open(
        &self,
        pool: &Pool,
        mut request: Request<Incoming>,
    ) -> Result<Response, Refusal> {
        let caller = hyper::upgrade::on(&mut request);
        let (slot, port) = seat(pool).await?;
        let (authority, path) = target(&request, port);
        let forwarded = self.forwarder.forward_handshake(request, authority, path, ShownHost::Asked).await;
        match forwarded.map_err(unanswered)? {
            (response, Some(worker)) => {
                self.tunnels.open(caller, worker, slot);
                Ok(response.map(|_| Content::Whole(Full::default())))
            }
            (response, None) => Ok(streamed(response, Some(slot))),
        }
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
        let (authority, path) = target(&request, port);
        self.forwarder.forward(request, authority, path, ShownHost::Asked).await
    }
}

async fn seat(pool: &Pool) -> Result<(Lease, u16), Refusal> {
    let slot = pool.lease(false, 0, Patience::Door).await?;
    let port = slot
        .port()
        .ok_or_else(|| Refusal::new(Code::WorkerStartFailed, 503, "the application told no port"))?;
    Ok((slot, port))
}

fn target(request: &Request<Incoming>, port: u16) -> (Authority, PathAndQuery) {
    let path = request.uri().path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    let authority = Authority::try_from(format!("127.0.0.1:{port}"))
        .unwrap_or_else(|_| Authority::from_static("127.0.0.1"));
    (authority, path)
}

fn unanswered(error: ForwardError) -> Refusal {
    Refusal::new(Code::WorkerDied, 502, format!("the application did not answer: {error}"))
}

fn streamed(response: http::Response<Incoming>, slot: Option<Lease>) -> Response {
    response.map(|body| Content::Passed { body, _slot: slot })
}
