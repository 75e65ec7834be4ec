//! What can go wrong between sending a request and understanding its answer.

use std::time::Duration;

use flash_model::wire::Problem;
use http::StatusCode;

use flash_model::Retry;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection: the request was not sent.
    #[error("cannot connect to {url}")]
    Connect {
        url: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No answer in time. `repeatable` tells whether sending the request again cannot do harm.
    #[error("no answer from {url} in time")]
    Timeout { url: String, repeatable: bool },
    /// The connection broke between request and answer.
    #[error("connection to {url} broke before the answer was complete")]
    Interrupted {
        url: String,
        repeatable: bool,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server refused and said why.
    #[error("{} ({})", problem.detail, problem.code)]
    Problem { problem: Box<Problem>, retry_after: Option<Duration> },
    /// The server answered with an unexpected status and no problem document.
    #[error("{url} answered {status}: {body}")]
    Status { url: String, status: StatusCode, body: String, retry_after: Option<Duration> },
    /// The answer is not what the protocol promises.
    #[error("{url} answered something that is not {expected}")]
    Decode {
        url: String,
        expected: &'static str,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
}

impl Error {
    pub fn retry(&self) -> Retry {
        match self {
            Self::Connect { .. } => Retry::Backoff,
            Self::Timeout { repeatable, .. } | Self::Interrupted { repeatable, .. } => {
                if *repeatable {
                    Retry::Backoff
                } else {
                    Retry::Never
                }
            }
            Self::Problem { problem, retry_after } => refused(problem.status, *retry_after),
            Self::Status { status, retry_after, .. } => refused(status.as_u16(), *retry_after),
            Self::Decode { .. } => Retry::Never,
        }
    }

    /// The problem document, if the server sent one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem { problem, .. } => Some(problem),
            _ => None,
        }
    }
}

/// 429 and 503 are said before any work was done.
fn refused(status: u16, retry_after: Option<Duration>) -> Retry {
    match (status, retry_after) {
        (429 | 503, Some(pause)) => Retry::After(pause),
        (429 | 503, None) => Retry::Backoff,
        _ => Retry::Never,
    }
}

#[cfg(test)]
mod tests {
    use flash_model::Code;

    use super::*;

    #[test]
    fn only_what_did_no_work_is_tried_again() {
        let problem = |status, retry_after| Error::Problem {
            problem: Box::new(Problem::new(Code::Overloaded, status, "")),
            retry_after,
        };
        let timeout = |repeatable| Error::Timeout { url: String::new(), repeatable };
        let second = Duration::from_secs(1);
        let cases = [
            (problem(503, Some(second)), Retry::After(second)),
            (problem(429, None), Retry::Backoff),
            (problem(500, Some(second)), Retry::Never),
            (timeout(true), Retry::Backoff),
            (timeout(false), Retry::Never),
        ];
        for (error, expected) in cases {
            assert_eq!(error.retry(), expected, "{error:?}");
        }
    }
}
