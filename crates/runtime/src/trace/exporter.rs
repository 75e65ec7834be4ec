//! Sends spans that are over to a collector, many at a time. A collector that is slow or away costs spans, never a call.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flash_client::{Transport, full_jitter};
use flash_model::{EndpointId, Owner};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::otlp::{self, Service};
use super::span::Ended;
use super::tracer::Tracer;
use super::variables::TraceExport;
use crate::metrics::Metrics;

/// Kept while the collector is slow; those beyond are counted and gone.
const WAITING_MAX: usize = 2048;
/// Sent at a time.
const BATCH_MAX: usize = 512;
/// How long the first of a batch waits for others.
const BATCH_PERIOD: Duration = Duration::from_secs(1);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
const ATTEMPTS_MAX: u32 = 5;
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// For what is left at the endpoint's end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Where spans that are over go. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Outbox {
    sender: mpsc::Sender<Ended>,
    metrics: Arc<Metrics>,
}

impl Outbox {
    pub(super) fn put(&self, span: Ended) {
        if self.sender.try_send(span).is_err() {
            self.metrics.spans_dropped(1);
        }
    }
}

/// Sends until it is told to flush; dropping it ends it at once.
#[derive(Debug)]
pub(crate) struct Exporter {
    flush: Option<oneshot::Sender<()>>,
    sending: JoinHandle<()>,
}

impl Exporter {
    pub(crate) fn start(
        export: &TraceExport,
        (owner, endpoint): (&Owner, &EndpointId),
        transport: Transport,
        metrics: Arc<Metrics>,
    ) -> (Self, Tracer) {
        let (sender, waiting) = mpsc::channel(WAITING_MAX);
        let (flush, flushed) = oneshot::channel();
        let outbox = Outbox { sender, metrics: Arc::clone(&metrics) };
        let mut sending = Sending {
            url: export.url.clone(),
            headers: headers(export),
            service: service(export, owner, endpoint),
            transport,
            metrics,
            is_failing: false,
        };
        let sending = tokio::spawn(async move { sending.run(waiting, flushed).await });
        (Self { flush: Some(flush), sending }, Tracer::new(export.sampler, outbox))
    }

    /// Sends what is left, as far as the collector takes it within a moment.
    pub(crate) async fn flush(mut self) {
        drop(self.flush.take());
        let _ = tokio::time::timeout(FLUSH_TIMEOUT, &mut self.sending).await;
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.sending.abort();
    }
}

struct Sending {
    url: String,
    headers: HeaderMap,
    service: Service,
    transport: Transport,
    metrics: Arc<Metrics>,
    /// Said once, not with each batch.
    is_failing: bool,
}

impl Sending {
    async fn run(&mut self, mut waiting: mpsc::Receiver<Ended>, flushed: oneshot::Receiver<()>) {
        let mut flushed = std::pin::pin!(flushed);
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            let one = async {
                gather(&mut waiting, &mut batch).await;
                self.send(&batch).await;
                batch.clear();
            };
            tokio::select! {
                biased;
                _ = flushed.as_mut() => break,
                () = one => {}
            }
        }
        waiting.close();
        loop {
            // A batch that was being sent when the end came is sent again: a collector knows a span by its id.
            if !batch.is_empty() && self.try_send(&batch).await.is_err() {
                return self.metrics.spans_dropped(batch.len() + waiting.len());
            }
            batch.clear();
            if waiting.recv_many(&mut batch, BATCH_MAX).await == 0 {
                return;
            }
        }
    }

    /// Again for a while, where that may help.
    async fn send(&mut self, batch: &[Ended]) {
        let mut attempt = 1;
        let why = loop {
            match self.try_send(batch).await {
                Ok(()) => {
                    if std::mem::take(&mut self.is_failing) {
                        tracing::info!("spans are taken again by the collector");
                    }
                    return;
                }
                Err(Failure::Passing(why)) if attempt < ATTEMPTS_MAX => {
                    tracing::debug!(why, attempt, "spans were not taken; they are sent again");
                }
                Err(Failure::Passing(why) | Failure::Final(why)) => break why,
            }
            tokio::time::sleep(full_jitter(PAUSE_FIRST, PAUSE_MAX, attempt)).await;
            attempt += 1;
        };
        self.metrics.spans_dropped(batch.len());
        if !std::mem::replace(&mut self.is_failing, true) {
            tracing::warn!(why, "spans cannot be exported; they are dropped until the collector takes some");
        }
    }

    async fn try_send(&self, batch: &[Ended]) -> Result<(), Failure> {
        let body = Bytes::from(otlp::body(&self.service, batch));
        let sent = self.transport.notify(&self.url, self.headers.clone(), body, ATTEMPT_TIMEOUT).await;
        match sent.map_err(Failure::Passing)? {
            status if status.is_success() => {
                self.metrics.spans_exported(batch.len());
                Ok(())
            }
            status if is_passing(status) => Err(Failure::Passing(status.to_string())),
            status => Err(Failure::Final(status.to_string())),
        }
    }
}

enum Failure {
    Passing(String),
    Final(String),
}

/// As the protocol has it.
fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

/// Until the batch is full, or its first has waited long enough. What it holds already stays if this is cut off.
async fn gather(waiting: &mut mpsc::Receiver<Ended>, batch: &mut Vec<Ended>) {
    if waiting.recv_many(batch, BATCH_MAX).await == 0 {
        return std::future::pending().await;
    }
    let fill = async {
        while batch.len() < BATCH_MAX {
            let room = BATCH_MAX - batch.len();
            if waiting.recv_many(batch, room).await == 0 {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(BATCH_PERIOD, fill).await;
}

fn headers(export: &TraceExport) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for (name, value) in &export.headers {
        if let Ok(mut value) = HeaderValue::from_str(value.expose()) {
            value.set_sensitive(true);
            headers.insert(name.clone(), value);
        }
    }
    headers
}

/// What the environment adds stands before our own of the same name.
fn service(export: &TraceExport, owner: &Owner, endpoint: &EndpointId) -> Service {
    let mut attributes = export.attributes.clone();
    if let Some(name) = &export.service_name {
        attributes.retain(|(key, _)| key != "service.name");
        attributes.push(("service.name".to_owned(), name.clone()));
    }
    for (name, value) in [
        ("service.name", owner.resource.as_str()),
        ("service.namespace", owner.scope.app.as_str()),
        ("deployment.environment.name", owner.scope.environment.as_str()),
        ("service.instance.id", endpoint.as_str()),
        ("telemetry.sdk.name", "flash"),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
    ] {
        if attributes.iter().all(|(key, _)| key != name) {
            attributes.push((name.to_owned(), value.to_owned()));
        }
    }
    Service(attributes)
}
