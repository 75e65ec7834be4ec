//! Distributed traces: which one a request belongs to, what is done here as spans of it, and where those go.
//!
//! `context.rs` reads headers, `tracer.rs` begins spans, `span.rs` is one, `sampler.rs` says which are recorded. Where the
//! endpoint's environment names a collector (`variables.rs`), `exporter.rs` sends it what is recorded, as `otlp.rs` writes it.

mod context;
mod exporter;
mod otlp;
mod sampler;
mod span;
mod tracer;
mod variables;

pub(crate) use exporter::Exporter;
pub(crate) use span::Span;
pub(crate) use tracer::Tracer;
pub use variables::{InvalidVariable, TraceExport};
