//! Calls that workers make: to a function of another resource over the network, to one of their own back into the pool.

use std::sync::Arc;

use bytes::Bytes;
use flash_client::{Endpoint, Error, Transport};
use flash_model::wire::PICKLE_CONTENT_TYPE;
use flash_model::{Code, Retry, Secret, TraceContext};
use tokio::sync::Semaphore;

use crate::discovery::Discovery;
use crate::functions::Functions;
use crate::refusal::Refusal;
use crate::trace::{Span, Tracer};
use crate::worker::protocol::{CallHeader, Frame, Kind, split_trace};
use crate::worker::{Call, Pool};

/// Calls of all workers of this endpoint that are under way at the same time; more wait.
const RELAYED_CALLS_MAX: usize = 1024;
/// An endpoint that was replaced is found again in the next route table.
const ATTEMPTS_MAX: u32 = 6;
const ATTEMPT_PAUSE_MIN: std::time::Duration = std::time::Duration::from_millis(50);

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Relay {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    own: Arc<Functions>,
    discovery: Discovery,
    transport: Transport,
    token: Secret,
    tracer: Tracer,
    permits: Semaphore,
}

impl Relay {
    pub(crate) fn new(
        own: Arc<Functions>,
        discovery: Discovery,
        transport: Transport,
        token: Secret,
        tracer: Tracer,
    ) -> Self {
        let permits = Semaphore::new(RELAYED_CALLS_MAX);
        Self { shared: Arc::new(Shared { own, discovery, transport, token, tracer, permits }) }
    }

    /// The frame that answers a worker's CALL.
    pub(crate) async fn answer(&self, pool: &Pool, call: Frame) -> Frame {
        let Frame { call: id, header, body, .. } = call;
        let _permit = self.shared.permits.acquire().await;
        match self.call(pool, &header, body).await {
            Ok(body) if Frame::fits(&Bytes::new(), &body) => Frame::new(Kind::Result, id, Bytes::new(), body),
            Ok(_) => error(id, Refusal::new(Code::PayloadTooLarge, 413, "the result is too large")),
            Err(refusal) => error(id, refusal),
        }
    }

    async fn call(&self, pool: &Pool, header: &[u8], body: Bytes) -> Result<Bytes, Refusal> {
        let (header, trace) = split_trace(header);
        let header: CallHeader<'_> = serde_json::from_slice(header)
            .map_err(|error| Refusal::new(Code::InvalidBody, 400, format!("CALL cannot be read: {error}")))?;
        let function = header.function.as_deref().unwrap_or_default();
        if header.form != "pickle" {
            let detail = format!("a worker's calls have the form pickle, not {}", header.form);
            return Err(Refusal::new(Code::InvalidBody, 400, detail));
        }
        if self.shared.own.contains(function) {
            let target = self.shared.own.find(function)?;
            let (is_sync, trace, header) = (target.is_sync(), trace.as_ref(), header.encode());
            return pool.call(Call { function, is_sync, trace, header, body }).await;
        }
        let mut span = trace.map(|trace| self.shared.tracer.outgoing(&trace, || format!("call {function}")));
        let answer = self.call_elsewhere(function, body, span.as_ref().map(Span::context)).await;
        if let (Some(span), Err(refusal)) = (&mut span, &answer) {
            span.fail(refusal.problem.code.as_str());
        }
        answer
    }

    async fn call_elsewhere(
        &self,
        function: &str,
        body: Bytes,
        trace: Option<&TraceContext>,
    ) -> Result<Bytes, Refusal> {
        let Shared { discovery, transport, token, .. } = &*self.shared;
        let (mut attempt, mut pause) = (1, ATTEMPT_PAUSE_MIN);
        loop {
            let route = discovery.resolve(function).await?;
            let endpoint = Endpoint::with_transport(transport.clone(), route.url, Some(token.clone()));
            let error = match endpoint.call(function, PICKLE_CONTENT_TYPE, body.clone(), trace).await {
                Ok((content_type, body)) if content_type == PICKLE_CONTENT_TYPE => return Ok(body),
                Ok((content_type, _)) => {
                    let detail = format!("the endpoint of {function} answered {content_type}, not a pickle");
                    return Err(Refusal::new(Code::EndpointUnreachable, 502, detail));
                }
                Err(error) => error,
            };
            // Only a refused connection: then the call has surely not begun.
            if attempt < ATTEMPTS_MAX
                && matches!(&error, Error::Connect { .. })
                && error.retry() != Retry::Never
            {
                tokio::time::sleep(pause).await;
                (attempt, pause) = (attempt + 1, pause * 2);
                continue;
            }
            return Err(match error {
                Error::Problem { problem, retry_after } => Refusal { problem, retry_after, allow: None },
                other => {
                    let detail = format!("the endpoint of {function} cannot be reached: {other}");
                    Refusal::new(Code::EndpointUnreachable, 502, detail)
                }
            });
        }
    }
}

fn error(id: u32, refusal: Refusal) -> Frame {
    // Strings and numbers always serialise.
    let header = serde_json::to_vec(&refusal.into_header()).unwrap_or_default();
    Frame::new(Kind::Error, id, header.into(), Bytes::new())
}
