//! Jobs that failed for good, and queueing them again.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::JobStatus;

/// How many dead letters one answer may have.
pub const DEAD_LIMIT: RangeInclusive<u64> = 1..=1000;
pub const DEAD_LIMIT_DEFAULT: u64 = 100;

/// Answer to `GET /dead?limit=n`: the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetters {
    /// How many there are, shown or not.
    pub total: u64,
    pub dead: Vec<DeadLetter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    pub id: String,
    pub status: JobStatus,
    /// Milliseconds since the Unix epoch.
    pub died_at_ms: u64,
    pub attempts: u32,
    pub input_bytes: u64,
    /// The end of it, where it is long; `/status/{id}` has all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Answer to `POST /redrive`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redriven {
    pub redriven: u64,
    pub status: String,
}
