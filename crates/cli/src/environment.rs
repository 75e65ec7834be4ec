//! The process's environment. Nothing else reads it, except clap for the variables that its options name.

#![allow(clippy::disallowed_methods, reason = "this is the one place")]

use std::ffi::OsString;
use std::path::PathBuf;

/// Log filter of `flash` itself (`info`, `flash_mothership=debug`).
pub(crate) const LOG: &str = "FLASH_LOG";
/// Where Python environments are kept instead of the project's `.flash/envs`.
pub(crate) const ENVS_DIR: &str = "FLASH_ENVS_DIR";
/// Where packed Python packages are kept instead of the project's `.flash/packages`.
pub(crate) const PACKAGES_DIR: &str = "FLASH_PACKAGES_DIR";

/// Secret: token of the State Manager that `FLASH_STATE_URL` names, or that `flash state serve` is to ask for.
pub(crate) const STATE_TOKEN: &str = flash_model::child_environment::STATE_TOKEN;

/// A variable that is set and not empty, if it is Unicode.
pub(crate) fn text(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

pub(crate) fn path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

pub(crate) fn search_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_default()
}
