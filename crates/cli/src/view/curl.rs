//! A copy-pasteable `curl` line per callable function, with arguments made up from its signature.

use std::collections::BTreeMap;

use flash_model::{
    EndpointKind, Function, HttpMethod, Manifest, Parameter, ParameterKind, Resource, ResourceName, openapi,
};
use serde_json::{Map, Value, json};

use super::resources::front_url;

/// The resource's own classes.
type Schemas = BTreeMap<String, Value>;

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
        (Some(method), Some(path)) => {
            route(&base, *method, path, called(function)?, &resource.schemas).into()
        }
        _ => {
            job(resource, function).map(|input| post(&format!("{base}/runsync"), &json!({ "input": input })))
        }
    }
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

fn route(base: &str, method: HttpMethod, path: &str, parameters: &[Parameter], schemas: &Schemas) -> String {
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
    let url = format!("{base}{path}");
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
        let url = if query.is_empty() { url } else { format!("'{url}?{}'", query.join("&")) };
        return if method == HttpMethod::Get {
            format!("curl {url}")
        } else {
            format!("curl -X {method} {url}")
        };
    }
    if let [alone] = rest.as_slice()
        && alone.schema.as_ref().is_some_and(openapi::is_bytes)
    {
        let kind = "Content-Type: application/octet-stream";
        return format!("curl -X {method} {url} -H '{kind}' --data-binary 'hello'");
    }
    let body = match rest.as_slice() {
        [whole] if is_whole_body(whole, schemas) => example(whole, schemas),
        fields => {
            Value::Object(fields.iter().map(|field| (field.name.clone(), example(field, schemas))).collect())
        }
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
    let arguments =
        shown.into_iter().map(|parameter| (parameter.name.clone(), example(parameter, &resource.schemas)));
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

/// A value that the parameter takes; without an annotation a text.
fn example(parameter: &Parameter, schemas: &Schemas) -> Value {
    parameter.schema.as_ref().map_or_else(|| json!("hello"), |schema| openapi::example(schema, schemas))
}

fn is_whole_body(parameter: &Parameter, schemas: &Schemas) -> bool {
    parameter.schema.as_ref().is_some_and(|schema| openapi::is_object(schema, schemas))
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

#[cfg(test)]
mod tests {
    use flash_scan::{SourceTree, scan};

    use super::lines;

    const PROJECT: &str = r#"
import datetime
from enum import Enum
from pydantic import BaseModel, Field
from tetra_rp import CpuLiveLoadBalancer, CpuLiveServerless, remote

api = CpuLiveLoadBalancer(name="api")
jobs = CpuLiveServerless(name="jobs")

class Color(str, Enum):
    RED = "red"

class Part(BaseModel):
    size: int = Field(ge=10)

class Item(BaseModel):
    name: str
    color: Color
    parts: list[Part]
    note: str | None = None

@remote(api, method="POST", path="/a-model")
async def a_model(item: Item, limit: int = 5): ...

@remote(api, method="PUT", path="/b-fields/{rest:path}")
async def b_fields(rest: str, item: Item, day: datetime.date): ...

@remote(api, method="PUT", path="/b-upload")
async def b_upload(data: bytes): ...

@remote(api, method="GET", path="/c-query/{color}")
async def c_query(color: Color = Color.RED, *, words: list[str], item: Part): ...

@remote(api, method="POST", path="/d-class")
class Single:
    def run(self, item: Part): ...

@remote(jobs)
def job(item: Part | None, tensor: "torch.Tensor"): ...
"#;

    #[test]
    fn lines_hold_arguments_that_fit() {
        let mut tree = SourceTree::new("p");
        tree.insert("main.py", PROJECT.as_bytes().to_vec());
        let expected = [
            r#"curl U/lb/api/d-class -H 'Content-Type: application/json' -d '{"size":10}'"#,
            r#"curl U/lb/api/a-model -H 'Content-Type: application/json' -d '{"color":"red","name":"hello","parts":[{"size":10}]}'"#,
            r#"curl -X PUT U/lb/api/b-fields/hello -H 'Content-Type: application/json' -d '{"day":"2026-01-31","item":{"color":"red","name":"hello","parts":[{"size":10}]}}'"#,
            r#"curl -X PUT U/lb/api/b-upload -H 'Content-Type: application/octet-stream' --data-binary 'hello'"#,
            r#"curl 'U/lb/api/c-query/red?words=hello&item=%7B%22size%22:10%7D'"#,
            r#"curl U/v2/jobs/runsync -H 'Content-Type: application/json' -d '{"input":{"item":{"size":10},"tensor":{}}}'"#,
        ];
        assert_eq!(lines(&scan(&tree).manifest, "U"), expected);
    }
}
