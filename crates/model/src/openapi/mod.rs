//! The OpenAPI 3.1 document of a load-balanced endpoint, from what the manifest knows of its functions.
//!
//! It describes the requests that a worker accepts: `python/tetra_rp/_worker/_binding.py` has the rules.

mod example;
mod operation;
mod shape;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

pub use example::example;
pub use shape::{is_bytes, is_object};

use crate::wire::PROBLEM_CONTENT_TYPE;
use crate::{Resource, ResourceName};

const OPENAPI_VERSION: &str = "3.1.0";
const REFERENCES: &str = "#/components/schemas/";
/// Digits of the code's hash that stand for the version.
const VERSION_DIGITS: usize = 12;

/// The whole document. `info.title` is the project's name with the resource's, `info.version` the start of the
/// resource's `config_hash`; there are no `servers`, since the same document holds wherever the endpoint runs. A resource
/// without routes has no paths.
pub fn document(project_name: &str, name: &ResourceName, resource: &Resource) -> Value {
    let frame = Frame::new(resource);
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    // Paths that differ in the names of parameters only are one path here.
    let mut known: BTreeMap<String, operation::Template> = BTreeMap::new();
    for function in &resource.functions {
        let (Some(method), Some(path)) = (function.http_method, &function.http_path) else { continue };
        let own = operation::Template::of(path);
        let shared = known.entry(own.shape()).or_insert_with(|| own.clone());
        let Some(operation) = operation::operation(&frame, name, function, method, &own, shared) else {
            continue;
        };
        paths.entry(shared.path()).or_default().insert(method.as_str().to_lowercase(), operation);
    }
    let version: String = resource.config_hash.chars().take(VERSION_DIGITS).collect();
    json!({
        "openapi": OPENAPI_VERSION,
        "info": {
            "title": format!("{project_name} {name}"),
            "version": if version.is_empty() { "0" } else { &version },
        },
        "tags": [{ "name": name }],
        "components": { "schemas": frame.components(&paths) },
        "paths": paths,
    })
}

/// Of the classes that a resource's functions refer to, by name.
pub fn schemas(resource: &Resource) -> BTreeMap<String, Value> {
    resource.schemas.iter().map(|(name, schema)| (name.clone(), schema.to_value())).collect()
}

/// What operations share: the classes' schemas, and the names of our own among them.
struct Frame {
    schemas: BTreeMap<String, Value>,
    invalid: String,
    detail: String,
    problem: String,
}

impl Frame {
    fn new(resource: &Resource) -> Self {
        let free = |name: &str| {
            let mut name = name.to_owned();
            while resource.schemas.contains_key(&name) {
                name.insert_str(0, "Flash");
            }
            name
        };
        Self {
            schemas: schemas(resource),
            invalid: free("HTTPValidationError"),
            detail: free("ValidationError"),
            problem: free("Problem"),
        }
    }

    fn components(&self, paths: &BTreeMap<String, Map<String, Value>>) -> Map<String, Value> {
        let mut components: Map<String, Value> = self.schemas.clone().into_iter().collect();
        if paths.is_empty() {
            return components;
        }
        components.insert(
            self.invalid.clone(),
            json!({
                "title": "HTTPValidationError",
                "type": "object",
                "properties": { "detail": { "type": "array", "items": reference(&self.detail) } },
            }),
        );
        components.insert(
            self.detail.clone(),
            json!({
                "title": "ValidationError",
                "type": "object",
                "properties": {
                    "type": { "type": "string" },
                    "loc": {
                        "type": "array",
                        "items": { "anyOf": [{ "type": "string" }, { "type": "integer" }] },
                    },
                    "msg": { "type": "string" },
                    "input": {},
                },
                "required": ["type", "loc", "msg"],
            }),
        );
        components.insert(self.problem.clone(), problem());
        components
    }

    /// Responses: the result, arguments that do not fit, everything else.
    fn responses(&self, result: Option<Value>, takes_arguments: bool) -> Value {
        let result = result.unwrap_or_else(|| json!({}));
        let mut responses = json!({
            "200": { "description": "Result", "content": { "application/json": { "schema": result } } },
            "default": {
                "description": "Problem document (RFC 9457)",
                "content": { PROBLEM_CONTENT_TYPE: { "schema": reference(&self.problem) } },
            },
        });
        if takes_arguments && let Value::Object(responses) = &mut responses {
            let schema = reference(&self.invalid);
            responses.insert(
                "422".to_owned(),
                json!({
                    "description": "Arguments do not fit",
                    "content": { "application/json": { "schema": schema } },
                }),
            );
        }
        responses
    }
}

/// [`crate::wire::Problem`].
fn problem() -> Value {
    json!({
        "title": "Problem",
        "type": "object",
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "code": { "type": "string" },
            "detail": { "type": "string" },
            "hint": { "type": "string" },
            "exception": {
                "type": "object",
                "properties": {
                    "type": { "type": "string" },
                    "message": { "type": "string" },
                    "traceback": { "type": "string" },
                },
                "required": ["type", "message", "traceback"],
            },
        },
        "required": ["type", "title", "status", "code", "detail"],
    })
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("{REFERENCES}{name}") })
}

#[cfg(test)]
mod tests;
