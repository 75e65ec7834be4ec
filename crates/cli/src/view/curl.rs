//! A copy-pasteable `curl` line per callable function, with arguments made up from its signature.

use flash_model::{
    EndpointKind, Function, HttpMethod, Manifest, Parameter, ParameterKind, Resource, ResourceName,
};
use serde_json::{Map, Value, json};

use super::resources::front_url;

pub(crate) fn lines(manifest: &Manifest, url: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, resource) in &manifest.resources {
        if resource.spec.kind == EndpointKind::Asgi {
            lines.push(format!("curl {}", front_url(name, resource, url)));
        }
        for function in &resource.functions {
            lines.extend(line(name, resource, function, url));
        }
    }
    lines
}

/// `None` for what JSON cannot call: a class whose constructor needs arguments.
fn line(name: &ResourceName, resource: &Resource, function: &Function, url: &str) -> Option<String> {
    let base = front_url(name, resource, url);
    match (&function.http_method, &function.http_path) {
        (Some(method), Some(path)) => Some(route(&base, *method, path, &function.parameters)),
        _ => {
            job(resource, function).map(|input| post(&format!("{base}/runsync"), &json!({ "input": input })))
        }
    }
}

fn route(base: &str, method: HttpMethod, path: &str, parameters: &[Parameter]) -> String {
    let mut path = path.to_owned();
    let mut rest = Vec::new();
    for parameter in required(parameters) {
        let placeholder = format!("{{{}}}", parameter.name);
        if path.contains(&placeholder) {
            path = path.replace(&placeholder, text(&example(parameter)).as_str());
        } else {
            rest.push(parameter);
        }
    }
    let url = format!("{base}{path}");
    if matches!(method, HttpMethod::Get | HttpMethod::Delete) {
        let query: Vec<String> = rest
            .iter()
            .flat_map(|parameter| match example(parameter) {
                // A list is its name repeated.
                Value::Array(items) => items.iter().map(|item| (&parameter.name, text(item))).collect(),
                value => vec![(&parameter.name, text(&value))],
            })
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let url = if query.is_empty() { url } else { format!("'{url}?{}'", query.join("&")) };
        return if method == HttpMethod::Get {
            format!("curl {url}")
        } else {
            format!("curl -X {method} {url}")
        };
    }
    let body = match rest.as_slice() {
        [whole] if takes_whole_body(whole) => json!({}),
        fields => Value::Object(fields.iter().map(|field| (field.name.clone(), example(field))).collect()),
    };
    let line = post(&url, &body);
    if method == HttpMethod::Post { line } else { line.replacen("curl", &format!("curl -X {method}"), 1) }
}

fn job(resource: &Resource, function: &Function) -> Option<Value> {
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
    let arguments = shown.into_iter().map(|parameter| (parameter.name.clone(), example(parameter)));
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

fn post(url: &str, body: &Value) -> String {
    let body = body.to_string().replace('\'', "'\\''");
    format!("curl {url} -H 'Content-Type: application/json' -d '{body}'")
}

fn required(parameters: &[Parameter]) -> impl Iterator<Item = &Parameter> {
    named(parameters).filter(|parameter| parameter.default.is_none())
}

fn named(parameters: &[Parameter]) -> impl Iterator<Item = &Parameter> {
    parameters.iter().filter(|parameter| {
        !matches!(parameter.kind, ParameterKind::VarPositional | ParameterKind::VarKeyword)
    })
}

fn takes_whole_body(parameter: &Parameter) -> bool {
    let Some(annotation) = parameter.annotation.as_deref() else { return false };
    let inner = annotation
        .strip_prefix("Optional[")
        .or_else(|| annotation.strip_prefix("typing."))
        .unwrap_or(annotation);
    let word = inner.split(['[', ']', ' ', '|']).next().unwrap_or_default();
    matches!(word, "dict" | "Dict" | "Mapping")
}

/// A value that the annotation allows.
fn example(parameter: &Parameter) -> Value {
    let annotation = parameter.annotation.as_deref().unwrap_or_default();
    match annotation.split(['[', ' ', '|']).next().unwrap_or_default() {
        "int" => json!(1),
        "float" => json!(1.5),
        "bool" => json!(true),
        "dict" | "Dict" | "Mapping" => json!({}),
        "list" | "List" | "tuple" | "set" | "Sequence" => match annotation.split_once('[') {
            Some((_, inner)) if inner.starts_with("int") || inner.starts_with("float") => json!([1, 2]),
            Some((_, inner)) if inner.starts_with("str") => json!(["hello"]),
            _ => json!([]),
        },
        "str" | "" => json!("hello"),
        _ => json!({}),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
