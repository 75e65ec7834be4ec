//! The State Manager's HTTP API (`docs/state.md`): a [`Store`] for other processes. Part of every mothership, which
//! serves its own store, and of `flash state serve`.
//!
//! Knows nothing of motherships: what is in the store is all that it tells.

mod conditions;
mod document;
mod history;
mod lease;
mod patch;
mod refusal;
mod resources;
mod scope;
mod writing;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State as Extract};
use axum::http::HeaderValue;
use axum::http::header::AUTHORIZATION;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use flash_model::wire::{Problem, STATE_PATH};
use flash_model::{Code, MothershipId, Scope, Secret};

use super::guard::check_provenance;
use super::problem::{self, Refusal};
use crate::store::Store;

/// For one request, its body included. Longer than any store needs to give up by itself.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Shared by all handlers.
#[derive(Debug, Clone)]
pub(crate) struct StateApi(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// A mothership listens before it has opened its store.
    store: OnceLock<Arc<dyn Store>>,
    token: Secret,
    /// Where lineages were last seen. Only a guess at where to look first.
    lineages: Mutex<BTreeMap<MothershipId, Scope>>,
    /// Requests without a lease of their own take turns, as do those that look before they write.
    turn: tokio::sync::Mutex<()>,
}

impl StateApi {
    pub(crate) fn new(token: Secret) -> Self {
        Self(Arc::new(Inner {
            store: OnceLock::new(),
            token,
            lineages: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }))
    }

    /// From now on this store is served. Called once.
    pub(crate) fn open(&self, store: Arc<dyn Store>) {
        if self.0.store.set(store).is_err() {
            tracing::error!("a second state store is not served");
        }
    }

    fn store(&self) -> Result<Arc<dyn Store>, Refusal> {
        self.0.store.get().cloned().ok_or_else(|| {
            Problem::new(Code::NotReady, 503, "the state is not open yet")
                .hint("the project is still being read; try again in a moment")
                .into()
        })
    }
}

/// All routes below `/api/v1/flash`, every one for token holders only.
pub(crate) fn router<S: Clone + Send + Sync + 'static>(api: StateApi) -> Router<S> {
    let manifest = format!("{STATE_PATH}/{{id}}");
    let below = |path: &str| format!("{manifest}/{path}");
    Router::new()
        .route(STATE_PATH, get(document::scopes))
        .route(&manifest, get(document::get).put(document::put).delete(document::delete))
        .route(&below("resources"), get(resources::list))
        .route(&below("resources/{name}"), get(resources::get).put(resources::put).delete(resources::delete))
        .route(&below("lease"), get(lease::pulse).post(lease::ask))
        .route(&below("pulse"), get(lease::pulse))
        .route(&below("lineage"), post(lease::lineage))
        .route(&below("generations"), get(history::generations))
        .route(&below("generations/{number}"), get(history::generation))
        .route(&below("events"), get(history::events).post(history::append))
        // Not the user's application's.
        .route("/api/v1/flash/{*path}", any(no_such_path))
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(middleware::from_fn_with_state(api.clone(), admit))
        .with_state(api)
}

async fn admit(Extract(api): Extract<StateApi>, request: Request, next: Next) -> Response {
    let authorization = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    if !api.0.token.authorizes(authorization) {
        let problem = Problem::new(Code::Unauthorized, 401, "the state is for holders of its token only");
        return Refusal::from(problem.hint("send `Authorization: Bearer <token>`")).into_response();
    }
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let detail = format!("not done within {} s", REQUEST_TIMEOUT.as_secs());
            Refusal::from(Problem::new(Code::StoreFailed, 503, detail)).into_response()
        }
    }
}

/// A server that does nothing else.
pub(crate) fn alone(api: StateApi, is_loopback: bool) -> Router {
    let guard = move |request: Request, next: Next| async move {
        match check_provenance(is_loopback, &request) {
            Ok(()) => next.run(request).await,
            Err(refusal) => refusal.into_response(),
        }
    };
    Router::new()
        .route("/ping", get(super::health::ping))
        .fallback(no_such_path)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .merge(router(api))
        .layer(middleware::from_fn(guard))
}

async fn no_such_path(uri: axum::http::Uri) -> Refusal {
    Problem::new(Code::NoRoute, 404, format!("nothing is served at {}", uri.path()))
        .hint("names are single path segments: write `/` in them as `%2F`")
        .into()
}
