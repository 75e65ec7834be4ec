//! What to do about the difference between the manifest, the recorded state and what providers say exists.
//!
//! [`plan`] is a pure function: it proposes and cannot act. This crate knows nothing of tokio, HTTP, files, clocks
//! or providers, and its `Cargo.toml` proves it.
//!
//! Start with `planner.rs`; `action.rs` has the words, `diff.rs` says which fields changed, `rollout.rs` when a
//! new version may take over, `file.rs` is a plan on disk.

mod action;
mod diff;
mod display;
mod file;
mod order;
mod planner;
mod policy;
pub mod rollout;

pub use action::{Action, Deferred, Plan, Reason, Step};
pub use diff::{FieldChange, field_changes};
pub use file::{PLAN_FILE_BYTES_MAX, PLAN_FILE_FORMAT, PLAN_FILE_VERSION, PlanFile, PlanFileError};
pub use planner::plan;
pub use policy::{Drift, Policy};
