//! Begins spans.

use flash_model::TraceContext;
use http::HeaderMap;

use super::context::{self, Said};
use super::exporter::Outbox;
use super::sampler::Sampler;
use super::span::{Kind, Span};

/// Cheap to clone. The default one records nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tracer(Option<Recording>);

#[derive(Debug, Clone)]
struct Recording {
    sampler: Sampler,
    outbox: Outbox,
}

impl Tracer {
    pub(super) fn new(sampler: Sampler, outbox: Outbox) -> Self {
        Self(Some(Recording { sampler, outbox }))
    }

    /// Of a request that came. `None` where it belongs to no trace and none is begun for it.
    pub(crate) fn request(&self, headers: &HeaderMap) -> Option<Span> {
        let (parent, context) = match context::said(headers) {
            Said::Nothing if self.0.is_none() => return None,
            Said::Nothing | Said::Unreadable => (None, context::begin()?),
            Said::Parent(parent) => (Some(parent.span()), context::step(&parent)?),
        };
        let Some(Recording { sampler, outbox }) = &self.0 else { return Some(Span::unrecorded(context)) };
        let is_recorded = sampler.records(context.trace(), parent.map(|_| context.is_sampled()));
        let context = context.with_sampled(is_recorded);
        Some(if is_recorded {
            Span::recorded(context, parent, (Kind::Server, String::new()), outbox.clone())
        } else {
            Span::unrecorded(context)
        })
    }

    /// Of a call in a worker.
    pub(crate) fn call(&self, parent: &TraceContext, function: &str) -> Span {
        let mut span = self.below(parent, Kind::Internal, || format!("call {function}"));
        span.note("code.function.name", function);
        span
    }

    /// Of one try of a job that was submitted at `parent`. A span of its own also where nobody records it.
    pub(crate) fn attempt(&self, parent: &TraceContext, job: &str, attempt: u32) -> Span {
        let mut span = self.below(parent, Kind::Consumer, || "process job".to_owned());
        if !span.is_recorded() {
            return Span::unrecorded(context::step(parent).unwrap_or_else(|| parent.clone()));
        }
        span.note("messaging.system", "flash");
        span.note("messaging.operation.type", "process");
        span.note("messaging.message.id", job);
        span.note("flash.job.attempt", attempt);
        span
    }

    /// Of a request to somebody else.
    pub(crate) fn outgoing(&self, parent: &TraceContext, name: impl FnOnce() -> String) -> Span {
        self.below(parent, Kind::Client, name)
    }

    /// Where it is not recorded, what it calls is its parent's.
    fn below(&self, parent: &TraceContext, kind: Kind, name: impl FnOnce() -> String) -> Span {
        let recording = self.0.as_ref().filter(|_| parent.is_sampled());
        let Some((Recording { outbox, .. }, context)) = recording.zip(context::step(parent)) else {
            return Span::unrecorded(parent.clone());
        };
        Span::recorded(context, Some(parent.span()), (kind, name()), outbox.clone())
    }
}
