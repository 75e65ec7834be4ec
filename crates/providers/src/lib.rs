//! Worlds that can run endpoints, behind one trait.
//!
//! A provider does what it is told and says what exists; it never decides. It knows nothing of plans and of the
//! mothership. `local/` runs endpoints as processes of this machine, `sim.rs` keeps them in memory for tests of
//! whoever uses a provider.
//!
//! Start with `provider.rs`.

mod error;
pub mod local;
mod provider;
pub mod sim;

pub use error::Error;
pub use local::LocalProvider;
pub use provider::{EndpointRequest, Limits, Mandate, Pending, Provider};
pub use sim::SimProvider;
