//! `POST /api/v1/call/{function}`: calls a function wherever it runs, by name.

use axum::extract::{Request, State as Extract};
use axum::response::Response;
use flash_model::wire::{CHILD_CALL_PATH, Problem};
use flash_model::{Code, Manifest, Resource};

use super::State;
use super::extract::At;
use super::pass_on::pass_on;
use super::problem::Refusal;

/// `function` is a function's or class's name, or `Class.method`.
pub(super) async fn call(
    Extract(state): Extract<State>,
    At(function): At<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let served = state.project()?;
    let name = function.split_once('.').map_or(function.as_str(), |(class, _)| class);
    let resource = served.desired().function_registry.get(name);
    let (resource, Resource { spec, .. }) = resource
        .and_then(|resource| served.find(resource.as_str()))
        .ok_or_else(|| unknown(name, served.desired()))?;
    let segment = request.uri().path().rsplit('/').next().unwrap_or(name).to_owned();
    pass_on(&state, resource, spec.kind, &format!("{CHILD_CALL_PATH}/{segment}"), request).await
}

fn unknown(name: &str, manifest: &Manifest) -> Refusal {
    let known: Vec<&str> = manifest.function_registry.keys().map(|function| function.as_str()).collect();
    let hint = if known.is_empty() {
        "the project has no functions".to_owned()
    } else {
        format!("there is: {}", known.join(", "))
    };
    Problem::new(Code::UnknownFunction, 404, format!("there is no function {name:?}")).hint(hint).into()
}
