//! The mothership from outside: stores behind one suite, reconciliation against a provider in memory, HTTP over a
//! real port.

mod http;
mod reconcile;
mod store;
mod support;
