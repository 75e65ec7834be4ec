//! A value that a schema allows, to show how it is written.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::shape::resolved;

/// Classes inside one another; a deeper one is shown as null.
const DEPTH_MAX: usize = 6;

/// Deterministic. Holds what is required and nothing else; a type that is not known is an empty object.
pub fn example(schema: &Value, schemas: &BTreeMap<String, Value>) -> Value {
    build(schema, schemas, 0)
}

fn build(schema: &Value, schemas: &BTreeMap<String, Value>, depth: usize) -> Value {
    if depth > DEPTH_MAX {
        return Value::Null;
    }
    if let Some(value) = schema.get("examples").and_then(Value::as_array).and_then(|all| all.first()) {
        return value.clone();
    }
    let schema = resolved(schema, schemas);
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    let list = |key: &str| schema.get(key).and_then(Value::as_array);
    if let Some(value) = list("enum").and_then(|values| values.first()) {
        return value.clone();
    }
    if let Some(members) = list("anyOf") {
        let is_null = |member: &&Value| member.get("type") == Some(&json!("null"));
        let first = members.iter().find(|member| !is_null(member));
        return first.map_or(Value::Null, |member| build(member, schemas, depth + 1));
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("integer") => integer(schema),
        Some("number") => number(schema),
        Some("boolean") => json!(true),
        Some("string") => text(schema),
        Some("null") => Value::Null,
        Some("array") => array(schema, schemas, depth),
        _ => object(schema, schemas, depth),
    }
}

fn integer(schema: &Value) -> Value {
    let limit = |key: &str| schema.get(key).and_then(Value::as_i64);
    let mut value = 1;
    if let Some(step) = limit("multipleOf").filter(|step| *step > 0) {
        value = step;
    }
    value = limit("minimum").map_or(value, |least| value.max(least));
    value = limit("exclusiveMinimum").map_or(value, |below| value.max(below.saturating_add(1)));
    value = limit("maximum").map_or(value, |most| value.min(most));
    value = limit("exclusiveMaximum").map_or(value, |above| value.min(above.saturating_sub(1)));
    json!(value)
}

fn number(schema: &Value) -> Value {
    let limit = |key: &str| schema.get(key).and_then(Value::as_f64);
    let least = limit("minimum").or(limit("exclusiveMinimum").map(|below| below + 0.5));
    let most = limit("maximum").or(limit("exclusiveMaximum").map(|above| above - 0.5));
    let mut value: f64 = 1.5;
    value = least.map_or(value, |least| value.max(least));
    value = most.map_or(value, |most| value.min(most));
    json!(value)
}

fn text(schema: &Value) -> Value {
    json!(match schema.get("format").and_then(Value::as_str) {
        Some("date-time") => "2026-01-31T12:00:00Z",
        Some("date") => "2026-01-31",
        Some("time") => "12:00:00",
        Some("duration") => "PT1H",
        Some("uuid") => "00000000-0000-4000-8000-000000000000",
        Some("email") => "someone@example.com",
        Some("uri") => "https://example.com",
        Some("ipv4") => "127.0.0.1",
        Some("ipv6") => "::1",
        _ => {
            let length =
                |key: &str| schema.get(key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
            let most = length("maxLength").unwrap_or(TEXT_LENGTH_MAX).min(TEXT_LENGTH_MAX);
            let least = length("minLength").unwrap_or(0).max(TEXT.len()).min(most);
            return json!(TEXT.chars().cycle().take(least).collect::<String>());
        }
    })
}

const TEXT: &str = "hello";
const TEXT_LENGTH_MAX: usize = 200;
const ITEMS_MAX: usize = 20;

fn array(schema: &Value, schemas: &BTreeMap<String, Value>, depth: usize) -> Value {
    if let Some(members) = schema.get("prefixItems").and_then(Value::as_array) {
        return members.iter().map(|member| build(member, schemas, depth + 1)).collect();
    }
    let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
    let least = usize::try_from(least).unwrap_or(ITEMS_MAX).min(ITEMS_MAX);
    match schema.get("items") {
        Some(item) if *item != json!({}) && depth < DEPTH_MAX => {
            let one = build(item, schemas, depth + 1);
            match one.as_i64() {
                // Two show better than one that it is a list.
                Some(first) if least <= 2 && is_plain(item) => json!([first, first + 1]),
                _ => Value::Array(vec![one; least.max(1)]),
            }
        }
        _ => Value::Array(vec![json!("hello"); least]),
    }
}

/// Without limits that a second value could break.
fn is_plain(item: &Value) -> bool {
    item.as_object().is_some_and(|item| item.len() == 1)
}

fn object(schema: &Value, schemas: &BTreeMap<String, Value>, depth: usize) -> Value {
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    let fields: Map<String, Value> = required
        .filter_map(Value::as_str)
        .filter_map(|name| {
            let field = schema.get("properties")?.get(name)?;
            Some((name.to_owned(), build(field, schemas, depth + 1)))
        })
        .collect();
    Value::Object(fields)
}
