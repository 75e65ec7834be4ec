//! Python worker processes and the calls they run.
//!
//! `state.rs` decides (pure), `pool.rs` carries out and hands out slots, `process.rs` is one process from spawn to exit,
//! `link.rs` the calls in flight on it, `protocol.rs` the frames.

mod awake;
mod link;
pub(crate) mod pool;
pub(crate) mod process;
pub(crate) mod protocol;
mod socket;
mod state;

pub(crate) use link::{Answer, Death};
pub(crate) use pool::{Patience, Pool};
pub(crate) use state::Health;
