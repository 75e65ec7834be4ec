//! One route: where its arguments come from and what it answers.

use serde_json::{Map, Value, json};

use super::Frame;
use super::shape::{is_array, is_bytes, is_object};
use crate::{Function, HttpMethod, Parameter, ParameterKind, ResourceName, Schema};

/// A path's fixed parts and the names of its parameters.
#[derive(Debug, Clone)]
pub(super) struct Template {
    /// One more than there are names.
    fixed: Vec<String>,
    names: Vec<String>,
}

impl Template {
    /// `/files/{rest:path}` has the parameter `rest`.
    pub(super) fn of(path: &str) -> Self {
        let (mut fixed, mut names) = (Vec::new(), Vec::new());
        let mut rest = path;
        while let Some((before, parameter, after)) = rest.split_once('{').and_then(|(before, rest)| {
            let (parameter, after) = rest.split_once('}')?;
            Some((before, parameter, after))
        }) {
            fixed.push(before.to_owned());
            names.push(parameter.split(':').next().unwrap_or_default().to_owned());
            rest = after;
        }
        fixed.push(rest.to_owned());
        Self { fixed, names }
    }

    pub(super) fn shape(&self) -> String {
        self.fixed.join("{}")
    }

    pub(super) fn path(&self) -> String {
        let mut path = String::new();
        for (index, fixed) in self.fixed.iter().enumerate() {
            path.push_str(fixed);
            if let Some(name) = self.names.get(index) {
                path.push_str(&format!("{{{name}}}"));
            }
        }
        path
    }
}

/// `None` for a route that nothing can be called through. `shared` names the path's parameters in the document, `own` in the
/// function.
pub(super) fn operation(
    frame: &Frame,
    resource: &ResourceName,
    function: &Function,
    method: HttpMethod,
    own: &Template,
    shared: &Template,
) -> Option<Value> {
    let called = Called::of(function)?;
    let named: Vec<&Parameter> = called.parameters.iter().filter(|each| !is_variadic(each)).collect();
    let any = called.parameters.iter().find(|each| each.kind == ParameterKind::VarKeyword);
    let rest: Vec<&Parameter> =
        named.iter().copied().filter(|parameter| !own.names.contains(&parameter.name)).collect();
    let mut parameters: Vec<Value> = own
        .names
        .iter()
        .zip(&shared.names)
        .map(|(own, shared)| {
            let found = named.iter().find(|parameter| parameter.name == *own);
            in_path(shared, found.and_then(|parameter| schema_of(parameter)))
        })
        .collect();
    let mut body = None;
    if matches!(method, HttpMethod::Get | HttpMethod::Delete) {
        parameters.extend(rest.iter().map(|parameter| in_query(frame, parameter)));
        parameters.extend(any.map(|parameter| {
            let schema = json!({ "type": "object", "additionalProperties": { "type": "string" } });
            json!({ "name": parameter.name, "in": "query", "schema": schema })
        }));
    } else if called.is_open {
        body = Some(json!({ "content": json_content(json!({ "type": "object" })) }));
    } else if !rest.is_empty() || any.is_some() {
        body = Some(request_body(frame, function, &rest, any.is_some()));
    }
    let mut operation = Map::new();
    operation.insert("operationId".to_owned(), json!(function.name));
    operation.insert("tags".to_owned(), json!([resource]));
    if let Some(text) = &function.doc {
        let summary = first_sentence(text);
        operation.insert("summary".to_owned(), json!(summary));
        if summary != text {
            operation.insert("description".to_owned(), json!(text));
        }
    }
    let takes_arguments = !parameters.is_empty() || body.is_some();
    if !parameters.is_empty() {
        operation.insert("parameters".to_owned(), Value::Array(parameters));
    }
    if let Some(body) = body {
        operation.insert("requestBody".to_owned(), body);
    }
    operation.insert(
        "responses".to_owned(),
        frame.responses(called.result.map(Schema::to_value), takes_arguments),
    );
    Some(Value::Object(operation))
}

/// What a request to a function's route runs.
struct Called<'a> {
    parameters: &'a [Parameter],
    result: Option<&'a Schema>,
    /// Takes what the manifest does not know.
    is_open: bool,
}

