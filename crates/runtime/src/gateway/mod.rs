//! The HTTP front of the endpoint: who may ask (`guard.rs`), what is asked for (this file), and the answers.
//!
//! `server.rs` accepts connections, `connection.rs` speaks HTTP on one; `routes.rs` serves load-balanced functions, `docs.rs` says
//! what they are; `jobs.rs` and `dead.rs` are the queue's API, `proxy.rs` a whole web application, `tunnels.rs` its WebSockets;
//! `execute.rs` runs code that is sent; `control.rs` and `calls.rs` are for the other processes of Flash. `cors.rs`, `compression.rs` and `spans.rs` see to all answers.

mod calls;
mod coding;
mod compression;
mod connection;
mod content;
mod control;
mod cors;
mod dead;
mod docs;
mod execute;
mod guard;
mod head_clock;
mod jobs;
mod page;
mod proxy;
mod respond;
mod routes;
mod server;
mod spans;
mod tunnels;
mod version;

use std::sync::Arc;
use std::time::Instant;

use flash_model::Secret;
use flash_model::wire::{CHILD_CALL_PATH, CHILD_IDENTITY_PATH, CHILD_METRICS_PATH, CHILD_MOTHERSHIP_PATH};
use flash_model::{Code, EndpointKind, HttpMethod, RESERVED_PREFIX};
use http::{HeaderMap, Method, Request};
use hyper::body::{Body, Incoming};

use coding::Coding;
pub(crate) use compression::Compressor;
pub use cors::{CorsOrigins, InvalidOrigin};
pub(crate) use docs::Docs;
pub(crate) use guard::Guard;
pub(crate) use jobs::Jobs;
pub(crate) use proxy::Proxy;
pub(crate) use respond::Response;
pub(crate) use routes::{Error as RoutesError, Routes};
pub(crate) use server::Server;

use crate::discovery::Discovery;
use crate::functions::Functions;
use crate::metrics::Metrics;
use crate::refusal::Refusal;
use crate::trace::Tracer;
use crate::worker::Pool;
use flash_model::wire::{IdentityResponse, WorkerLimits};

/// What the endpoint offers its users.
#[derive(Debug)]
pub(crate) enum Front {
    Routes(Routes, Docs),
    Jobs(Jobs),
    Application(Proxy),
}

#[derive(Debug)]
pub(crate) struct Gateway {
    pub(crate) front: Front,
    pub(crate) functions: Arc<Functions>,
    pub(crate) pool: Pool,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) tracer: Tracer,
    pub(crate) guard: Guard,
    /// Pages of other origins that may use the functions' routes.
    pub(crate) cors: Option<CorsOrigins>,
    pub(crate) compressor: Compressor,
    pub(crate) token: Secret,
    /// A live development endpoint: holders of the token may run code of their own in its workers.
    pub(crate) is_live: bool,
    pub(crate) discovery: Discovery,
    pub(crate) identity: IdentityResponse,
    pub(crate) worker_limits: WorkerLimits,
}

impl Gateway {
    pub(crate) fn kind(&self) -> EndpointKind {
        match self.front {
            Front::Routes(..) => EndpointKind::LoadBalanced,
            Front::Jobs(_) => EndpointKind::Queue,
            Front::Application(_) => EndpointKind::Asgi,
        }
    }

    /// When the last WebSocket is closed.
    pub(crate) async fn tunnels_ended(&self) {
        if let Front::Application(proxy) = &self.front {
            proxy.tunnels.ended().await;
        }
    }

