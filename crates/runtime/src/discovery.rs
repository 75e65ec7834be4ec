//! Where everybody is: the route table, kept fresh by the mothership and kept at all without it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flash_client::{Fetched, Mothership, Transport};
use flash_model::Secret;
use flash_model::{Code, FunctionName, Manifest, Route, RouteTable};
use tokio::sync::watch;

use crate::endpoint_dir::write_document;
use crate::refusal::Refusal;

/// How long one request for the next manifest is held open.
const LONG_POLL: Duration = Duration::from_secs(25);
/// How long a call waits for a function whose endpoint is not ready yet.
const ROUTE_WAIT: Duration = Duration::from_secs(30);
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(2);
/// Against a mothership that answers at once and never has anything new.
const ROUND_MIN: Duration = Duration::from_millis(100);

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Discovery {
    known: Arc<watch::Sender<Known>>,
    url: Arc<watch::Sender<Option<String>>>,
    path: Arc<PathBuf>,
}

#[derive(Debug, Default)]
struct Known {
    table: RouteTable,
    /// Whether a mothership has confirmed it since this process started.
    is_current: bool,
}

impl Discovery {
    /// Starts from the last good table, if there is one.
    pub(crate) fn new(path: PathBuf, mothership_url: Option<String>) -> Self {
        let table = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                tracing::warn!(path = %path.display(), %error, "route table cannot be read; starting without");
                RouteTable::default()
            }),
            Err(_) => RouteTable::default(),
        };
        Self {
            known: Arc::new(watch::Sender::new(Known { table, is_current: false })),
            url: Arc::new(watch::Sender::new(mothership_url)),
            path: Arc::new(path),
        }
    }

    /// The mothership has moved.
    pub(crate) fn set_mothership(&self, url: String) {
        tracing::info!(url, "mothership announced");
        self.url.send_replace(Some(url));
    }

    /// Where `function` is, waiting for it if it exists but is not ready.
    pub(crate) async fn resolve(&self, function: &str) -> Result<Route, Refusal> {
        let mut known = self.known.subscribe();
        let found = known.wait_for(|known| {
            known.table.functions.contains_key(function) || (known.is_current && !known.table.has(function))
        });
        let in_time = match tokio::time::timeout(ROUTE_WAIT, found).await {
            Ok(Ok(known)) => known.table.functions.get(function).cloned(),
            Ok(Err(_)) | Err(_) => None,
        };
        if let Some(route) = in_time {
            return Ok(route);
        }
        let known = self.known.borrow();
        if known.table.has(function) {
            let detail = format!("the endpoint of function {function} was not ready in time");
            return Err(Refusal::new(Code::NotReady, 503, detail).after(BACKOFF_MAX));
        }
        let names: Vec<_> = known.table.known.iter().map(FunctionName::as_str).collect();
        let detail = format!("the project has no function {function}; it has: {}", names.join(", "));
        Err(Refusal::new(Code::UnknownFunction, 404, detail))
    }

    /// Follows the mothership's manifest for as long as it is polled.
    pub(crate) async fn follow(&self, transport: Transport, token: Secret) {
        let mut url_changes = self.url.subscribe();
        loop {
            let url = url_changes.borrow_and_update().clone();
            let follow = async {
                match url {
                    Some(url) => {
                        let mothership =
                            Mothership::with_transport(transport.clone(), url, Some(token.clone()));
                        self.follow_one(&mothership).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = follow => {}
                changed = url_changes.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn follow_one(&self, mothership: &Mothership) {
        let (mut etag, mut backoff) = (None, BACKOFF_MIN);
        loop {
            let started = tokio::time::Instant::now();
            // The first answer is wanted now, changes when they happen.
            let wait = etag.is_some().then_some(LONG_POLL);
            match mothership.manifest(etag.as_deref(), wait).await {
                Ok(fetched) => {
                    backoff = BACKOFF_MIN;
                    if let Fetched::Document { manifest, etag: new } = fetched {
                        let is_same = new.is_some() && new == etag;
                        self.learn(&manifest);
                        etag = new;
                        if !is_same && etag.is_some() {
                            continue;
                        }
                    }
                    tokio::time::sleep_until(started + ROUND_MIN).await;
                }
                Err(error) => {
                    tracing::debug!(url = mothership.url(), %error, "no manifest; keeping the last good one");
                    tokio::time::sleep(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                    // Another process may listen there now, with versions of its own.
                    etag = None;
                }
            }
        }
    }

    fn learn(&self, manifest: &Manifest) {
        let table = RouteTable::from_manifest(manifest);
        self.known.send_if_modified(|known| {
            let is_news = known.table != table || !known.is_current;
            if known.table != table {
                tracing::info!(functions = table.functions.len(), of = table.known.len(), "new route table");
                if let Err(error) = write_document(&self.path, &table) {
                    tracing::warn!(%error, "route table cannot be kept");
                }
            }
            *known = Known { table, is_current: true };
            is_news
        });
    }
}

trait Has {
    fn has(&self, function: &str) -> bool;
}

impl Has for RouteTable {
    fn has(&self, function: &str) -> bool {
        self.known.iter().any(|name| name.as_str() == function)
    }
}
