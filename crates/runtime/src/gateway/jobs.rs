//! The queue's API, as its existing clients expect it.

use std::time::Duration;

use flash_model::Code;
use flash_model::wire::{
    HealthResponse, IDEMPOTENCY_KEY_HEADER, JobAccepted, JobRequest, JobStatus, JobView,
};
use http::Request;
use hyper::body::Incoming;
use serde_json::Value;

use super::respond::{self, Response};
use super::spans::trace_of;
use super::{Gateway, dead, method_not_allowed, no_route};
use crate::queue::dispatcher::Dispatcher;
use crate::queue::key::Key;
use crate::queue::policy::Policy;
use crate::queue::webhook::Webhook;
use crate::queue::{self, Queue, Read, Retried, Submission};
use crate::refusal::Refusal;
use crate::worker::Health;

const RUNSYNC_WAIT_DEFAULT: Duration = Duration::from_secs(90);
const RUNSYNC_WAIT_MAX: Duration = Duration::from_secs(300);
/// Existing clients give an answer ten seconds.
const STREAM_WAIT: Duration = Duration::from_secs(5);
const KNOWN: &str = "a queue endpoint has /run, /runsync, /status/{id}, /stream/{id}, /cancel/{id}, /retry/{id}, /purge-queue, \
                     /dead, /redrive[/{id}] and /health";
/// Base64 of the byte with which a pickle begins. The worker unpickles nothing else (`_worker/_envelope.py`); keep them equal.
const PICKLE_BASE64_START: &str = "gA";
/// Where the reference's envelope carries pickles.
const ENVELOPE: [&str; 4] = ["args", "kwargs", "method_args", "method_kwargs"];

#[derive(Debug)]
pub(crate) struct Jobs {
    pub(crate) queue: Queue,
    pub(crate) dispatcher: Dispatcher,
}

impl Gateway {
    pub(super) async fn job_request(
        &self,
        jobs: &Jobs,
        request: Request<Incoming>,
    ) -> Result<Response, Refusal> {
        let path = request.uri().path().to_owned();
        let (verb, id) = split(&path);
        let allowed = allowed(verb, id).ok_or_else(|| no_route(&path, KNOWN))?;
        if !allowed.split(", ").any(|method| request.method() == method) {
            return Err(method_not_allowed(request.method(), &path, allowed));
        }
        if verb == "redrive" {
            return dead::redrive(&jobs.queue, id).await;
        }
        let id = id.unwrap_or_default();
        match verb {
            "run" => Ok(respond::json(&self.submit(jobs, request, false).await?)),
            "runsync" => {
                let wait = wait(request.uri().query());
                let JobAccepted { id, .. } = self.submit(jobs, request, true).await?;
                view(&id, jobs.queue.wait(&id, wait).await?)
            }
            "dead" => dead::list(&jobs.queue, request.uri().query()).await,
            "status" => view(id, jobs.queue.view(id).await?),
            "stream" => match jobs.queue.read_parts(id, STREAM_WAIT).await? {
                Read::Parts(stream) => Ok(respond::json(&stream)),
                Read::Unknown => Err(not_found(id)),
                Read::Over => {
                    let detail = format!("job {id} is CANCELLED and all that it yielded has been read");
                    Err(Refusal::new(Code::StateConflict, 409, detail))
                }
            },
            "cancel" => {
                let cancelled = jobs.queue.cancel(id).await?.ok_or_else(|| not_found(id))?;
                if cancelled.was_running {
                    jobs.dispatcher.interrupt(id);
                }
                Ok(respond::json(&JobAccepted { id: id.to_owned(), status: cancelled.status }))
            }
            "retry" => match jobs.queue.retry(id).await? {
                Retried::Queued => {
                    Ok(respond::json(&JobAccepted { id: id.to_owned(), status: JobStatus::InQueue }))
                }
                Retried::Unknown => Err(not_found(id)),
                Retried::Refused(status) => {
                    let detail = format!(
                        "job {id} is {}; only failed and timed-out jobs can be retried",
                        status.word()
                    );
                    Err(Refusal::new(Code::StateConflict, 409, detail))
                }
            },
            "purge-queue" => {
                let removed = jobs.queue.purge().await?;
                Ok(respond::json(&serde_json::json!({"removed": removed, "status": "completed"})))
            }
            _ => {
                let health = HealthResponse {
                    jobs: jobs.queue.counts().await?,
                    workers: self.pool.counts(),
                    worker_start: self.pool.worker_start(),
                    worker_limits: self.worker_limits.clone(),
                };
                Ok(respond::json(&health))
            }
        }
    }

