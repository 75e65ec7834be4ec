//! `POST /execute` of live load-balanced endpoints: a function that comes as source text, as the reference's stub sends it. A worker
//! runs it; here is only who may ask.

use bytes::Bytes;
use http::{Method, Request};
use hyper::body::Incoming;

use super::respond::{self, Response};
use super::{Front, Gateway, no_route, require};
use crate::refusal::Refusal;
use crate::trace;
use crate::worker::Answer;

const PATH: &str = "/execute";
const HEADER: Bytes = Bytes::from_static(br#"{"form":"source"}"#);
const LIVE_ONLY: &str =
    "only live endpoints, those of LiveLoadBalancer and CpuLiveLoadBalancer, run code that they are sent";

impl Gateway {
    /// A route of the project at that path is the project's.
    pub(super) fn is_execute(&self, path: &str) -> bool {
        path == PATH && matches!(&self.front, Front::Routes(routes, _) if !routes.has(path))
    }

    pub(super) async fn execute(&self, request: Request<Incoming>) -> Result<Response, Refusal> {
        if !self.is_live {
            return Err(no_route(PATH, LIVE_ONLY));
        }
        require(&request, &Method::POST)?;
        // Source is code, as pickles are.
        self.authorize(request.headers())?;
        let trace = trace::of_request(request.headers());
        let body = respond::read_body(request.into_body()).await?;
        // Whether it is async is known when it runs; where plain functions run both can begin.
        match self.pool.call(true, trace, HEADER, body).await? {
            Answer::Result { body, .. } => Ok(respond::bytes(respond::JSON, body)),
            Answer::Error(header) => Err(header.into()),
            Answer::Died(death) => Err(Refusal::worker_died(&death)),
        }
    }
}
