//! Errors over HTTP: RFC 9457 problem documents with a stable code.

use serde::{Deserialize, Serialize};

use super::StateRefusal;
use crate::Code;

pub const PROBLEM_CONTENT_TYPE: &str = "application/problem+json";

/// An exception of user code, as its caller sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteException {
    /// Qualified class name, `ValueError` or `package.module.Class`.
    #[serde(rename = "type")]
    pub kind: String,
    pub message: String,
    #[serde(default)]
    pub traceback: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `urn:flash:error:<CODE>`.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: String,
    pub status: u16,
    pub code: Code,
    pub detail: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exception: Option<RemoteException>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<StateRefusal>,
}

impl Problem {
    pub fn new(code: Code, status: u16, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:flash:error:{code}"),
            title: code.title().to_owned(),
            status,
            code,
            detail: detail.into(),
            hint: None,
            exception: None,
            refusal: None,
        }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn refusal(mut self, refusal: StateRefusal) -> Self {
        self.refusal = Some(refusal);
        self
    }

    pub fn exception(mut self, exception: RemoteException) -> Self {
        self.exception = Some(exception);
        self
    }
}
