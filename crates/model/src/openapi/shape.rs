//! What a schema allows, as far as binding arguments depends on it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::REFERENCES;

/// References followed one after the other.
const HOPS_MAX: usize = 16;

/// The schema that a `$ref` names, or the schema itself.
pub(super) fn resolved<'a>(schema: &'a Value, schemas: &'a BTreeMap<String, Value>) -> &'a Value {
    let mut schema = schema;
    for _ in 0..HOPS_MAX {
        let name = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix(REFERENCES));
        match name.and_then(|name| schemas.get(name)) {
            Some(found) => schema = found,
            None => break,
        }
    }
    schema
}

/// A whole JSON object: a dictionary, a model, a dataclass, or one of these or null.
pub fn is_object(schema: &Value, schemas: &BTreeMap<String, Value>) -> bool {
    every_alternative(schema, |each| has_type(resolved(each, schemas), "object"))
}

/// A list written as such. A named tuple is not one: it is taken as a value.
pub(super) fn is_array(schema: &Value) -> bool {
    every_alternative(schema, |each| has_type(each, "array"))
}

/// Exactly `bytes`: alone, it is given the request's body as it is.
pub fn is_bytes(schema: &Value) -> bool {
    has_type(schema, "string") && schema.get("format") == Some(&json!("binary"))
}

fn has_type(schema: &Value, wanted: &str) -> bool {
    schema.get("type").and_then(Value::as_str) == Some(wanted)
}

fn every_alternative(schema: &Value, is_it: impl Fn(&Value) -> bool) -> bool {
    match schema.get("anyOf").and_then(Value::as_array) {
        Some(members) => {
            let mut several = members.iter().filter(|member| !has_type(member, "null")).peekable();
            several.peek().is_some() && several.all(is_it)
        }
        None => is_it(schema),
    }
}
