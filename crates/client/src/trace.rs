//! How a request says which trace it belongs to.

use flash_model::{TRACEPARENT_HEADER, TRACESTATE_HEADER, TraceContext};
use http::{HeaderMap, HeaderValue};

/// In the place of what was there.
pub fn set_trace(headers: &mut HeaderMap, context: &TraceContext) {
    let state = Some(context.state().as_str()).filter(|state| !state.is_empty());
    for (name, value) in
        [(TRACEPARENT_HEADER, Some(context.traceparent())), (TRACESTATE_HEADER, state.map(str::to_owned))]
    {
        headers.remove(name);
        // Both are of visible ASCII alone, so they are valid values.
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(name, value);
        }
    }
}
