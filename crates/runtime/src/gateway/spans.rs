//! The span of a request: begun with its headers, over with the end of its answer.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use flash_model::wire::CHILD_CALL_PATH;
use flash_model::{RESERVED_PREFIX, TraceContext};
use http::Request;
use hyper::body::{Body, Frame, Incoming};

use super::content::{self, Content};
use super::respond::Response;
use super::{Front, Gateway, jobs};
use crate::trace::Span;

/// What became of a request whose answer nobody waited for.
const CALLER_GONE: &str = "caller gone";
const CUT_OFF: &str = "cut off";

/// The trace of a request that [`Gateway::begin_span`] has seen.
pub(super) fn trace_of(extensions: &http::Extensions) -> Option<&TraceContext> {
    extensions.get()
}

impl Gateway {
    /// `None` for what belongs to no trace.
    pub(super) fn begin_span(&self, request: &mut Request<Incoming>) -> Option<Span> {
        let path = request.uri().path();
        // Flash's own questions are no user's doing.
        if path.starts_with(RESERVED_PREFIX) && !path.starts_with(CHILD_CALL_PATH) {
            return None;
        }
        let mut span = self.tracer.request(request.headers())?;
        request.extensions_mut().insert(span.context().clone());
        if !span.is_recorded() {
            return Some(span);
        }
        let (method, path) = (request.method().as_str(), request.uri().path());
        match self.route_of(request) {
            Some(route) => {
                span.rename(format!("{method} {route}"));
                span.note("http.route", &*route);
            }
            None => span.rename(method.to_owned()),
        }
        span.note("http.request.method", method);
        span.note("url.path", path);
        span.fail(CALLER_GONE);
        if let Front::Application(_) = self.front {
            flash_client::set_trace(request.headers_mut(), span.context());
        }
        Some(span)
    }

    /// With a pattern for what differs from request to request, so that there are few of them.
    fn route_of(&self, request: &Request<Incoming>) -> Option<String> {
        let path = request.uri().path();
        if path.starts_with(CHILD_CALL_PATH) {
            return Some(format!("{CHILD_CALL_PATH}/{{function}}"));
        }
        match &self.front {
            Front::Routes(routes, _) => routes.pattern_of(request.method(), path).map(str::to_owned),
            Front::Jobs(_) => jobs::pattern_of(path),
            Front::Application(_) => None,
        }
    }
}

/// Of an answer that is there the span is over now; of one that still comes with its last part.
pub(super) fn end_span(mut span: Span, response: Response) -> Response {
    let status = response.status();
    span.note("http.response.status_code", status.as_u16());
    span.mend();
    if status.is_server_error() {
        span.fail(status.as_str());
    }
    if !span.is_recorded() || matches!(response.body(), Content::Whole(_)) {
        return response;
    }
    response.map(|body| Content::Traced(Box::new(Traced::new(body, span))))
}

/// A body with the span that it ends.
#[derive(Debug)]
pub(crate) struct Traced {
    body: Content,
    span: Span,
}

impl Traced {
    fn new(body: Content, mut span: Span) -> Self {
        span.fail(CALLER_GONE);
        Self { body, span }
    }

    pub(super) fn body(&self) -> &Content {
        &self.body
    }

    pub(super) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, content::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Ready(None) => self.span.mend(),
            Poll::Ready(Some(Err(_))) => self.span.fail(CUT_OFF),
            Poll::Ready(Some(Ok(_))) if self.body.is_end_stream() => self.span.mend(),
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        polled
    }
}
