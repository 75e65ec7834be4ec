//! What a mothership counts, as Prometheus reads it (OpenMetrics text), and everybody's counts as one document.

mod merge;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use flash_model::ResourceStatus;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

pub(crate) use merge::merge;

use crate::served::Served;

/// Seconds: from a round over nothing to a provider that takes its time.
const BUCKETS: [f64; 12] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    round_seconds: Histogram,
    call_seconds: Histogram,
    calls: Family<Outcome, Counter>,
    resources: Family<Status, Gauge>,
    generation: Gauge,
    leading: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let metrics = Self {
            registry: Mutex::default(),
            round_seconds: Histogram::new(BUCKETS),
            call_seconds: Histogram::new(BUCKETS),
            calls: Family::default(),
            resources: Family::default(),
            generation: Gauge::default(),
            leading: Gauge::default(),
        };
        let mut registry = Registry::with_prefix("flash_mothership");
        let round = metrics.round_seconds.clone();
        registry.register_with_unit("round", "Looks at the world", Unit::Seconds, round);
        let call = metrics.call_seconds.clone();
        registry.register_with_unit("provider_call", "Calls of the provider", Unit::Seconds, call);
        registry.register(
            "provider_calls",
            "Calls of the provider, and how they ended",
            metrics.calls.clone(),
        );
        registry.register("resources", "Resources by status", metrics.resources.clone());
        registry.register("generation", "Manifests applied so far", metrics.generation.clone());
        registry.register("leading", "1 in the mothership that leads", metrics.leading.clone());
        Self { registry: Mutex::new(registry), ..metrics }
    }
}

impl Metrics {
    pub(crate) fn looked(&self, took: Duration) {
        self.round_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn called<T>(&self, took: Duration, answer: &Result<T, flash_providers::Error>) {
        let outcome = match answer {
            Ok(_) => "done",
            Err(flash_providers::Error::NoAnswer { .. }) => "no_answer",
            Err(_) => "failed",
        };
        self.calls.get_or_create(&Outcome { outcome }).inc();
        self.call_seconds.observe(took.as_secs_f64());
    }

    /// With how everything is now.
    pub(crate) fn render(&self, served: &Served, is_leading: bool) -> String {
        let mut counts = HashMap::new();
        for (_, provisioned) in served.all_provisioned() {
            *counts.entry(provisioned.status).or_default() += 1;
        }
        for status in ResourceStatus::ALL {
            let label = Status { status: status.to_string() };
            let count: i64 = counts.get(&Some(status)).copied().unwrap_or_default();
            self.resources.get_or_create(&label).set(count);
        }
        self.generation
            .set(served.generation().map_or(0, |number| i64::try_from(number).unwrap_or(i64::MAX)));
        self.leading.set(i64::from(is_leading));
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a string does not fail.
        let _ = encode(&mut text, &registry);
        text
    }
}
