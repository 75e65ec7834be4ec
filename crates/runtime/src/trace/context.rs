//! The place in a trace that a request names, and the next one.

use flash_model::{SpanId, TRACEPARENT_HEADER, TRACESTATE_HEADER, TraceContext, TraceId, TraceState};
use http::HeaderMap;

/// What a request says of its trace.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    /// What cannot be read is left out, but somebody meant it to be in a trace.
    Unreadable,
    Parent(TraceContext),
}

pub(super) fn said(headers: &HeaderMap) -> Said {
    let Some(first) = headers.get(TRACEPARENT_HEADER) else { return Said::Nothing };
    let is_only = headers.get_all(TRACEPARENT_HEADER).iter().nth(1).is_none();
    match first.to_str().ok().filter(|_| is_only).and_then(TraceContext::parse) {
        Some(parent) => Said::Parent(parent.with_state(state(headers))),
        None => Said::Unreadable,
    }
}

/// A child of `parent`, for one thing that is done in its trace.
pub(super) fn step(parent: &TraceContext) -> Option<TraceContext> {
    Some(parent.child(span_id()?))
}

/// Nobody asked for this trace to be looked at.
pub(super) fn begin() -> Option<TraceContext> {
    Some(TraceContext::begin(TraceId::new(random()?)?, span_id()?, false))
}

fn state(headers: &HeaderMap) -> TraceState {
    let values: Option<Vec<&str>> =
        headers.get_all(TRACESTATE_HEADER).iter().map(|value| value.to_str().ok()).collect();
    values.map(TraceState::parse).unwrap_or_default()
}

fn span_id() -> Option<SpanId> {
    SpanId::new(random()?)
}

/// Without random numbers a call goes untraced rather than not at all.
fn random<const BYTES: usize>() -> Option<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn of(pairs: &[(&'static str, &'static str)]) -> Said {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        said(&headers)
    }

    #[test]
    fn a_request_that_says_nothing_belongs_to_no_trace() {
        assert_eq!(of(&[]), Said::Nothing);
        assert_eq!(of(&[("tracestate", "a=1")]), Said::Nothing);
    }

    #[test]
    fn its_state_comes_from_all_lines() {
        let Said::Parent(parent) =
            of(&[("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")])
        else {
            panic!("it can be read")
        };
        assert_eq!((parent.traceparent().as_str(), parent.state().as_str()), (PARENT, "a=1,b=2"));
    }

    #[test]
    fn a_step_stays_in_its_trace() {
        let parent = TraceContext::parse(PARENT).unwrap();
        let context = step(&parent).unwrap();
        assert_eq!((context.trace(), context.is_sampled()), (parent.trace(), true));
        assert_ne!(context.span(), parent.span());
    }

    #[test]
    fn what_cannot_be_read_is_told_from_nothing() {
        let broken: [&[(&str, &str)]; 3] = [
            &[("traceparent", "nonsense"), ("tracestate", "a=1")],
            &[("traceparent", PARENT), ("traceparent", PARENT)],
            &[("traceparent", "\u{e9}")],
        ];
        for headers in broken {
            assert_eq!(of(headers), Said::Unreadable);
        }
        let context = begin().unwrap();
        assert!(context.state().is_empty() && !context.is_sampled());
        assert!(TraceContext::parse(&context.traceparent()).is_some());
    }
}
