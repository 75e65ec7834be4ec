//! The long-lived server of one app+environment: it keeps state, brings endpoints to the manifest, tells everybody
//! where everybody is, and is the front door to the endpoints.
//!
//! It knows nothing of scanning (it is handed a manifest) and of what runs inside an endpoint. It never prints.
//!
//! Start with `service.rs`; `leadership/` decides who acts, `reconcile/` is the heart, `store/` what survives,
//! `discovery.rs` what is served.

mod discovery;
mod http;
mod jitter;
mod leadership;
mod metrics;
mod reconcile;
mod served;
mod service;
mod settings;
mod state_server;
pub mod store;

pub use flash_plan::Drift;
pub use jitter::Jitter;
pub use leadership::Role;
pub use reconcile::{ApplyRefusal, Desired, Environment, Event};
pub use served::Served;
pub use service::{Front, Handle, Mothership, StartError};
pub use settings::{EnvironmentSource, FrontSettings, LeaseSettings, PERIOD, ReconcileSettings};
pub use state_server::StateServer;
