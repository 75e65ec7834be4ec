//! Whether another try makes sense is a property of the error, not a guess at the call site.

use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// The same request would fail again, or might take effect twice.
    Never,
    /// The server said when.
    After(Duration),
    /// Safe to repeat, with growing pauses.
    Backoff,
}