    async fn submit(
        &self,
        jobs: &Jobs,
        request: Request<Incoming>,
        is_sync: bool,
    ) -> Result<JobAccepted, Refusal> {
        let (parts, body) = request.into_parts();
        let body = respond::read_body(body).await?;
        let key = parts.headers.get(IDEMPOTENCY_KEY_HEADER).map(|key| Key::of(key, &body)).transpose();
        let key = key.map_err(|why| Refusal::new(Code::InvalidBody, 400, why))?;
        let JobRequest { input, policy, webhook } = job_request(&body)?;
        let policy = Policy::of(&policy.unwrap_or_default()).map_err(respond::invalid_body)?;
        let webhook = webhook.as_deref().filter(|url| !url.is_empty()).map(Webhook::parse).transpose();
        let webhook = webhook.map_err(respond::invalid_body)?;
        if holds_pickles(input.get())? && !self.holds_token(&parts.headers) {
            return Err(Refusal::new(Code::Unauthorized, 401, "pickled arguments are code and need a token")
                .hint("send Authorization: Bearer <token>, or plain JSON arguments by parameter name"));
        }
        if let Health::Failed(failure) = self.pool.health() {
            return Err(Refusal::cannot_load(&failure));
        }
        let trace = trace_of(&parts.extensions).cloned();
        Ok(jobs
            .queue
            .submit(Submission { input: input.into(), policy, webhook, key, trace }, is_sync)
            .await?)
    }
}

impl From<queue::Error> for Refusal {
    fn from(error: queue::Error) -> Self {
        match error {
            queue::Error::Full | queue::Error::FullOfBytes | queue::Error::FullOfWebhooks => {
                Self::new(Code::Overloaded, 429, error.to_string()).after(Duration::from_secs(1))
            }
            queue::Error::KeyTaken => Self::new(Code::IdempotencyKeyTaken, 422, error.to_string())
                .hint("send the same body as then, or a new key for a new job"),
            other => {
                tracing::error!(error = %other, "job store failed");
                Self::new(Code::StoreFailed, 503, other.to_string()).after(Duration::from_secs(1))
            }
        }
    }
}

/// The path with a pattern in a job's place.
pub(super) fn pattern_of(path: &str) -> Option<String> {
    let (verb, id) = split(path);
    allowed(verb, id)?;
    Some(if id.is_some() { format!("/{verb}/{{id}}") } else { format!("/{verb}") })
}

/// What is asked for, and of which job.
fn split(path: &str) -> (&str, Option<&str>) {
    let path = path.trim_start_matches('/');
    path.split_once('/').map_or((path, None), |(verb, id)| (verb, Some(id)))
}

/// Methods that it is asked for with; none if it is nothing.
fn allowed(verb: &str, id: Option<&str>) -> Option<&'static str> {
    match (verb, id) {
        ("run" | "runsync" | "purge-queue" | "redrive", None) => Some("POST"),
        ("cancel" | "retry" | "redrive", Some(_)) => Some("POST"),
        ("status", Some(_)) | ("health" | "dead", None) => Some("GET"),
        ("stream", Some(_)) => Some("GET, POST"),
        _ => None,
    }
}

