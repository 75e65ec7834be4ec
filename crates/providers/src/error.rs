//! What can go wrong between us and a world, and whether to try again.

use std::path::PathBuf;
use std::time::Duration;

use flash_model::{EndpointId, Retry};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no endpoint {endpoint_id}")]
    NoEndpoint { endpoint_id: EndpointId },
    /// Nothing was changed.
    #[error("asked under the lease with fence {fence}, but a mothership with fence {seen} was here already")]
    Fenced { fence: u64, seen: u64 },
    #[error("cannot read or write {}", path.display())]
    Files { path: PathBuf, source: std::io::Error },
    #[error("{} is not what this version wrote", path.display())]
    Document { path: PathBuf, source: serde_json::Error },
    #[error("cannot start the process of endpoint {endpoint_id}")]
    Spawn { endpoint_id: EndpointId, source: std::io::Error },
    #[error("endpoint {endpoint_id} ended while starting ({status}); the end of its log:\n{log}")]
    Exited { endpoint_id: EndpointId, status: String, log: String },
    #[error("endpoint {endpoint_id} did not open its port within {} s", waited.as_secs())]
    StartTimeout { endpoint_id: EndpointId, waited: Duration },
    #[error("the process of endpoint {endpoint_id} did not end within {} s", waited.as_secs())]
    StopTimeout { endpoint_id: EndpointId, waited: Duration },
    #[error("endpoint {endpoint_id} was deleted and finishes what it has in hand")]
    Draining { endpoint_id: EndpointId },
    #[error("the manifest entry of {0} is missing")]
    NoResource(flash_model::ResourceName),
    #[error(transparent)]
    Environment(#[from] crate::local::python::environment::Error),
    #[error("a background task failed")]
    Task(#[from] tokio::task::JoinError),
    /// Whether it was done is not known.
    #[error("the provider did not answer within {} s", waited.as_secs())]
    NoAnswer { waited: Duration },
    /// Injected by [`crate::SimProvider`].
    #[error("injected: {message}")]
    Injected { message: String, retry: Retry },
}

impl Error {
    pub fn retry(&self) -> Retry {
        match self {
            // What vanished since it was planned for is planned for again.
            Self::NoEndpoint { .. }
            | Self::Draining { .. }
            | Self::Files { .. }
            | Self::Spawn { .. }
            | Self::Exited { .. }
            | Self::Task(_)
            | Self::NoAnswer { .. }
            | Self::StartTimeout { .. }
            | Self::StopTimeout { .. } => Retry::Backoff,
            Self::Environment(error) => error.retry(),
            Self::Injected { retry, .. } => *retry,
            Self::Fenced { .. } | Self::Document { .. } | Self::NoResource(_) => Retry::Never,
        }
    }
}
