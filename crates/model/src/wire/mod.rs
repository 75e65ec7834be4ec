//! Bodies on the wire between the processes of Flash and their callers. Requests and responses only.

mod dead;
mod identity;
mod job;
mod log;
mod problem;
mod rollback;
mod state;

pub use dead::{DEAD_LIMIT, DEAD_LIMIT_DEFAULT, DeadLetter, DeadLetters, Redriven};
pub use identity::{EndpointAnnouncement, IdentityResponse, MothershipAnnouncement, MothershipRequest};
pub use job::{
    HealthResponse, IDEMPOTENCY_KEY_HEADER, JobAccepted, JobCounts, JobPart, JobPolicy, JobRequest,
    JobStatus, JobStream, JobView, WEBHOOK_ATTEMPT_HEADER, WEBHOOK_JOB_HEADER, WEBHOOK_SIGNATURE_HEADER,
    WorkerCounts, WorkerLimits, WorkerStart,
};
pub use log::{LogLine, LogStream};
pub use problem::{PROBLEM_CONTENT_TYPE, Problem, RemoteException};
pub use rollback::RollbackRequest;
pub use state::{
    AppliedResponse, EventsRequest, EventsResponse, FENCE_HEADER, GENERATION_HEADER, GenerationResponse,
    GenerationsResponse, LeaseAction, LeaseResponse, LineageRequest, LineageResponse, PatchStatus,
    PulseResponse, ResourceDocument, ResourcePatch, STATE_PATH, ScopesResponse, StateDocument, StateRefusal,
};

/// Body of a binary call: a pickle with its out-of-band buffers. Accepted from token holders only.
pub const PICKLE_CONTENT_TYPE: &str = "application/vnd.flash.pickle";

/// Where a mothership answers calls by function name, `POST {base}/api/v1/call/{function}`.
pub const MOTHERSHIP_CALL_PATH: &str = "/api/v1/call";

/// Where an endpoint answers calls to its own functions, `POST {url}/_flash/call/{function}`.
pub const CHILD_CALL_PATH: &str = "/_flash/call";

/// `GET`: who an endpoint is. Answered to token holders.
pub const CHILD_IDENTITY_PATH: &str = "/_flash/identity";

/// `GET`: what an endpoint counts, also at `/metrics` where no route of its own has that path.
pub const CHILD_METRICS_PATH: &str = "/_flash/metrics";

/// OpenMetrics text, which Prometheus reads.
pub const METRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `PUT`: tells an endpoint where its mothership is now. Accepted from token holders.
pub const CHILD_MOTHERSHIP_PATH: &str = "/_flash/mothership";

/// `POST`, body a plan file: does exactly that. Accepted from token holders.
pub const APPLY_PATH: &str = "/api/v1/apply";

/// `POST`, body a [`RollbackRequest`]: applies an earlier generation as a new one. Accepted from token holders.
pub const ROLLBACK_PATH: &str = "/api/v1/rollback";

/// `GET`: an [`crate::Outcome`] of the applied generation.
pub const RESOURCES_PATH: &str = "/api/v1/resources";

/// `GET`: the event log, as server-sent events.
pub const EVENTS_PATH: &str = "/api/v1/events";
