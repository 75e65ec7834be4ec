//! Whether and when to try again: a property of an error, not a guess at the call site.

use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    Never,
    After(Duration),
    Backoff,
}
