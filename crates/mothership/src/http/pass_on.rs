//! Passes a request on to an endpoint.

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::ORIGIN;
use axum::http::uri::{Authority, PathAndQuery};
use axum::response::Response;
use flash_client::{ForwardError, ShownHost};
use flash_model::Code;
use flash_model::wire::Problem;

use super::State;
use super::problem::Refusal;

/// `url` is the endpoint's; `path` the one to ask for there. The request's query is kept.
pub(super) async fn pass_on(
    state: &State,
    url: &str,
    path: &str,
    mut request: Request,
) -> Result<Response, Refusal> {
    if has_dot_segment(path) {
        let problem = Problem::new(Code::NoRoute, 400, "a path with `.` or `..` segments leads nowhere");
        return Err(problem.hint("write the path without them").into());
    }
    let path_and_query = match request.uri().query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    let authority = Authority::try_from(url.trim_start_matches("http://"));
    let (Ok(authority), Ok(path_and_query)) = (authority, path_and_query) else {
        return Err(Problem::new(Code::NoRoute, 404, format!("{url}{path} is not an address")).into());
    };
    // An endpoint on loopback refuses pages of other sites; whoever came in here from elsewhere holds the token.
    if !state.is_loopback {
        request.headers_mut().remove(ORIGIN);
    }
    match state.forwarder.forward(request, authority, path_and_query, ShownHost::Target).await {
        Ok(answer) => Ok(answer.map(Body::new)),
        Err(error) => Err(unreachable(url, &error)),
    }
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
