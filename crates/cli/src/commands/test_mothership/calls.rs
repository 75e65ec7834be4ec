//! Calling an endpoint with made-up arguments, and what its answer says about the endpoint.

use std::fmt;
use std::time::{Duration, Instant};

use flash_client::{Mothership as Client, Reply};
use flash_model::Code;
use flash_model::wire::{JobStatus, JobView};

use crate::example_call::{Body, ExampleCall};

/// Longer than a synchronous job may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);
/// How the error of a job begins or ends that user code did not raise.
const WORKER_DIED_END: &str = "during the call";
const SHOWN_CHARS_MAX: usize = 100;

#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    Answered(String),
    /// User code did not like the arguments, which are made up: the endpoint works.
    Raised(String),
    Failed(String),
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    answered: usize,
    raised: usize,
    pub(super) failed: usize,
}

impl Tally {
    pub(super) fn count(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Answered(_) => self.answered += 1,
            Verdict::Raised(_) => self.raised += 1,
            Verdict::Failed(_) => self.failed += 1,
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { answered, raised, failed } = self;
        write!(
            f,
            "{} calls: {answered} answered, {raised} raised, {failed} failed",
            answered + raised + failed
        )
    }
}

pub(super) async fn make(client: &Client, call: &ExampleCall) -> (Verdict, Duration) {
    let body = match &call.body {
        None => None,
        Some(Body::Bytes(bytes)) => Some(("application/octet-stream", bytes.as_bytes().to_vec())),
        Some(Body::Json(json)) => Some(("application/json", json.to_string().into_bytes())),
    };
    let begun = Instant::now();
    let verdict = match client.ask(call.method, &call.path, body, CALL_TIMEOUT).await {
        Ok(reply) if call.path.starts_with("/v2/") => of_job(&reply),
        Ok(reply) => of_route(&reply),
        Err(error) => Verdict::Failed(error.to_string()),
    };
    (verdict, begun.elapsed())
}

pub(super) fn line(prefix: &str, call: &ExampleCall, verdict: &Verdict, took: Duration) -> String {
    let (word, what) = match verdict {
        Verdict::Answered(what) => ("answered", what),
        Verdict::Raised(what) => ("raised", what),
        Verdict::Failed(what) => ("failed", what),
    };
    let function = call.function.as_ref().map_or_else(|| "application".to_owned(), ToString::to_string);
    let request = format!("{} {}", call.method, call.path);
    format!(
        "{prefix}{}  {function}  {request}  {word} in {:.0} ms: {}",
        call.resource,
        took.as_secs_f64() * 1000.0,
        shown(what)
    )
}

/// A status of user code's own choice is an answer, whatever it is; one of ours says that the endpoint does not work.
fn of_route(reply: &Reply) -> Verdict {
    match &reply.problem {
        None => Verdict::Answered(format!("{} {}", reply.status, String::from_utf8_lossy(&reply.body))),
        Some(problem) => {
            let what = format!("{} {}: {}", reply.status, problem.code, problem.detail);
            match problem.code {
                Code::UserException
                | Code::ResultNotSerializable
                | Code::InvalidArguments
                | Code::InvalidBody => Verdict::Raised(what),
                _ => Verdict::Failed(what),
            }
        }
    }
}

fn of_job(reply: &Reply) -> Verdict {
    if reply.problem.is_some() || reply.status != 200 {
        return match of_route(reply) {
            Verdict::Answered(what) => Verdict::Failed(what),
            verdict => verdict,
        };
    }
    let Ok(job) = serde_json::from_slice::<JobView>(&reply.body) else {
        return Verdict::Failed(format!("200 {}", String::from_utf8_lossy(&reply.body)));
    };
    let said = job.error.as_deref().unwrap_or_default().trim();
    let last = said.lines().last().unwrap_or_default();
    match job.status {
        JobStatus::Completed => {
            let output = job.output.as_ref().map_or("null", |output| output.get());
            Verdict::Answered(format!("COMPLETED {output}"))
        }
        JobStatus::Failed if said.ends_with(WORKER_DIED_END) => Verdict::Failed(format!("FAILED {said}")),
        JobStatus::Failed => Verdict::Raised(format!("FAILED {last}")),
        status => Verdict::Failed(format!("{} {last}", status.word())),
    }
}

fn shown(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim_end();
    match line.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics says where")]
mod tests {
    use flash_model::wire::Problem;
    use serde_json::{Value, json};

    use super::*;

    fn reply(status: u16, body: &str, problem: Option<Code>) -> Reply {
        let problem = problem.map(|code| Problem::new(code, status, "because"));
        Reply { status, body: body.to_owned().into(), problem }
    }

    fn word(verdict: &Verdict) -> &'static str {
        match verdict {
            Verdict::Answered(_) => "answered",
            Verdict::Raised(_) => "raised",
            Verdict::Failed(_) => "failed",
        }
    }

    #[test]
    fn a_route_fails_only_by_what_is_ours() {
        for (status, problem, expected) in [
            (200, None, "answered"),
            (422, None, "answered"),
            (503, None, "answered"),
            (500, Some(Code::UserException), "raised"),
            (500, Some(Code::ResultNotSerializable), "raised"),
            (502, Some(Code::WorkerDied), "failed"),
            (503, Some(Code::NotReady), "failed"),
            (504, Some(Code::ExecutionTimeout), "failed"),
            (404, Some(Code::NoRoute), "failed"),
        ] {
            assert_eq!(word(&of_route(&reply(status, "{}", problem))), expected, "{status} {problem:?}");
        }
    }

    #[test]
    fn a_job_fails_unless_it_ended_by_itself() {
        let job = |status: &str, output: Value, error: Value| {
            let view = json!({"id": "j", "status": status, "workerId": "w", "delayTime": 0, "executionTime": 0,
                              "output": output, "error": error});
            of_job(&reply(200, &view.to_string(), None))
        };
        let traceback = "Traceback (most recent call last):\n  File \"a.py\"\nValueError: no";
        assert_eq!(
            job("COMPLETED", json!({"a": 1}), Value::Null),
            Verdict::Answered("COMPLETED {\"a\":1}".into())
        );
        assert_eq!(
            job("FAILED", Value::Null, json!(traceback)),
            Verdict::Raised("FAILED ValueError: no".into())
        );
        for (status, error) in [
            ("FAILED", "the worker was killed by signal 9 during the call"),
            ("TIMED_OUT", "longer than 1 s"),
            ("IN_PROGRESS", ""),
            ("CANCELLED", ""),
        ] {
            assert_eq!(word(&job(status, Value::Null, json!(error))), "failed", "{status}");
        }
        assert_eq!(word(&of_job(&reply(200, "<html>", None))), "failed");
        assert_eq!(word(&of_job(&reply(503, "", Some(Code::NotReady)))), "failed");
    }
}