impl<'a> Called<'a> {
    fn of(function: &'a Function) -> Option<Self> {
        if !function.is_class {
            let result = function.returns_schema.as_ref();
            return Some(Self { parameters: &function.parameters, result, is_open: false });
        }
        match function.methods.as_slice() {
            [method] => Some(Self {
                parameters: &method.parameters,
                result: method.returns_schema.as_ref(),
                is_open: false,
            }),
            // `__call__`, or a method of a base class.
            [] => Some(Self { parameters: &[], result: None, is_open: true }),
            // The route does not say which one it means.
            _ => None,
        }
    }
}

fn is_variadic(parameter: &Parameter) -> bool {
    matches!(parameter.kind, ParameterKind::VarPositional | ParameterKind::VarKeyword)
}

fn schema_of(parameter: &Parameter) -> Option<Value> {
    parameter.schema.as_ref().map(Schema::to_value)
}

fn in_path(name: &str, schema: Option<Value>) -> Value {
    let text = json!({ "type": "string" });
    let (schema, description) = taken_apart(schema.unwrap_or_else(|| text.clone()), "default");
    // Without an annotation it is the text of the path.
    let schema = if schema == json!({}) { text } else { schema };
    described(json!({ "name": name, "in": "path", "required": true, "schema": schema }), description)
}

fn in_query(frame: &Frame, parameter: &Parameter) -> Value {
    let text = || json!({ "type": "string" });
    let (schema, description) = taken_apart(schema_of(parameter).unwrap_or_else(text), "");
    let is_json = is_object(&schema, &frame.schemas);
    let mut written =
        json!({ "name": parameter.name, "in": "query", "required": parameter.default.is_none() });
    if let Value::Object(written) = &mut written {
        if is_json {
            // An object is JSON text.
            written.insert("content".to_owned(), json_content(schema));
        } else {
            written.insert("schema".to_owned(), schema);
        }
    }
    described(written, description)
}

/// A schema without the given key, and its description, which belongs to the parameter.
fn taken_apart(mut schema: Value, without: &str) -> (Value, Option<Value>) {
    let description = schema.as_object_mut().and_then(|object| {
        object.remove(without);
        object.remove("description")
    });
    (schema, description)
}

fn described(mut parameter: Value, description: Option<Value>) -> Value {
    if let (Value::Object(parameter), Some(description)) = (&mut parameter, description) {
        parameter.insert("description".to_owned(), description);
    }
    parameter
}

/// One object, list or `bytes` is the whole body; anything else is fields of an object.
fn request_body(frame: &Frame, function: &Function, rest: &[&Parameter], takes_any: bool) -> Value {
    let open = || json!({});
    if let [only] = rest
        && !takes_any
    {
        let schema = schema_of(only).unwrap_or_else(open);
        let required = only.default.is_none();
        if is_bytes(&schema) {
            return json!({ "required": required, "content": { "application/octet-stream": { "schema": schema } } });
        }
        if is_object(&schema, &frame.schemas) || is_array(&schema) {
            return json!({ "required": required, "content": json_content(schema) });
        }
    }
    let properties: Map<String, Value> =
        rest.iter().map(|field| (field.name.clone(), schema_of(field).unwrap_or_else(open))).collect();
    let required: Vec<&str> =
        rest.iter().filter(|field| field.default.is_none()).map(|field| field.name.as_str()).collect();
    let mut schema = json!({
        "title": format!("Body_{}", function.name),
        "type": "object",
        "properties": properties,
    });
    if let Value::Object(schema) = &mut schema {
        if !required.is_empty() {
            schema.insert("required".to_owned(), json!(required));
        }
        if takes_any {
            schema.insert("additionalProperties".to_owned(), json!(true));
        }
    }
    json!({ "required": !required.is_empty(), "content": json_content(schema) })
}

fn json_content(schema: Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}

/// Up to the first full stop that ends a sentence.
fn first_sentence(text: &str) -> &str {
    text.find(". ").map_or(text, |end| text.get(..=end).unwrap_or(text))
}
