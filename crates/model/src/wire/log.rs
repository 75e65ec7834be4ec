//! One line of an endpoint's log, which is JSON, one object a line, in the files of its folder.

use serde::{Deserialize, Serialize};

/// Whose words a line holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    Stdout,
    Stderr,
    /// The endpoint's own.
    Flash,
}

/// What user code printed, or what the endpoint says itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    pub at_ms: u64,
    pub stream: LogStream,
    /// The job that printed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The call that printed it, where it is no job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The id of the trace that the job or call belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// As a job's view names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    pub text: String,
    /// What the line had behind `text`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cut_bytes: u64,
    /// Lines that are missing here, for being too many.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub dropped_lines: u64,
}

impl LogLine {
    pub fn new(at_ms: u64, stream: LogStream, text: impl Into<String>) -> Self {
        let text = text.into();
        Self {
            at_ms,
            stream,
            job: None,
            request: None,
            trace: None,
            worker: None,
            text,
            cut_bytes: 0,
            dropped_lines: 0,
        }
    }

    /// The job or request that printed it.
    pub fn call(&self) -> Option<&str> {
        self.job.as_deref().or(self.request.as_deref())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "this is what serde gives")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_it_knows() {
        let mut line = LogLine::new(7, LogStream::Stderr, "no\u{1b}\n");
        assert_eq!(
            serde_json::to_string(&line).unwrap(),
            r#"{"at_ms":7,"stream":"stderr","text":"no\u001b\n"}"#
        );
        line.job = Some("j".to_owned());
        line.cut_bytes = 3;
        let json = serde_json::to_string(&line).unwrap();
        assert_eq!(json, r#"{"at_ms":7,"stream":"stderr","job":"j","text":"no\u001b\n","cut_bytes":3}"#);
        assert_eq!(serde_json::from_str::<LogLine>(&json).unwrap(), line);
        assert_eq!(line.call(), Some("j"));
    }
}
