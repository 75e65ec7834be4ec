//! Real folders in, archives and folders out.

#![allow(clippy::unwrap_used, reason = "clippy's own exception stops at helper functions")]

mod archive;
mod project;
mod properties;
mod requirements;
mod sdk;
mod select;
