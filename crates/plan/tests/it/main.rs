//! Planning, checked as transcripts (a world in, a plan out) and as properties.
#![allow(clippy::unwrap_used, reason = "a test that panics says where")]

mod convergence;
mod file;
mod outcome;
mod rollout;
mod transcripts;
mod world;
