//! The HTTP API of a mothership, and the front door to its endpoints.

mod apply;
mod calls;
mod events;
mod extract;
mod front_door;
mod guard;
mod health;
mod manifest;
mod metrics;
mod pass_on;
mod problem;
mod resources;
mod rollback;
pub(crate) mod state;

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::middleware;
use axum::routing::{any, get, post};
use axum::serve::ListenerExt;
use flash_client::{Forwarder, Transport};
use flash_model::{Code, Secret, wire};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use self::state::StateApi;
use crate::discovery::Discovery;
use crate::served::Served;
use crate::service::{Ending, Handle};

/// Who is asked for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Access {
    /// Pages of other sites are kept out.
    pub(crate) is_loopback: bool,
    /// Everything but `/ping` needs the token.
    pub(crate) needs_token: bool,
}

/// Shared by all handlers.
#[derive(Debug, Clone)]
pub(crate) struct State(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    discovery: Discovery,
    token: Secret,
    access: Access,
    forwarder: Forwarder<axum::body::Body>,
    /// For what is asked of endpoints by ourselves.
    transport: Transport,
    state_api: StateApi,
    /// None until the project is known.
    handle: OnceLock<Handle>,
    /// Readers of the event log, a bounded number.
    subscribers: Arc<Semaphore>,
    stopped: watch::Receiver<Ending>,
}

impl State {
    pub(crate) fn new(
        discovery: Discovery,
        token: Secret,
        access: Access,
        stopped: watch::Receiver<Ending>,
    ) -> Self {
        let (forwarder, state_api) = (Forwarder::new(), StateApi::new(token.clone()));
        Self(Arc::new(Inner {
            discovery,
            token,
            access,
            forwarder,
            transport: Transport::new(),
            state_api,
            handle: OnceLock::new(),
            subscribers: Arc::new(Semaphore::new(events::SUBSCRIBERS_MAX)),
            stopped,
        }))
    }

    /// From here on requests may steer the mothership, and read and write its state.
    pub(crate) fn steer_by(&self, handle: Handle) {
        self.0.state_api.open(Arc::clone(handle.store()));
        let _ = self.0.handle.set(handle);
    }

    /// The mothership behind the front, once it has been started.
    fn mothership(&self) -> Result<&Handle, problem::Refusal> {
        self.0.handle.get().ok_or_else(still_being_read)
    }

    /// What is served, once it is known what that is: until then nobody can say that something is not there.
    fn project(&self) -> Result<Arc<Served>, problem::Refusal> {
        let served = self.0.discovery.current();
        if served.generation().is_some() { Ok(served) } else { Err(still_being_read()) }
    }
}

fn still_being_read() -> problem::Refusal {
    wire::Problem::new(Code::NotReady, 503, "the project is still being read")
        .hint("try again in a moment")
        .into()
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
        .route("/metrics", get(metrics::get))
        .route(&format!("{}/{{function}}", wire::MOTHERSHIP_CALL_PATH), post(calls::call))
        .route(wire::APPLY_PATH, post(apply::apply))
        .route(wire::ROLLBACK_PATH, post(rollback::rollback))
        .route(wire::RESOURCES_PATH, get(resources::get))
        .route(wire::EVENTS_PATH, get(events::get))
        .route("/lb/{endpoint}", any(front_door::root))
        .route("/lb/{endpoint}/{*path}", any(front_door::load_balanced))
        .route("/v2/{endpoint}/{*path}", any(front_door::queue))
        // Of clients whose base URL ends with a slash.
        .route("/v2//{endpoint}/{*path}", any(front_door::queue))
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
    // Nagle's algorithm would hold back each small part of an answer until the caller has acknowledged the last.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
        tracing::error!(%error, "the HTTP server ended");
    }
}
