//! The queue API, as its existing clients expect it (`run`, `runsync`, `status`, `cancel`, `health`).

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobStatus {
    InQueue,
    InProgress,
    Completed,
    Failed,
    Cancelled,
    TimedOut,
}

impl JobStatus {
    /// As it reads on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::InQueue => "IN_QUEUE",
            Self::InProgress => "IN_PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
            Self::TimedOut => "TIMED_OUT",
        }
    }

    /// Terminal states never change.
    pub fn is_terminal(self) -> bool {
        !matches!(self, Self::InQueue | Self::InProgress)
    }
}

/// `POST /run` and `/runsync`. Fields that are not known are ignored.
#[derive(Debug, Clone, Deserialize)]
pub struct JobRequest {
    pub input: Box<RawValue>,
    #[serde(default)]
    pub policy: Option<JobPolicy>,
    /// Where to post the job's view when it has ended.
    #[serde(default)]
    pub webhook: Option<String>,
}

/// On `run` and `runsync`: the same key is the same job.
pub const IDEMPOTENCY_KEY_HEADER: &str = "idempotency-key";

/// `t=<unix seconds>,v1=<hex>`: HMAC-SHA256 of `<unix seconds>.<body>` with the app's token.
pub const WEBHOOK_SIGNATURE_HEADER: &str = "flash-signature";
pub const WEBHOOK_JOB_HEADER: &str = "flash-job-id";
/// Counts from 1.
pub const WEBHOOK_ATTEMPT_HEADER: &str = "flash-delivery-attempt";

/// What a job asks for itself; what it leaves out is the endpoint's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobPolicy {
    /// Milliseconds that an attempt may run.
    #[serde(default)]
    pub execution_timeout: Option<u64>,
    /// Milliseconds from submission after which the job is removed, in whatever state.
    #[serde(default)]
    pub ttl: Option<u64>,
    /// The job is no reason to start a worker.
    #[serde(default)]
    pub low_priority: Option<bool>,
    /// How often an attempt that failed is followed by another.
    #[serde(default)]
    pub max_retries: Option<u64>,
}

/// Answer to `POST /run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobAccepted {
    pub id: String,
    pub status: JobStatus,
}

/// Answer to `GET /status/{id}` and `POST /runsync`. Clients require the first five fields, also for jobs that never ran.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobView {
    pub id: String,
    pub status: JobStatus,
    pub worker_id: String,
    /// Milliseconds in the queue.
    pub delay_time: u64,
    /// Milliseconds in user code.
    pub execution_time: u64,
    /// How often it was queued again after an attempt that failed, by itself or because somebody asked.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retries: u64,
    /// Passed on as the worker wrote it: no digit is lost and keys keep their order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Answer to `GET /stream/{id}`: what the job's generator yielded and nobody has read yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobStream {
    pub status: JobStatus,
    pub stream: Vec<JobPart>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobPart {
    /// As the worker wrote it.
    pub output: Box<RawValue>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobCounts {
    pub completed: u64,
    pub failed: u64,
    pub in_progress: u64,
    pub in_queue: u64,
    pub retried: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerCounts {
    pub idle: u32,
    pub initializing: u32,
    pub ready: u32,
    pub running: u32,
    pub throttled: u32,
    pub unhealthy: u32,
}

/// How new workers come to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStart {
    /// `fork` from a process that has loaded the code, or `spawn`.
    pub by: String,
    /// Why not by a fork.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What new workers may use of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerLimits {
    /// `cgroup`, `rlimit`, or `none`.
    pub by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// Why nothing is limited, or not by a cgroup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Answer to `GET /health`; clients require all eleven counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthResponse {
    pub jobs: JobCounts,
    pub workers: WorkerCounts,
    #[serde(default)]
    pub worker_start: WorkerStart,
    #[serde(default)]
    pub worker_limits: WorkerLimits,
}
