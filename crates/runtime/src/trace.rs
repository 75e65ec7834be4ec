//! The trace that a request belongs to: read from its headers, one step further for the call, and on to whoever that calls.

use flash_model::{SpanId, TRACEPARENT_HEADER, TRACESTATE_HEADER, TraceContext, TraceId, TraceState};
use http::HeaderMap;

/// What a request says of its trace, a child of it for what is done here. `None` where it says nothing; where it says what cannot
/// be read, a trace begins here.
pub(crate) fn of_request(headers: &HeaderMap) -> Option<TraceContext> {
    let first = headers.get(TRACEPARENT_HEADER)?;
    let is_only = headers.get_all(TRACEPARENT_HEADER).iter().nth(1).is_none();
    match first.to_str().ok().filter(|_| is_only).and_then(TraceContext::parse) {
        Some(parent) => step(&parent.with_state(state(headers))),
        None => begin(),
    }
}

/// A child of `parent`, for one thing that is done in its trace.
pub(crate) fn step(parent: &TraceContext) -> Option<TraceContext> {
    Some(parent.child(span_id()?))
}

/// Nobody asked for this trace to be looked at.
fn begin() -> Option<TraceContext> {
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

    fn of(pairs: &[(&'static str, &'static str)]) -> Option<TraceContext> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        of_request(&headers)
    }

    #[test]
    fn a_request_that_says_nothing_belongs_to_no_trace() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("tracestate", "a=1")]), None);
    }

    #[test]
    fn a_call_is_a_step_of_its_own_in_its_requests_trace() {
        let parent = TraceContext::parse(PARENT).unwrap();
        let context = of(&[("traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")]).unwrap();
        assert_eq!((context.trace(), context.is_sampled()), (parent.trace(), true));
        assert_ne!(context.span(), parent.span());
        assert_eq!(context.state().as_str(), "a=1,b=2");
    }

    #[test]
    fn what_cannot_be_read_begins_a_trace_without_the_others_state() {
        let broken: [&[(&str, &str)]; 3] = [
            &[("traceparent", "nonsense"), ("tracestate", "a=1")],
            &[("traceparent", PARENT), ("traceparent", PARENT)],
            &[("traceparent", "\u{e9}")],
        ];
        for headers in broken {
            let context = of(headers).unwrap();
            assert_ne!(context.trace(), TraceContext::parse(PARENT).unwrap().trace());
            assert!(context.state().is_empty() && !context.is_sampled());
            assert!(TraceContext::parse(&context.traceparent()).is_some());
        }
    }
}
