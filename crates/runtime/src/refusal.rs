//! One currency for everything that can go wrong with a call: a problem document, and when to come back.

use std::time::Duration;

use flash_model::Code;
use flash_model::wire::{Problem, RemoteException};

use crate::worker::protocol::ErrorHeader;
use crate::worker::{Death, pool};

/// What a caller is told when there is no better guess.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) problem: Box<Problem>,
    pub(crate) retry_after: Option<Duration>,
    /// Methods that would have been right.
    pub(crate) allow: Option<Box<str>>,
}

impl Refusal {
    pub(crate) fn new(code: Code, status: u16, detail: impl Into<String>) -> Self {
        Problem::new(code, status, detail).into()
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.problem.hint = Some(hint.into());
        self
    }

    pub(crate) fn after(mut self, pause: Duration) -> Self {
        self.retry_after = Some(pause);
        self
    }

    pub(crate) fn allow(mut self, methods: &str) -> Self {
        self.allow = Some(methods.into());
        self
    }

    pub(crate) fn cannot_load(failure: &RemoteException) -> Self {
        let detail = format!("the worker cannot load the code: {}: {}", failure.kind, failure.message);
        let mut refusal = Self::new(Code::WorkerStartFailed, 503, detail);
        refusal.problem.exception = Some(failure.clone());
        refusal
    }

    pub(crate) fn worker_died(death: &Death) -> Self {
        Self::new(Code::WorkerDied, 502, format!("{death} during the call"))
    }

    /// As it goes to a worker whose call it answers.
    pub(crate) fn into_header(self) -> ErrorHeader {
        let Problem { code, status, detail, exception, .. } = *self.problem;
        let (kind, message, traceback) = match exception {
            Some(RemoteException { kind, message, traceback }) => (kind, message, traceback),
            None => (String::new(), detail, String::new()),
        };
        ErrorHeader { code: Some(code.to_string()), status: Some(status), kind, message, traceback }
    }

    /// One line, for a job's `error`.
    pub(crate) fn into_text(self) -> String {
        match self.problem.exception {
            Some(exception) if !exception.traceback.is_empty() => exception.traceback,
            _ => self.problem.detail,
        }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { problem: Box::new(problem), retry_after: None, allow: None }
    }
}

impl From<ErrorHeader> for Refusal {
    fn from(header: ErrorHeader) -> Self {
        let code = header.code.and_then(|code| code.parse().ok()).unwrap_or(Code::UserException);
        let status = header.status.filter(|status| (400..600).contains(status)).unwrap_or(500);
        let detail = match header.kind.as_str() {
            "" => header.message.clone(),
            kind => format!("{kind}: {}", header.message),
        };
        let mut problem = Problem::new(code, status, detail);
        if !header.kind.is_empty() {
            problem.exception = Some(RemoteException {
                kind: header.kind,
                message: header.message,
                traceback: header.traceback,
            });
        }
        problem.into()
    }
}

impl From<pool::Error> for Refusal {
    fn from(error: pool::Error) -> Self {
        match &error {
            pool::Error::DoorTimeout | pool::Error::Draining => {
                Self::new(Code::Overloaded, 503, error.to_string()).after(RETRY_AFTER_DEFAULT)
            }
            pool::Error::DoorFull | pool::Error::DoorFullOfBytes => {
                Self::new(Code::Overloaded, 429, error.to_string()).after(RETRY_AFTER_DEFAULT)
            }
            pool::Error::Failed(failure, pause) => {
                Self::cannot_load(failure).after((*pause).max(RETRY_AFTER_DEFAULT))
            }
            pool::Error::ExecutionTimeout(_) => Self::new(Code::ExecutionTimeout, 504, error.to_string()),
            pool::Error::Cancelled => Self::new(Code::WorkerDied, 499, error.to_string()),
            pool::Error::TooLarge => Self::new(Code::PayloadTooLarge, 413, error.to_string()),
        }
    }
}
