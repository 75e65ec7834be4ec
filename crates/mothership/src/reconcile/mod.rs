//! Brings endpoints to the manifest, again and again: observe, plan, apply, and watch their health beside it.
//!
//! The loop takes no input but the desired state; a signal or the period only makes it look again, so the next round
//! is the recovery from whatever went wrong in this one.
//!
//! `driver.rs` is the loop, `apply.rs` carries out one step, `monitor.rs` watches; `recorder.rs` is the one way to write
//! state, `caller.rs` the one way to a provider.

mod apply;
mod backoff;
mod busy;
mod caller;
mod driver;
mod ledger;
mod monitor;
mod recorder;
mod steps;
mod wish;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flash_model::{Manifest, ResourceName, ResourceStatus, Secret};

pub(crate) use apply::chain;
pub(crate) use caller::Caller;
pub(crate) use driver::Driver;
pub(crate) use ledger::Ledger;
pub(crate) use recorder::Recorder;
pub use wish::ApplyRefusal;
use wish::Exactly;
pub(crate) use wish::{Wish, Wishes};

/// Values of the environment variables that resources name, by resource and variable; never stored.
pub type Environment = BTreeMap<ResourceName, BTreeMap<String, Secret>>;

/// What the user wants now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    pub manifest: Arc<Manifest>,
    pub environment: Environment,
}

/// Something a person would like to read in a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A resource's status changed.
    Status { resource: ResourceName, status: ResourceStatus, reason: Option<String> },
    /// The line of a plan that is being applied.
    Step { resource: ResourceName, line: String },
    /// A round could not be completed; the next one tries again.
    Trouble { message: String },
    /// A round was completed: what is wanted, recorded and there was compared, and steps were begun.
    Round { took: Duration },
}
