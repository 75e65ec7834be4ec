//! The binary as a person uses it: real processes, real Python workers, real `kill -9`.
#![allow(clippy::unwrap_used, reason = "a test that panics says where")]

mod build;
mod examples;
mod layering;
mod plan;
mod refuse;
mod reload;
mod snapshots;
mod state;
mod storm;
mod support;
mod survive;
