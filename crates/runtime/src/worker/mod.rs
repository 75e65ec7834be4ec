//! Python worker processes and the calls they run.
//!
//! `state.rs` decides (pure), `pool.rs` carries out and hands out slots, `process.rs` is one process from spawn to exit,
//! `template.rs` the one that others are forked from, `gpus.rs` which GPUs of the machine it gets, `limits.rs` how much of the rest,
//! `descendants.rs` what user code started below it, `link.rs` the calls in flight on it, `stream.rs` an answer that comes in parts, `protocol.rs` the frames; `output.rs` is what it
//! prints, `lines.rs` (pure) whose line is whose, `quota.rs` (pure) how much it may be.

mod awake;
mod cgroup;
mod descendants;
pub(crate) mod gpus;
pub(crate) mod limits;
mod lines;
mod link;
mod output;
pub(crate) mod pool;
pub(crate) mod process;
pub(crate) mod protocol;
mod quota;
mod size;
mod socket;
mod state;
mod stream;
mod template;

pub(crate) use link::{Answer, Death, Reply};
pub(crate) use pool::{Call, Patience, Pool};
pub(crate) use state::Health;
pub(crate) use stream::{Error as StreamError, Stream};
