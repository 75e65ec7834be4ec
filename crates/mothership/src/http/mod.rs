//! The HTTP API of a mothership, and the front door to its endpoints.

mod calls;
mod front_door;
mod guard;
mod health;
mod manifest;
mod pass_on;
mod problem;
pub(crate) mod state;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::middleware;
use axum::routing::{any, get, post};
use flash_client::Forwarder;
use flash_model::{Code, Secret, wire};
use tokio::net::TcpListener;

use self::state::StateApi;
use crate::discovery::Discovery;
use crate::service::Handle;

/// Shared by all handlers.
#[derive(Debug, Clone)]
pub(crate) struct State(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    discovery: Discovery,
    token: Secret,
    is_loopback: bool,
    forwarder: Forwarder<axum::body::Body>,
    state_api: StateApi,
    /// None until the project is known.
    handle: OnceLock<Handle>,
}

impl State {
    pub(crate) fn new(discovery: Discovery, token: Secret, is_loopback: bool) -> Self {
        let (forwarder, state_api) = (Forwarder::new(), StateApi::new(token.clone()));
        let handle = OnceLock::new();
        Self(Arc::new(Inner { discovery, token, is_loopback, forwarder, state_api, handle }))
    }

    /// From here on requests may steer the mothership, and read and write its state.
    pub(crate) fn steer_by(&self, handle: Handle) {
        self.0.state_api.open(Arc::clone(handle.store()));
        let _ = self.0.handle.set(handle);
    }

    /// The mothership behind the front, once it has been started.
    #[expect(dead_code, reason = "for the handlers of /api/v1 that steer")]
    fn mothership(&self) -> Result<&Handle, problem::Refusal> {
        self.0.handle.get().ok_or_else(|| {
            wire::Problem::new(Code::NotReady, 503, "the project is still being read")
                .hint("try again in a moment")
                .into()
        })
    }
}

impl std::ops::Deref for State {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

pub(crate) fn router(state: State) -> Router {
    Router::new()
        .route("/ping", get(health::ping))
        .route("/manifest", get(manifest::get))
        .route(&format!("{}/{{function}}", wire::MOTHERSHIP_CALL_PATH), post(calls::call))
        .route("/lb/{endpoint}", any(front_door::root))
        .route("/lb/{endpoint}/{*path}", any(front_door::load_balanced))
        .route("/v2/{endpoint}/{*path}", any(front_door::queue))
        .fallback(front_door::application)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .merge(state::router(state.state_api.clone()))
        .layer(middleware::from_fn_with_state(state.clone(), guard::admit))
        .with_state(state)
}

/// Serves until `stopped` ends; requests under way are finished.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    stopped: impl Future<Output = ()> + Send + 'static,
) {
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
        tracing::error!(%error, "the HTTP server ended");
    }
}
