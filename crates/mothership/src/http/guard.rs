//! Who may come in: on loopback anything that is not a foreign web page, elsewhere holders of the token.

use axum::extract::{FromRequestParts, Request, State as Extract};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use flash_model::wire::{PICKLE_CONTENT_TYPE, Problem};
use flash_model::{Code, Provenance};

use super::State;
use super::problem::Refusal;

const LOAD_BALANCED: &str = "/lb/";

pub(super) async fn admit(Extract(state): Extract<State>, request: Request, next: Next) -> Response {
    match check(&state, &request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

fn check(state: &State, request: &Request) -> Result<(), Refusal> {
    let said = provenance(request);
    let said = if request.uri().path().starts_with(LOAD_BALANCED) {
        // The endpoint behind looks at the page that asks: its owner may have let some in.
        Provenance { host: said.host, ..Provenance::default() }
    } else {
        said
    };
    refuse_foreign(state.access.is_loopback, &said)?;
    let header = |name: HeaderName| request.headers().get(name).map(HeaderValue::as_bytes);
    let is_open = request.uri().path() == "/ping";
    let is_pickle = header(CONTENT_TYPE).is_some_and(|kind| kind.starts_with(PICKLE_CONTENT_TYPE.as_bytes()));
    if (is_pickle || state.access.needs_token) && !is_open && !state.token.authorizes(header(AUTHORIZATION)) {
        return Err(token_needed().into());
    }
    Ok(())
}

/// A page of another site cannot drive a server on loopback.
pub(super) fn check_provenance(is_loopback: bool, request: &Request) -> Result<(), Refusal> {
    refuse_foreign(is_loopback, &provenance(request))
}

fn provenance(request: &Request) -> Provenance<'_> {
    let header = |name: HeaderName| request.headers().get(name).map(HeaderValue::as_bytes);
    Provenance {
        host: header(HOST),
        origin: header(ORIGIN),
        fetch_site: header(HeaderName::from_static("sec-fetch-site")),
        fetch_mode: header(HeaderName::from_static("sec-fetch-mode")),
    }
}

fn refuse_foreign(is_loopback: bool, provenance: &Provenance<'_>) -> Result<(), Refusal> {
    if is_loopback && !provenance.is_loopback() {
        let detail = "this host or origin may not drive a loopback server";
        let problem = Problem::new(Code::ForbiddenOrigin, 403, detail);
        return Err(Refusal::from(problem.hint("use http://127.0.0.1 or http://localhost")));
    }
    Ok(())
}

/// For what changes the world: the token is needed on loopback too. Stands before what else is taken from the request, so
/// that strangers are told nothing of that.
pub(super) struct TokenHolder;

impl FromRequestParts<State> for TokenHolder {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Refusal> {
        if state.token.authorizes(parts.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes)) {
            return Ok(Self);
        }
        Err(token_needed().into())
    }
}

fn token_needed() -> Problem {
    Problem::new(Code::Unauthorized, 401, "this request needs the project's token")
        .hint("send `Authorization: Bearer <token>`; the token is in .flash/run/mothership.json")
}
