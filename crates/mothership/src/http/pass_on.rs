//! Passes a request on to an endpoint.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::header::ORIGIN;
use axum::http::uri::{Authority, PathAndQuery};
use axum::response::Response;
use flash_client::{ForwardError, ShownHost, wants_websocket};
use flash_model::wire::Problem;
use flash_model::{Code, EndpointKind, ResourceName};
use hyper::upgrade::OnUpgrade;
use tokio::sync::watch;

use super::State;
use super::front_door::ready_url;
use super::problem::Refusal;
use crate::service::Ending;

/// While an endpoint is being replaced or restarted, somebody who asks just then is told the next address.
const CONNECT_TRIES: u32 = 5;
const CONNECT_PAUSE: Duration = Duration::from_millis(200);

/// To `path` of the endpoint that serves `resource`, once it is ready. The request's query is kept. A request that reached
/// nobody is tried again, if it has no body that may be gone.
pub(super) async fn pass_on(
    state: &State,
    resource: &ResourceName,
    kind: EndpointKind,
    path: &str,
    mut request: Request,
) -> Result<Response, Refusal> {
    if has_dot_segment(path) {
        let problem = Problem::new(Code::NoRoute, 400, "a path with `.` or `..` segments leads nowhere");
        return Err(problem.hint("write the path without them").into());
    }
    let is_handshake = wants_websocket(&request, kind).map_err(|problem| *problem)?;
    let caller = is_handshake.then(|| hyper::upgrade::on(&mut request));
    let path_and_query = match request.uri().query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    let Ok(path_and_query) = path_and_query else {
        return Err(Problem::new(Code::NoRoute, 404, format!("{path} is not a path")).into());
    };
    // An endpoint on loopback refuses pages of other sites; whoever came in here from elsewhere holds the token.
    if !state.access.is_loopback {
        request.headers_mut().remove(ORIGIN);
        request.headers_mut().remove("sec-fetch-site");
    }
    let mut tries = CONNECT_TRIES;
    loop {
        let again = if request.body().is_end_stream() { copy(&request) } else { None };
        let url = ready_url(state, resource).await?;
        let Ok(authority) = Authority::try_from(url.trim_start_matches("http://")) else {
            return Err(
                Problem::new(Code::EndpointUnreachable, 502, format!("{url} is not an address")).into()
            );
        };
        let path = path_and_query.clone();
        let forwarded = match &caller {
            None => state.forwarder.forward(request, authority, path, ShownHost::Target).await,
            Some(caller) => {
                let shaken =
                    state.forwarder.forward_handshake(request, authority, path, ShownHost::Target).await;
                shaken.map(|(answer, endpoint)| {
                    if let Some(endpoint) = endpoint {
                        tokio::spawn(connect(caller.clone(), endpoint, state.stopped.clone()));
                    }
                    answer
                })
            }
        };
        let error = match forwarded {
            Ok(answer) => return Ok(answer.map(Body::new)),
            Err(error) => error,
        };
        tries -= 1;
        match (error, again) {
            (ForwardError::Connect(_), Some(again)) if tries > 0 => request = again,
            (error, _) => return Err(unreachable(&url, &error)),
        }
        tokio::time::sleep(CONNECT_PAUSE).await;
    }
}

/// A WebSocket, which takes a slot of the endpoint for as long as it lives. An endpoint that is stopped closes it.
async fn connect(caller: OnUpgrade, endpoint: OnUpgrade, mut stopped: watch::Receiver<Ending>) {
    tokio::select! {
        joined = flash_client::join(caller, endpoint, ()) => {
            if let Err(error) = joined {
                tracing::debug!(%error, "a WebSocket broke off");
            }
        }
        _ = stopped.wait_for(|ending| *ending == Ending::Leave) => {}
    }
}

/// A request without a body, once more.
fn copy(request: &Request) -> Option<Request> {
    let mut copy = Request::builder().method(request.method()).uri(request.uri()).body(Body::empty()).ok()?;
    copy.headers_mut().clone_from(request.headers());
    Some(copy)
}

/// Some servers behind would resolve them, to a place that this door does not lead to.
fn has_dot_segment(path: &str) -> bool {
    let is_dot = |segment: &str| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    };
    path.split(['/', '\\']).any(is_dot)
}

fn unreachable(url: &str, error: &ForwardError) -> Refusal {
    tracing::warn!(url, %error, "endpoint unreachable");
    let (status, detail) = match error {
        ForwardError::Connect(_) => (503, "the endpoint does not accept connections now"),
        ForwardError::Interrupted(_) => (502, "the connection to the endpoint broke before it had answered"),
    };
    Problem::new(Code::EndpointUnreachable, status, detail)
        .hint("`flash status` shows what it is doing; the mothership restarts it by itself")
        .into()
}

#[cfg(test)]
mod tests {
    use super::has_dot_segment;

    #[test]
    fn dot_segments_are_seen_however_they_are_written() {
        for bad in ["/..", "/a/../b", "/%2e%2E/x", "/a/.%2e", "/.", "/a\\..\\b"] {
            assert!(has_dot_segment(bad), "{bad}");
        }
        for good in ["/", "/a.b", "/...", "/a..b/c", "/file.txt"] {
            assert!(!has_dot_segment(good), "{good}");
        }
    }
}
