//! A request for every function that JSON can call, with arguments made up from its signature.

use std::collections::BTreeMap;

use flash_model::{
    EndpointKind, Function, FunctionName, HttpMethod, Manifest, Parameter, ParameterKind, Resource,
    ResourceName, openapi,
};
use serde_json::{Map, Value, json};

/// The resource's own classes.
type Schemas = BTreeMap<String, Value>;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ExampleCall {
    pub(crate) resource: ResourceName,
    /// None for the project's own application.
    pub(crate) function: Option<FunctionName>,
    pub(crate) method: HttpMethod,
    /// At the mothership's front door, with query.
    pub(crate) path: String,
    pub(crate) body: Option<Body>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    Json(Value),
    Bytes(&'static str),
}

/// In the order of resources and functions.
pub(crate) fn all(manifest: &Manifest) -> Vec<ExampleCall> {
    let mut calls = Vec::new();
    for (name, resource) in &manifest.resources {
        if resource.spec.kind == EndpointKind::Asgi {
            calls.push(ExampleCall {
                resource: name.clone(),
                function: None,
                method: HttpMethod::Get,
                path: "/".to_owned(),
                body: None,
            });
        }
        let schemas = openapi::schemas(resource);
        let functions = resource.functions.iter();
        calls.extend(functions.filter_map(|function| call(name, resource, &schemas, function)));
    }
    calls
}

/// `None` for what JSON cannot call: a class whose constructor needs arguments.
fn call(
    name: &ResourceName,
    resource: &Resource,
    schemas: &Schemas,
    function: &Function,
) -> Option<ExampleCall> {
    let (method, (path, body)) = match (&function.http_method, &function.http_path) {
        (Some(method), Some(path)) => {
            let base = format!("/lb/{name}");
            (*method, route(&base, *method, path, called(function)?, schemas))
        }
        _ => {
            let body = Body::Json(json!({ "input": job(resource, schemas, function)? }));
            (HttpMethod::Post, (format!("/v2/{name}/runsync"), Some(body)))
        }
    };
    Some(ExampleCall { resource: name.clone(), function: Some(function.name.clone()), method, path, body })
}

/// Parameters of what a route's request runs: the function, or the class's one method.
fn called(function: &Function) -> Option<&[Parameter]> {
    if !function.is_class {
        return Some(&function.parameters);
    }
    match function.methods.as_slice() {
        [method] if required(&function.parameters).next().is_none() => Some(&method.parameters),
        _ => None,
    }
}

fn route(
    base: &str,
    method: HttpMethod,
    path: &str,
    parameters: &[Parameter],
    schemas: &Schemas,
) -> (String, Option<Body>) {
    let mut path = path.to_owned();
    let mut rest = Vec::new();
    for parameter in named(parameters) {
        let placeholders = [format!("{{{}}}", parameter.name), format!("{{{}:path}}", parameter.name)];
        match placeholders.iter().find(|placeholder| path.contains(placeholder.as_str())) {
            Some(placeholder) => {
                path = path.replace(placeholder, text(&example(parameter, schemas)).as_str());
            }
            None if parameter.default.is_none() => rest.push(parameter),
            None => {}
        }
    }
    let path = format!("{base}{path}");
    if matches!(method, HttpMethod::Get | HttpMethod::Delete) {
        let query: Vec<String> = rest
            .iter()
            .flat_map(|parameter| match example(parameter, schemas) {
                // A list is its name repeated.
                Value::Array(items) => items.iter().map(|item| (&parameter.name, text(item))).collect(),
                value => vec![(&parameter.name, text(&value))],
            })
            .map(|(name, value)| format!("{name}={}", encoded(&value)))
            .collect();
        let path = if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) };
        return (path, None);
    }
    if let [alone] = rest.as_slice()
        && alone.schema.as_ref().is_some_and(|schema| openapi::is_bytes(&schema.to_value()))
    {
        return (path, Some(Body::Bytes("hello")));
    }
    let body = match rest.as_slice() {
        [whole] if is_whole_body(whole, schemas) => example(whole, schemas),
        fields => {
            Value::Object(fields.iter().map(|field| (field.name.clone(), example(field, schemas))).collect())
        }
    };
    (path, Some(Body::Json(body)))
}

fn job(resource: &Resource, schemas: &Schemas, function: &Function) -> Option<Value> {
    let mut input = Map::new();
    let parameters = if function.is_class {
        if required(&function.parameters).next().is_some() {
            return None;
        }
        let method = function.methods.first()?;
        if function.methods.len() > 1 {
            input.insert("method".to_owned(), json!(method.name));
        }
        &method.parameters
    } else {
        &function.parameters
    };
    let mut shown: Vec<&Parameter> = required(parameters).collect();
    if shown.is_empty() {
        // Where nothing is needed, one argument still shows how to give them.
        shown.extend(named(parameters).next());
    }
    let arguments = shown.into_iter().map(|parameter| (parameter.name.clone(), example(parameter, schemas)));
    if resource.functions.len() > 1 {
        input.insert("function_name".to_owned(), json!(function.name));
        input.insert("kwargs".to_owned(), Value::Object(arguments.collect()));
    } else {
        input.extend(arguments);
    }
    if input.is_empty() {
        input.insert("__empty".to_owned(), json!(true));
    }
    Some(Value::Object(input))
}

fn required(parameters: &[Parameter]) -> impl Iterator<Item = &Parameter> {
    named(parameters).filter(|parameter| parameter.default.is_none())
}

fn named(parameters: &[Parameter]) -> impl Iterator<Item = &Parameter> {
    parameters.iter().filter(|parameter| {
        !matches!(parameter.kind, ParameterKind::VarPositional | ParameterKind::VarKeyword)
    })
}

/// A value that the parameter takes; without an annotation a text.
fn example(parameter: &Parameter, schemas: &Schemas) -> Value {
    parameter
        .schema
        .as_ref()
        .map_or_else(|| json!("hello"), |schema| openapi::example(&schema.to_value(), schemas))
}

fn is_whole_body(parameter: &Parameter, schemas: &Schemas) -> bool {
    parameter.schema.as_ref().is_some_and(|schema| openapi::is_object(&schema.to_value(), schemas))
}

/// For a query: what is not plain is written as `%XX`.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b':');
    let escaped = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(escaped).collect()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
