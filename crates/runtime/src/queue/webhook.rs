//! Tells whoever asked for it of a job's end: POST of its view, signed, again until it was taken or given up.
//!
//! A delivery is written down by the transaction that ends its job (a trigger in `store.rs`), so it survives what the job
//! survives. Each attempt is leased: an endpoint that dies in the middle of one is followed by another.

use std::sync::Arc;
use std::time::Duration;

use flash_client::{Transport, full_jitter, set_trace};
use flash_model::wire::{WEBHOOK_ATTEMPT_HEADER, WEBHOOK_JOB_HEADER, WEBHOOK_SIGNATURE_HEADER};
use flash_model::{Secret, hmac_sha256_hex};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use tokio::task::JoinSet;

use super::store::Delivery;
use super::{Queue, now_ms};
use crate::trace::Tracer;

const URL_BYTES_MAX: usize = 2048;
/// For one attempt, from connecting to the answer's status.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
/// So long after it began an attempt is taken for lost with its endpoint.
const LEASE: Duration = Duration::from_secs(20);
const ATTEMPTS_MAX: u32 = 10;
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(120);
const IN_FLIGHT_MAX: usize = 16;
/// How soon a delivery is found of which nobody here was told.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// A larger output is left out of the message; it can be asked for.
const OUTPUT_BYTES_MAX: usize = 10 * 1024 * 1024;

/// A URL that can be posted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Webhook(Box<str>);

impl Webhook {
    /// Says why it cannot be used.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        if url.len() > URL_BYTES_MAX {
            return Err(format!("the webhook's URL is longer than {URL_BYTES_MAX} bytes"));
        }
        let uri: Uri = url.parse().map_err(|error| format!("the webhook is not a URL: {error}"))?;
        match uri.scheme_str() {
            Some("http" | "https") if uri.host().is_some_and(|host| !host.is_empty()) => Ok(Self(url.into())),
            _ => Err("the webhook is not an http or https URL with a host".to_owned()),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Deliverer {
    queue: Queue,
    transport: Transport,
    token: Secret,
    tracer: Tracer,
}

impl Deliverer {
    pub(crate) fn new(queue: Queue, transport: Transport, token: Secret, tracer: Tracer) -> Self {
        Self { queue, transport, token, tracer }
    }

    /// Delivers for as long as it is polled.
    pub(crate) async fn run(&self) {
        let mut in_flight = JoinSet::new();
        loop {
            let free = IN_FLIGHT_MAX - in_flight.len();
            let due = match self.queue.claim_deliveries(free, LEASE).await {
                Ok(due) => due,
                Err(error) => {
                    tracing::warn!(%error, "webhooks that are due cannot be read");
                    Vec::new()
                }
            };
            for delivery in due {
                let deliverer = self.clone();
                in_flight.spawn(async move { deliverer.deliver(delivery).await });
            }
            let is_full = in_flight.len() >= IN_FLIGHT_MAX;
            tokio::select! {
                biased;
                Some(_) = in_flight.join_next(), if !in_flight.is_empty() => {}
                () = self.queue.delivery_due(LOOK_PERIOD), if !is_full => {}
            }
        }
    }

    async fn deliver(&self, delivery: Delivery) {
        let (job, attempt) = (delivery.view.id.clone(), delivery.attempt);
        let refused = match self.post(delivery).await {
            Ok(status) if status.is_success() => None,
            Ok(status) => Some(status.to_string()),
            // Without its URL: that may hold a secret.
            Err(error) => Some(error),
        };
        let next_ms = match &refused {
            None => None,
            Some(why) if attempt >= ATTEMPTS_MAX => {
                tracing::warn!(job, attempt, why, "a webhook is given up");
                None
            }
            Some(why) => {
                tracing::info!(job, attempt, why, "a webhook was not taken; it is tried again");
                let pause = full_jitter(PAUSE_FIRST, PAUSE_MAX, attempt);
                Some(now_ms().saturating_add(pause.as_millis() as u64))
            }
        };
        if let Err(error) = self.queue.delivered(&job, attempt, next_ms).await {
            tracing::warn!(job, %error, "what became of a webhook cannot be written down");
        }
    }

    async fn post(&self, delivery: Delivery) -> Result<http::StatusCode, String> {
        let Delivery { mut view, url, attempt, trace } = delivery;
        view.output = view.output.filter(|output| output.get().len() <= OUTPUT_BYTES_MAX);
        let body = serde_json::to_vec(&view).map_err(|error| error.to_string())?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut span = trace.map(|trace| self.tracer.outgoing(&trace, || "webhook".to_owned()));
        if let Some(span) = &mut span {
            span.note("messaging.message.id", view.id.as_str());
            set_trace(&mut headers, span.context());
        }
        let signature = signature(&self.token, now_ms() / 1000, &body);
        for (name, value) in [
            (WEBHOOK_SIGNATURE_HEADER, signature),
            (WEBHOOK_JOB_HEADER, view.id),
            (WEBHOOK_ATTEMPT_HEADER, attempt.to_string()),
        ] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        let answer = self.transport.notify(&url, headers, body.into(), ATTEMPT_TIMEOUT).await;
        if let Some(span) = &mut span {
            match &answer {
                Ok(status) if status.is_success() => {}
                Ok(status) => span.fail(status.as_str()),
                Err(_) => span.fail("no answer"),
            }
        }
        answer
    }
}

/// `t=<unix seconds>,v1=<HMAC of "<unix seconds>.<body>">`: a receiver can refuse what is old.
fn signature(token: &Secret, seconds: u64, body: &[u8]) -> String {
    let hex = hmac_sha256_hex(token, &[seconds.to_string().as_bytes(), b".", body]);
    format!("t={seconds},v1={hex}")
}

/// What a queue needs to tell its deliverer.
#[derive(Debug, Clone, Default)]
pub(super) struct Due(Arc<tokio::sync::Notify>);

impl Due {
    pub(super) fn tell(&self) {
        self.0.notify_one();
    }

    pub(super) async fn wait(&self, limit: Duration) {
        let _ = tokio::time::timeout(limit, self.0.notified()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_posted_to_is_taken() {
        for url in [
            "http://127.0.0.1:1/done?a=b",
            "http://hooks.example/x",
            "HTTP://example",
            "https://example:8443/",
        ] {
            assert_eq!(Webhook::parse(url).unwrap().as_str(), url);
        }
        let long = format!("http://example/{}", "x".repeat(URL_BYTES_MAX));
        for (url, part) in [
            ("ftp://example/x", "not an http or https URL"),
            ("/done", "not an http or https URL"),
            ("example", "not an http or https URL"),
            ("http://", "not a URL"),
            ("http://a b", "not a URL"),
            ("", "not a URL"),
            (long.as_str(), "longer than 2048"),
        ] {
            let error = Webhook::parse(url).unwrap_err();
            assert!(error.contains(part), "{url}: {error}");
        }
    }
}
