//! The binary as a person uses it: real processes, real Python workers, real `kill -9`.
#![allow(clippy::unwrap_used, reason = "a test that panics says where")]

mod apply;
mod build;
mod drain;
mod examples;
mod front_door;
mod jobs;
mod layering;
mod logs;
mod mothership;
mod orphans;
#[cfg(feature = "postgres")]
mod pair;
mod plan;
mod queues;
mod refuse;
mod reload;
mod rollback;
mod runpod_client;
mod sdk_streams;
mod snapshots;
mod state;
mod storm;
mod support;
mod survive;
mod test_mothership;
mod traces;
mod websockets;