fn job_request(body: &[u8]) -> Result<JobRequest, Refusal> {
    let hint = r#"send a JSON object with "input""#;
    // Read as a struct, an array would pass as its fields in order.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(respond::invalid_body("a job is a JSON object").hint(hint));
    }
    serde_json::from_slice(body).map_err(|error| respond::invalid_body(error).hint(hint))
}

fn view(id: &str, view: Option<JobView>) -> Result<Response, Refusal> {
    view.map(|view| respond::json(&view)).ok_or_else(|| not_found(id))
}

pub(super) fn not_found(id: &str) -> Refusal {
    Refusal::new(Code::JobNotFound, 404, format!("there is no job {id}"))
        .hint("a job goes 30 minutes after its end, or when its time to live (policy.ttl) is over")
}

fn wait(query: Option<&str>) -> Duration {
    let pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    let asked = pairs.filter(|(name, _)| *name == "wait").find_map(|(_, ms)| ms.parse().ok());
    asked.map_or(RUNSYNC_WAIT_DEFAULT, Duration::from_millis).min(RUNSYNC_WAIT_MAX)
}

/// Whether a worker might unpickle some of this input. What cannot be read here is refused: Python might read it.
fn holds_pickles(input: &str) -> Result<bool, Refusal> {
    // Like Python's reader, this one takes the last of two equal keys.
    let input: Value = serde_json::from_str(input).map_err(|error| {
        let detail = format!("the job's input is not JSON that can be read: {error}");
        Refusal::new(Code::InvalidBody, 400, detail)
    })?;
    let has_pickle = || ENVELOPE.iter().filter_map(|key| input.get(key)).any(holds_pickle);
    Ok(input.get("function_name").is_some() && has_pickle())
}

fn holds_pickle(value: &Value) -> bool {
    match value {
        Value::Array(values) => values.iter().any(is_pickle),
        Value::Object(values) => values.values().any(is_pickle),
        _ => false,
    }
}

fn is_pickle(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.starts_with(PICKLE_BASE64_START))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_might_be_a_pickle_is_taken_for_one() {
        let check =
            |input: &str, expected: bool| assert_eq!(holds_pickles(input).unwrap(), expected, "{input}");
        check(r#"{"function_name":"f","args":["gAVLAS4="],"kwargs":{}}"#, true);
        check(r#"{"function_name":"f","args":[],"kwargs":{"x":"gAVLAS4="}}"#, true);
        check(r#"{"function_name":"C","execution_type":"class","method_args":["gAVLAS4="]}"#, true);
        check(r#"{"function_name":"f","args":[],"args":["gAVLAS4="]}"#, true);
        check(r#"{"function_name":"f","kwargs":{"x":"two words"}}"#, false);
        check(r#"{"function_name":"f","kwargs":{"x":1}}"#, false);
        check(r#"{"text":"gAVLAS4="}"#, false);
        check(r#"{"kwargs":{"text":"gAVLAS4="}}"#, false);
        check("[1]", false);
        check("null", false);
    }

    #[test]
    fn input_that_cannot_be_read_is_refused_as_such() {
        let deep = "[".repeat(500) + &"]".repeat(500);
        for input in [r#"{"text":"\ud800"}"#, r#"{"number":1e999}"#, &deep] {
            let problem = holds_pickles(input).unwrap_err().problem;
            assert_eq!((problem.status, problem.code), (400, Code::InvalidBody));
            assert!(problem.detail.starts_with("the job's input is not JSON that can be read: "));
        }
    }

    #[test]
    fn waits_are_bounded() {
        for (query, ms) in [
            (None, 90_000),
            (Some("wait=50"), 50),
            (Some("a=1&wait=999999999"), 300_000),
            (Some("wait=x"), 90_000),
        ] {
            assert_eq!(wait(query), Duration::from_millis(ms), "{query:?}");
        }
    }
}
