//! One endpoint's process: the HTTP gateway, the durable queue and the Python workers behind them.
//!
//! It knows nothing of how projects are read (scan), what should exist (plan), how endpoints are made (providers) or who asks
//! for them (mothership): it is given a manifest, a folder and a port ([`Settings`]) and serves one resource until told to stop. It
//! reads no environment variables and prints nothing.
//!
//! Start with `serve.rs`, which puts the parts together, and `stop.rs`, how they end; then along a request: `gateway/`, `queue/`, `worker/`.
//! `log/` is what user code prints and the endpoint says, `trace/` what is told of it as spans; `discovery.rs` and `relay.rs` are how functions of other resources are found and called.

mod discovery;
mod endpoint_dir;
mod functions;
mod gateway;
mod log;
mod metrics;
mod queue;
mod refusal;
mod relay;
pub mod serve;
mod settings;
mod stop;
mod trace;
mod worker;

pub use endpoint_dir::Error as EndpointDirError;
pub use gateway::{CorsOrigins, InvalidOrigin};
pub use log::{Log, LogReader};
pub use serve::{serve, serve_until};
pub use settings::{GpuSettings, Recycling, Settings};
pub use stop::Stop;
pub use trace::{InvalidVariable, TraceExport};
