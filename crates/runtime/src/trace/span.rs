//! One thing that is done in a trace, from its begin until it is dropped.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use flash_model::{SpanId, TraceContext};

use super::exporter::Outbox;

/// OpenTelemetry's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Done within the endpoint.
    Internal = 1,
    /// A request that came.
    Server = 2,
    /// A request that is made.
    Client = 3,
    /// What was asked for earlier.
    Consumer = 5,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Text(String),
    Number(i64),
}

/// The size of a pointer: most requests belong to no trace.
#[derive(Debug)]
pub(crate) struct Span(Box<Inner>);

#[derive(Debug)]
struct Inner {
    context: TraceContext,
    /// None where nobody is told of it.
    record: Option<Record>,
}

/// What a collector is told of a span.
#[derive(Debug)]
struct Record {
    outbox: Outbox,
    parent: Option<SpanId>,
    kind: Kind,
    name: String,
    began: SystemTime,
    clock: Instant,
    attributes: Vec<(&'static str, Value)>,
    error: Option<String>,
}

/// A span that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) context: TraceContext,
    pub(super) parent: Option<SpanId>,
    pub(super) kind: Kind,
    pub(super) name: String,
    /// Since 1970.
    pub(super) began: Duration,
    pub(super) ended: Duration,
    pub(super) attributes: Vec<(&'static str, Value)>,
    /// What kind of thing went wrong.
    pub(super) error: Option<String>,
}

impl Span {
    /// Known to what it calls, and to nobody else.
    pub(super) fn unrecorded(context: TraceContext) -> Self {
        Self(Box::new(Inner { context, record: None }))
    }

    pub(super) fn recorded(
        context: TraceContext,
        parent: Option<SpanId>,
        (kind, name): (Kind, String),
        outbox: Outbox,
    ) -> Self {
        let (began, clock) = (SystemTime::now(), Instant::now());
        let record = Record { outbox, parent, kind, name, began, clock, attributes: Vec::new(), error: None };
        Self(Box::new(Inner { context, record: Some(record) }))
    }

    pub(crate) fn context(&self) -> &TraceContext {
        &self.0.context
    }

    pub(crate) fn is_recorded(&self) -> bool {
        self.0.record.is_some()
    }

    pub(crate) fn rename(&mut self, name: String) {
        if let Some(record) = &mut self.0.record {
            record.name = name;
        }
    }

    pub(crate) fn note(&mut self, name: &'static str, value: impl Into<Value>) {
        if let Some(record) = &mut self.0.record {
            record.attributes.push((name, value.into()));
        }
    }

    /// In one word, of which there are few.
    pub(crate) fn fail(&mut self, kind: &str) {
        if let Some(record) = &mut self.0.record {
            record.error = Some(kind.to_owned());
        }
    }

    /// It went well after all.
    pub(crate) fn mend(&mut self) {
        if let Some(record) = &mut self.0.record {
            record.error = None;
        }
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let Some(record) = self.0.record.take() else { return };
        let Record { outbox, parent, kind, name, began, clock, attributes, error } = record;
        let began = began.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (context, ended) = (self.0.context.clone(), began + clock.elapsed());
        outbox.put(Ended { context, parent, kind, name, began, ended, attributes, error });
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}