    pub(crate) async fn serve(&self, mut request: Request<Incoming>) -> Response {
        let began = Instant::now();
        let is_counted = !self.is_look(request.uri().path());
        let span = if is_counted { self.begin_span(&mut request) } else { None };
        let received = request.body().size_hint().lower();
        let coding = Coding::asked_for(request.headers());
        let response = self.answer(request).await;
        let response = self.compressor.compress(response, coding).await;
        if is_counted {
            let sent = response.body().size_hint().exact().unwrap_or(0);
            self.metrics.answered(response.status().as_u16(), began.elapsed(), received, sent);
        }
        match span {
            Some(span) => spans::end_span(span, response),
            None => response,
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response {
        let is_control = || request.uri().path().starts_with(RESERVED_PREFIX);
        let cors = match &self.front {
            Front::Routes(..) => self.cors.as_ref().filter(|_| !is_control()),
            Front::Jobs(_) | Front::Application(_) => None,
        };
        let Some(cors) = cors else {
            return self.dispatch(request, false).await.unwrap_or_else(respond::refusal);
        };
        let grant = cors.grant(request.headers());
        // Browsers ask without a token.
        let preflight = grant.as_ref().and_then(|grant| grant.preflight(request.method(), request.headers()));
        let mut response = match preflight {
            Some(response) => response,
            None => self.dispatch(request, grant.is_some()).await.unwrap_or_else(respond::refusal),
        };
        cors.mark(response.headers_mut(), grant);
        response
    }

    /// What only looks how the endpoint is; it would drown the calls.
    fn is_look(&self, path: &str) -> bool {
        path == "/ping" || path == CHILD_METRICS_PATH || self.is_metrics(path)
    }

    /// A route of the project at that path is the project's, and so is all of a web application.
    fn is_metrics(&self, path: &str) -> bool {
        path == "/metrics"
            && match &self.front {
                Front::Routes(routes, _) => !routes.has(path),
                Front::Jobs(_) => true,
                Front::Application(_) => false,
            }
    }

    /// `may_be_foreign`: a page of another origin that asks has been let in.
    async fn dispatch(
        &self,
        mut request: Request<Incoming>,
        may_be_foreign: bool,
    ) -> Result<Response, Refusal> {
        self.guard.check(request.headers(), may_be_foreign)?;
        let path = request.uri().path();
        match &self.front {
            Front::Application(proxy) if path == "/ping" => {
                return Ok(self.application_ping(proxy, request).await);
            }
            _ if path == "/ping" => return self.ping(),
            _ => {}
        }
        if path.starts_with(RESERVED_PREFIX) {
            return self.control(request).await;
        }
        if !self.guard.is_loopback() {
            self.authorize(request.headers())?;
        }
        if self.is_execute(request.uri().path()) {
            // Rare, and its state would be part of every request's.
            return Box::pin(self.execute(request)).await;
        }
        if self.kind() != EndpointKind::Queue && self.holds_token(request.headers()) {
            // User code, which sees the headers from here on, needs no token.
            request.headers_mut().remove(http::header::AUTHORIZATION);
        }
        let is_handshake =
            flash_client::wants_websocket(&request, self.kind()).map_err(|problem| *problem)?;
        match &self.front {
            Front::Application(proxy) if is_handshake => proxy.open(&self.pool, request).await,
            Front::Application(proxy) => proxy.forward(&self.pool, request).await,
            _ if request.uri().path() == "/manifest" => Err(control::not_mothership()),
            _ if self.is_metrics(request.uri().path()) => {
                require(&request, &Method::GET)?;
                self.measured().await
            }
            Front::Routes(routes, docs)
                if Docs::has(request.uri().path()) && !routes.has(request.uri().path()) =>
            {
                if request.method() != Method::HEAD {
                    require(&request, &Method::GET)?;
                }
                Ok(docs.answer(&request))
            }
            Front::Routes(routes, _) => routes.call(&self.pool, request).await,
            Front::Jobs(jobs) => self.job_request(jobs, request).await,
        }
    }

    async fn control(&self, request: Request<Incoming>) -> Result<Response, Refusal> {
        let path = request.uri().path();
        match path {
            CHILD_IDENTITY_PATH => {
                require(&request, &Method::GET)?;
                self.authorize(request.headers())?;
                Ok(respond::json(&self.identity))
            }
            CHILD_METRICS_PATH => {
                require(&request, &Method::GET)?;
                if !self.guard.is_loopback() {
                    self.authorize(request.headers())?;
                }
                self.measured().await
            }
            CHILD_MOTHERSHIP_PATH => {
                require(&request, &Method::PUT)?;
                self.authorize(request.headers())?;
                self.announce_mothership(request).await
            }
            _ => match path.strip_prefix(CHILD_CALL_PATH).and_then(|rest| rest.strip_prefix('/')) {
                Some(function) if !function.is_empty() => {
                    require(&request, &Method::POST)?;
                    let function =
                        percent_encoding::percent_decode_str(function).decode_utf8_lossy().into_owned();
                    self.call_function(&function, request).await
                }
                _ => Err(no_route(path, "nothing of Flash is there")),
            },
        }
    }

    fn authorize(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if self.holds_token(headers) {
            return Ok(());
        }
        Err(Refusal::new(Code::Unauthorized, 401, "this needs the token of the app and environment")
            .hint("send it as Authorization: Bearer <token>"))
    }

    fn holds_token(&self, headers: &HeaderMap) -> bool {
        self.token.authorizes(headers.get(http::header::AUTHORIZATION).map(http::HeaderValue::as_bytes))
    }
}

fn require(request: &Request<Incoming>, method: &Method) -> Result<(), Refusal> {
    if request.method() == method {
        return Ok(());
    }
    Err(method_not_allowed(request.method(), request.uri().path(), method.as_str()))
}

fn method_not_allowed(method: &Method, path: &str, allowed: &str) -> Refusal {
    let detail = format!("{method} is not allowed on {path}; allowed: {allowed}");
    Refusal::new(Code::MethodNotAllowed, 405, detail).allow(allowed)
}

fn no_route(path: &str, known: &str) -> Refusal {
    Refusal::new(Code::NoRoute, 404, format!("there is no route {path}")).hint(known)
}

/// Routes by a method that the manifest cannot name are nobody's.
fn method_of(method: &Method) -> Option<HttpMethod> {
    method.as_str().parse().ok()
}
