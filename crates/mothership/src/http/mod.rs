//! The HTTP API of a mothership, and the front door to its endpoints.

mod calls;
mod front_door;
mod guard;
mod health;
mod manifest;
mod pass_on;
mod problem;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::middleware;
use axum::routing::{any, get, post};
use flash_client::Forwarder;
use flash_model::{Code, Secret, wire};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::discovery::Discovery;
use crate::service::{Ending, Handle};

/// Shared by all handlers.
#[derive(Debug, Clone)]
pub(crate) struct State(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    discovery: Discovery,
    token: Secret,
    is_loopback: bool,
    forwarder: Forwarder<axum::body::Body>,
    /// None until the project is known.
    handle: OnceLock<Handle>,
}

impl State {
    pub(crate) fn new(discovery: Discovery, token: Secret, is_loopback: bool) -> Self {
        let (forwarder, handle) = (Forwarder::new(), OnceLock::new());
        Self(Arc::new(Inner { discovery, token, is_loopback, forwarder, handle }))
    }

    /// From here on requests may steer the mothership.
    pub(crate) fn steer_by(&self, handle: Handle) {
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
        .layer(middleware::from_fn_with_state(state.clone(), guard::admit))
        .with_state(state)
}

/// Serves until `stopped` becomes true; requests under way are finished.
pub(crate) async fn serve(listener: TcpListener, router: Router, mut stopped: watch::Receiver<Ending>) {
    let until_stopped = async move {
        let _ = stopped.wait_for(|ending| *ending != Ending::None).await;
    };
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(until_stopped).await {
        tracing::error!(%error, "the HTTP server ended");
    }
}
