//! What an endpoint counts, as Prometheus reads it (OpenMetrics text). Every sample says whose it is.

use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use flash_model::wire::{JobCounts, WorkerCounts, WorkerStart};
use flash_model::{EndpointId, ResourceName};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Seconds: from a fast call to a model that loads.
const BUCKETS: [f64; 14] =
    [0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InState {
    state: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Because {
    reason: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct By {
    by: &'static str,
}

/// How the next worker comes to be, and why not by a fork.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Next {
    by: String,
    reason: String,
}

/// Why a worker process is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkerEnd {
    /// We wanted it: idle, draining, or a call that did not stop.
    Stopped,
    /// It could not load the code.
    Failed,
    Crashed,
}

#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<Status, Counter>,
    request_seconds: Histogram,
    received_bytes: Counter,
    sent_bytes: Counter,
    queue_seconds: Histogram,
    cold_start_seconds: Histogram,
    execution_seconds: Histogram,
    workers: Family<InState, Gauge>,
    worker_starts: Family<By, Counter>,
    next_start: Family<Next, Gauge>,
    worker_exits: Family<Because, Counter>,
    jobs: Family<InState, Gauge>,
    job_age_seconds: Gauge<f64, AtomicU64>,
    log_lines: Counter,
    log_lines_dropped: Counter,
    log_dropped_bytes: Counter,
    spans_exported: Counter,
    spans_dropped: Counter,
}

impl Metrics {
    pub(crate) fn new(resource: &ResourceName, endpoint: &EndpointId) -> Self {
        let labels = [("resource", resource.as_str()), ("endpoint", endpoint.as_str())];
        let labels = labels.map(|(name, value)| (name.into(), value.to_owned().into()));
        let mut registry = Registry::with_prefix_and_labels("flash", labels.into_iter());
        let seconds = || Histogram::new(BUCKETS);
        let metrics = Self {
            registry: Mutex::new(Registry::default()),
            requests: Family::default(),
            request_seconds: seconds(),
            received_bytes: Counter::default(),
            sent_bytes: Counter::default(),
            queue_seconds: seconds(),
            cold_start_seconds: seconds(),
            execution_seconds: seconds(),
            workers: Family::default(),
            worker_starts: Family::default(),
            next_start: Family::default(),
            worker_exits: Family::default(),
            jobs: Family::default(),
            job_age_seconds: Gauge::default(),
            log_lines: Counter::default(),
            log_lines_dropped: Counter::default(),
            log_dropped_bytes: Counter::default(),
            spans_exported: Counter::default(),
            spans_dropped: Counter::default(),
        };
        registry.register("requests", "HTTP requests answered", metrics.requests.clone());
        let mut time = |name: &str, help: &str, histogram: &Histogram| {
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        };
        time("request", "From a request's headers to its answer's", &metrics.request_seconds);
        time("call_queue", "What a call waited while workers ran", &metrics.queue_seconds);
        time("call_cold_start", "What a call waited while no worker was up", &metrics.cold_start_seconds);
        time("call_execution", "From a call's start in a worker to its result", &metrics.execution_seconds);
        let mut bytes = |name: &str, help: &str, counter: &Counter| {
            registry.register_with_unit(name, help, Unit::Bytes, counter.clone());
        };
        bytes("received", "Bodies of requests, as announced", &metrics.received_bytes);
        bytes("sent", "Bodies of answers of known length", &metrics.sent_bytes);
        bytes("log_dropped", "What workers printed beyond their limit", &metrics.log_dropped_bytes);
        registry.register("log_lines", "Lines that workers printed", metrics.log_lines.clone());
        let dropped = metrics.log_lines_dropped.clone();
        registry.register("log_lines_dropped", "Lines that workers printed beyond their limit", dropped);
        registry.register("spans_exported", "Spans that the collector took", metrics.spans_exported.clone());
        registry.register("spans_dropped", "Spans that no collector took", metrics.spans_dropped.clone());
        registry.register("workers", "Worker processes", metrics.workers.clone());
        registry.register("worker_starts", "Worker processes started", metrics.worker_starts.clone());
        let next = metrics.next_start.clone();
        registry.register(
            "worker_next_start",
            "How the next worker comes to be, and why not by a fork",
            next,
        );
        registry.register("worker_exits", "Worker processes gone, and why", metrics.worker_exits.clone());
        registry.register("jobs", "Jobs of the queue", metrics.jobs.clone());
        let age = metrics.job_age_seconds.clone();
        registry.register_with_unit(
            "job_age",
            "How long the queue's next job has waited",
            Unit::Seconds,
            age,
        );
        Self { registry: Mutex::new(registry), ..metrics }
    }

    pub(crate) fn answered(&self, status: u16, took: Duration, received: u64, sent: u64) {
        self.requests.get_or_create(&Status { status }).inc();
        self.request_seconds.observe(took.as_secs_f64());
        self.received_bytes.inc_by(received);
        self.sent_bytes.inc_by(sent);
    }

    /// `cold` where no worker was up when the call came.
    pub(crate) fn waited(&self, took: Duration, cold: bool) {
        let histogram = if cold { &self.cold_start_seconds } else { &self.queue_seconds };
        histogram.observe(took.as_secs_f64());
    }

    pub(crate) fn executed(&self, took: Duration) {
        self.execution_seconds.observe(took.as_secs_f64());
    }

    /// `by` spawning or forking.
    pub(crate) fn worker_started(&self, by: &'static str) {
        self.worker_starts.get_or_create(&By { by }).inc();
    }

    /// A line that a worker has printed.
    pub(crate) fn logged(&self) {
        self.log_lines.inc();
    }

    /// One that was too much.
    pub(crate) fn log_dropped(&self, bytes: u64) {
        self.log_lines_dropped.inc();
        self.log_dropped_bytes.inc_by(bytes);
    }

    pub(crate) fn spans_exported(&self, count: usize) {
        self.spans_exported.inc_by(count as u64);
    }

    pub(crate) fn spans_dropped(&self, count: usize) {
        self.spans_dropped.inc_by(count as u64);
    }

    pub(crate) fn worker_gone(&self, why: WorkerEnd) {
        let reason = match why {
            WorkerEnd::Stopped => "stopped",
            WorkerEnd::Failed => "failed",
            WorkerEnd::Crashed => "crashed",
        };
        self.worker_exits.get_or_create(&Because { reason }).inc();
    }

    /// All of it, with how workers are now, and the queue: its jobs by state, and how long the next one has waited.
    pub(crate) fn render(
        &self,
        workers: WorkerCounts,
        next: WorkerStart,
        queue: Option<(JobCounts, Duration)>,
    ) -> String {
        let WorkerStart { by, reason } = next;
        self.next_start.clear();
        self.next_start.get_or_create(&Next { by, reason: reason.unwrap_or_default() }).set(1);
        let set = |family: &Family<InState, Gauge>, state, count: u64| {
            family.get_or_create(&InState { state }).set(i64::try_from(count).unwrap_or(i64::MAX));
        };
        set(&self.workers, "starting", workers.initializing.into());
        set(&self.workers, "idle", workers.idle.into());
        set(&self.workers, "running", workers.running.into());
        if let Some((jobs, age)) = queue {
            self.job_age_seconds.set(age.as_secs_f64());
            set(&self.jobs, "in_queue", jobs.in_queue);
            set(&self.jobs, "in_progress", jobs.in_progress);
            set(&self.jobs, "completed", jobs.completed);
            set(&self.jobs, "failed", jobs.failed);
        }
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Writing to a string does not fail.
        let _ = encode(&mut text, &registry);
        text
    }
}
