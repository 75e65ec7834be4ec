//! The mothership from outside: stores behind one suite, reconciliation against a provider in memory, HTTP over a
//! real port.
#![allow(clippy::unwrap_used, reason = "a test that panics says where")]

mod gated;
mod http;
mod leadership;
#[cfg(feature = "postgres")]
mod postgres;
mod reconcile;
mod simulation;
mod state_http;
mod steer;
mod store;
mod support;
