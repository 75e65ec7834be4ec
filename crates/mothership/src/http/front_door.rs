//! `/lb/{endpoint}/…`, `/v2/{endpoint}/…` and the project's own application at `/`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State as Extract};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use flash_model::wire::Problem;
use flash_model::{Code, EndpointKind, Manifest, ResourceName, ResourceStatus};

use super::State;
use super::extract::At;
use super::pass_on::pass_on;
use super::problem::Refusal;
use crate::served::Served;

/// A request for an endpoint that is being made waits this long for it.
const READY_WAIT: Duration = Duration::from_secs(30);
/// Lets an endpoint say where its paths are.
const FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");

pub(super) async fn root(
    Extract(state): Extract<State>,
    At(endpoint): At<String>,
    request: Request,
) -> Result<Response, Refusal> {
    through(&state, &endpoint, EndpointKind::LoadBalanced, "/lb", request).await
}

pub(super) async fn load_balanced(
    Extract(state): Extract<State>,
    At((endpoint, _)): At<(String, String)>,
    request: Request,
) -> Result<Response, Refusal> {
    through(&state, &endpoint, EndpointKind::LoadBalanced, "/lb", request).await
}

pub(super) async fn queue(
    Extract(state): Extract<State>,
    At((endpoint, _)): At<(String, String)>,
    request: Request,
) -> Result<Response, Refusal> {
    through(&state, &endpoint, EndpointKind::Queue, "/v2", request).await
}

/// Everything that nobody else answers belongs to the user's application, if the project has one.
pub(super) async fn application(
    Extract(state): Extract<State>,
    request: Request,
) -> Result<Response, Refusal> {
    let served = state.project()?;
    let Some((name, _)) = served.desired().application() else {
        let detail = format!("nothing is served at {}", request.uri().path());
        return Err(Problem::new(Code::NoRoute, 404, detail).hint(doors(served.desired())).into());
    };
    let path = request.uri().path().to_owned();
    pass_on(&state, name, EndpointKind::Asgi, &path, request).await
}

async fn through(
    state: &State,
    endpoint: &str,
    kind: EndpointKind,
    door: &str,
    mut request: Request,
) -> Result<Response, Refusal> {
    let served = state.project()?;
    let (name, resource) = served.find(endpoint).ok_or_else(|| {
        let detail = format!("there is no endpoint {endpoint:?}");
        Refusal::from(Problem::new(Code::UnknownEndpoint, 404, detail).hint(doors(served.desired())))
    })?;
    let actual = resource.spec.kind;
    if (actual == EndpointKind::Queue) != (kind == EndpointKind::Queue) {
        let detail = format!("{name} is a {} endpoint", actual.label());
        return Err(Problem::new(Code::NoRoute, 404, detail).hint(doors(served.desired())).into());
    }
    // The raw path, so that what is percent-encoded stays so.
    let asked = request.uri().path();
    let path = asked
        .strip_prefix(door)
        .map(|rest| rest.trim_start_matches('/'))
        .and_then(|rest| rest.find('/').map(|at| &rest[at..]));
    let path = path.unwrap_or("/").to_owned();
    let prefix = asked.strip_suffix(path.as_str()).unwrap_or(asked).to_owned();
    show_prefix(request.headers_mut(), &prefix);
    pass_on(state, name, actual, &path, request).await
}

/// What the caller wrote before the endpoint's own path, behind what a proxy before us says of the same.
fn show_prefix(headers: &mut HeaderMap, prefix: &str) {
    let before = headers.remove(FORWARDED_PREFIX);
    let before = before.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
    if let Ok(value) = HeaderValue::try_from(format!("{}{prefix}", before.trim_end_matches('/'))) {
        headers.insert(FORWARDED_PREFIX, value);
    }
}

/// Waits while the endpoint is on its way; says why when it is not.
pub(super) async fn ready_url(state: &State, name: &ResourceName) -> Result<String, Refusal> {
    let mut changes = state.discovery.subscribe();
    let settled = changes.wait_for(|served| !is_under_way(served, name));
    let served: Arc<Served> = match tokio::time::timeout(READY_WAIT, settled).await {
        Ok(Ok(served)) => Arc::clone(&served),
        _ => state.discovery.current(),
    };
    let provisioned = served.provisioned(name.as_str());
    match provisioned.and_then(|provisioned| provisioned.endpoint_url.clone()) {
        Some(url) => Ok(url),
        None => {
            let status =
                provisioned.and_then(|provisioned| provisioned.status).unwrap_or(ResourceStatus::Pending);
            let reason =
                provisioned.and_then(|provisioned| provisioned.status_reason.as_deref()).unwrap_or("");
            let separator = if reason.is_empty() { "" } else { ": " };
            let detail = format!("{name} is {status}{separator}{reason}");
            Err(Problem::new(Code::NotReady, 503, detail)
                .hint("`flash status` shows what it is doing")
                .into())
        }
    }
}

fn is_under_way(served: &Served, name: &ResourceName) -> bool {
    let status = served.provisioned(name.as_str()).and_then(|provisioned| provisioned.status);
    matches!(status, Some(ResourceStatus::Pending | ResourceStatus::Provisioning))
}

fn doors(manifest: &Manifest) -> String {
    let doors: Vec<String> = manifest
        .resources
        .iter()
        .map(|(name, resource)| match resource.spec.kind {
            EndpointKind::Queue => format!("/v2/{name}/runsync"),
            EndpointKind::LoadBalanced => format!("/lb/{name}/…"),
            EndpointKind::Asgi => "/".to_owned(),
        })
        .collect();
    if doors.is_empty() {
        "the project has no functions".to_owned()
    } else {
        format!("there is: {}", doors.join(", "))
    }
}
