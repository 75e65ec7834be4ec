//! Spans as a collector reads them: the body of an OTLP request (`ExportTraceServiceRequest`) in JSON.

use std::time::Duration;

use serde::{Serialize, Serializer};

use super::span::{Ended, Value};

const SCOPE: &str = "flash";
const VERSION: &str = env!("CARGO_PKG_VERSION");
const STATUS_ERROR: u8 = 2;

/// Who they are of: attributes with fixed names, and what the environment adds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Service(pub(super) Vec<(String, String)>);

pub(super) fn body(service: &Service, spans: &[Ended]) -> Vec<u8> {
    let attribute =
        |(name, value): &(String, String)| Attribute::new(name.clone(), &Value::Text(value.clone()));
    let request = Request {
        resource_spans: [ResourceSpans {
            resource: Resource { attributes: service.0.iter().map(attribute).collect() },
            scope_spans: [ScopeSpans {
                scope: Scope { name: SCOPE, version: VERSION },
                spans: spans.iter().map(Span::of).collect(),
            }],
        }],
    };
    // Structs of texts and numbers always serialise.
    serde_json::to_vec(&request).unwrap_or_default()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    resource_spans: [ResourceSpans; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans {
    resource: Resource,
    scope_spans: [ScopeSpans; 1],
}

#[derive(Serialize)]
struct Resource {
    attributes: Vec<Attribute>,
}

#[derive(Serialize)]
struct ScopeSpans {
    scope: Scope,
    spans: Vec<Span>,
}

#[derive(Serialize)]
struct Scope {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Span {
    trace_id: String,
    span_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    trace_state: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<String>,
    name: String,
    kind: u8,
    #[serde(serialize_with = "nanoseconds")]
    start_time_unix_nano: Duration,
    #[serde(serialize_with = "nanoseconds")]
    end_time_unix_nano: Duration,
    attributes: Vec<Attribute>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
}

#[derive(Serialize)]
struct Status {
    code: u8,
}

#[derive(Serialize)]
struct Attribute {
    key: String,
    value: AnyValue,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum AnyValue {
    StringValue(String),
    /// 64 bits are a text in JSON.
    IntValue(String),
}

impl Span {
    fn of(ended: &Ended) -> Self {
        let mut attributes: Vec<_> =
            ended.attributes.iter().map(|(name, value)| Attribute::new((*name).to_owned(), value)).collect();
        if let Some(error) = &ended.error {
            attributes.push(Attribute::new("error.type".to_owned(), &Value::Text(error.clone())));
        }
        Self {
            trace_id: ended.context.trace().to_string(),
            span_id: ended.context.span().to_string(),
            trace_state: ended.context.state().as_str().to_owned(),
            parent_span_id: ended.parent.map(|parent| parent.to_string()),
            name: ended.name.clone(),
            kind: ended.kind as u8,
            start_time_unix_nano: ended.began,
            end_time_unix_nano: ended.ended,
            attributes,
            status: ended.error.as_ref().map(|_| Status { code: STATUS_ERROR }),
        }
    }
}

impl Attribute {
    fn new(key: String, value: &Value) -> Self {
        let value = match value {
            Value::Text(text) => AnyValue::StringValue(text.clone()),
            Value::Number(number) => AnyValue::IntValue(number.to_string()),
        };
        Self { key, value }
    }
}

fn nanoseconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&time.as_nanos())
}

#[cfg(test)]
mod tests {
    use flash_model::{SpanId, TraceContext};
    use serde_json::json;

    use super::*;
    use crate::trace::span::Kind;

    #[test]
    fn a_span_is_written_as_the_protocol_has_it() {
        let context = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01").unwrap();
        let failed = Ended {
            context,
            parent: SpanId::new([7; 8]),
            kind: Kind::Server,
            name: "GET /x".to_owned(),
            began: Duration::new(1_700_000_000, 5),
            ended: Duration::new(1_700_000_001, 0),
            attributes: vec![("http.response.status_code", 500_u16.into())],
            error: Some("500".to_owned()),
        };
        let root = Ended {
            parent: None,
            error: None,
            attributes: Vec::new(),
            kind: Kind::Consumer,
            ..failed.clone()
        };
        let service = Service(vec![("service.name".to_owned(), "gpu".to_owned())]);
        let written: serde_json::Value = serde_json::from_slice(&body(&service, &[failed, root])).unwrap();
        let times = json!({"start": "1700000000000000005", "end": "1700000001000000000"});
        let expected = json!({"resourceSpans": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "gpu"}}]},
            "scopeSpans": [{
                "scope": {"name": "flash", "version": VERSION},
                "spans": [{
                    "traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00f067aa0ba902b7",
                    "parentSpanId": "0707070707070707", "name": "GET /x", "kind": 2,
                    "startTimeUnixNano": times["start"], "endTimeUnixNano": times["end"],
                    "attributes": [
                        {"key": "http.response.status_code", "value": {"intValue": "500"}},
                        {"key": "error.type", "value": {"stringValue": "500"}},
                    ],
                    "status": {"code": 2},
                }, {
                    "traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00f067aa0ba902b7",
                    "name": "GET /x", "kind": 5, "attributes": [],
                    "startTimeUnixNano": times["start"], "endTimeUnixNano": times["end"],
                }],
            }],
        }]});
        assert_eq!(written, expected);
    }
}
