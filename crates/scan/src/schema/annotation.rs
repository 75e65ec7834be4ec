//! One annotation → one schema.

use ruff_python_ast::{Expr, ExprCall, Operator};
use ruff_python_parser::parse_expression;
use serde_json::{Value, json};

use super::known::{self, Known};
use super::{Schemas, any, put};
use crate::classes::{dotted, meaning};
use crate::imports::FileIndex;
use crate::nesting::nested_too_deeply;
use crate::resolve::Entity;

/// Types, aliases and quoted annotations inside one another. Keeps manifests well below the depth that JSON readers take.
const DEPTH_MAX: usize = 16;
/// Parts of one annotation; what is beyond is left open.
const STEPS_MAX: usize = 200;

impl<'a> Schemas<'_, 'a> {
    pub(super) fn annotation(&mut self, file: FileIndex, expression: &Expr) -> Value {
        self.steps = 0;
        self.part(file, expression, 0)
    }

    pub(super) fn part(&mut self, file: FileIndex, expression: &Expr, depth: usize) -> Value {
        self.steps += 1;
        if depth > DEPTH_MAX || self.steps > STEPS_MAX {
            return any();
        }
        match expression {
            Expr::BinOp(operation) if operation.op != Operator::BitOr => any(),
            Expr::NoneLiteral(_) => json!({ "type": "null" }),
            Expr::StringLiteral(text) => self.quoted(file, text.value.to_str(), depth),
            Expr::BinOp(_) => {
                let members = alternatives(expression);
                union(members.into_iter().map(|member| self.part(file, member, depth + 1)).collect())
            }
            Expr::Name(_) | Expr::Attribute(_) => self.named(file, expression, depth),
            Expr::Subscript(subscript) => {
                let arguments: &[Expr] = match &*subscript.slice {
                    Expr::Tuple(tuple) => &tuple.elts,
                    single => std::slice::from_ref(single),
                };
                self.generic(file, &subscript.value, arguments, depth)
            }
            Expr::Call(call) => self.made(file, call, depth),
            _ => any(),
        }
    }

    fn quoted(&mut self, file: FileIndex, text: &str, depth: usize) -> Value {
        if nested_too_deeply(text).is_some() {
            return any();
        }
        match parse_expression(text.trim()) {
            Ok(parsed) => self.part(file, parsed.expr(), depth + 1),
            Err(_) => any(),
        }
    }

    fn named(&mut self, file: FileIndex, expression: &Expr, depth: usize) -> Value {
        if let Expr::Name(name) = expression
            && let Some(schema) = self.variables.get(name.id.as_str())
        {
            return schema.clone();
        }
        match self.known(file, expression) {
            Some(Known::Schema(schema)) => return schema,
            Some(Known::Duration) => return self.duration(),
            Some(known) => return bare(&known),
            None => {}
        }
        match meaning(self.project, file, expression) {
            Some(Entity::Class { file, definition }) => self.class_reference(file, definition, Vec::new()),
            Some(Entity::Value { file, expression, .. }) => self.part(file, expression, depth + 1),
            Some(Entity::External(dotted)) => json!({ "title": dotted }),
            _ => json!({ "title": dotted(expression).unwrap_or_default() }),
        }
    }

    pub(super) fn known(&self, file: FileIndex, expression: &Expr) -> Option<Known> {
        match meaning(self.project, file, expression) {
            Some(Entity::External(dotted)) => known::external(&dotted),
            Some(_) => None,
            // A name that the file does not define is Python's own.
            None => match expression {
                Expr::Name(name) => known::builtin(name.id.as_str()),
                _ => None,
            },
        }
    }

    fn generic(&mut self, file: FileIndex, base: &Expr, arguments: &[Expr], depth: usize) -> Value {
        let Some(known) = self.known(file, base) else {
            return match meaning(self.project, file, base) {
                Some(Entity::Class { file: home, definition }) => {
                    let arguments = arguments.iter().map(|part| self.part(file, part, depth + 1)).collect();
                    self.class_reference(home, definition, arguments)
                }
                _ => self.named(file, base, depth),
            };
        };
        let mut each =
            |index: usize| arguments.get(index).map_or_else(any, |part| self.part(file, part, depth + 1));
        match known {
            Known::Schema(schema) => schema,
            Known::Duration => self.duration(),
            Known::Array { unique } => array(each(0), unique),
            Known::Object => object(each(1)),
            Known::Inside => each(0),
            Known::Optional => union(vec![each(0), json!({ "type": "null" })]),
            Known::Union => {
                let members = (0..arguments.len()).map(each).collect();
                union(members)
            }
            Known::Tuple => match arguments {
                [_, Expr::EllipsisLiteral(_)] => array(each(0), false),
                [Expr::Tuple(empty)] if empty.elts.is_empty() => fixed(Vec::new()),
                _ => {
                    let members = (0..arguments.len()).map(each).collect();
                    fixed(members)
                }
            },
            Known::Literal => self.choices(file, arguments),
            Known::Annotated => {
                let mut schema = each(0);
                for metadata in arguments.iter().skip(1) {
                    if let Expr::Call(call) = metadata {
                        self.constrain(file, call, &mut schema);
                    }
                }
                schema
            }
        }
    }

    fn duration(&self) -> Value {
        if self.in_model {
            json!({ "type": "string", "format": "duration" })
        } else {
            json!({ "type": "number", "description": "seconds" })
        }
    }

    fn choices(&mut self, file: FileIndex, choices: &[Expr]) -> Value {
        let values: Option<Vec<Value>> = choices.iter().map(|choice| self.literal(file, choice)).collect();
        values.map_or_else(any, |values| enumeration(&values))
    }

    /// `conint(ge=1)`, `NewType("UserId", int)`, `TypeVar("T")`.
    fn made(&mut self, file: FileIndex, call: &ExprCall, depth: usize) -> Value {
        let Some(Entity::External(made_by)) = meaning(self.project, file, &call.func) else { return any() };
        match made_by.rsplit('.').next().unwrap_or_default() {
            "NewType" => match call.arguments.args.get(1) {
                Some(original) => self.part(file, original, depth + 1),
                None => any(),
            },
            "conlist" | "conset" => {
                let item = match call.arguments.find_argument_value("item_type", 0) {
                    Some(item) => self.part(file, item, depth + 1),
                    None => any(),
                };
                let mut schema = array(item, made_by.ends_with("conset"));
                self.constrain(file, call, &mut schema);
                schema
            }
            _ => match known::external(&made_by) {
                Some(Known::Schema(mut schema)) => {
                    self.constrain(file, call, &mut schema);
                    schema
                }
                _ => any(),
            },
        }
    }
}

/// `a | b | c`, from left to right; another operation is one type, which nobody knows.
fn alternatives(expression: &Expr) -> Vec<&Expr> {
    let mut members = Vec::new();
    let mut left = expression;
    while let Expr::BinOp(operation) = left
        && operation.op == Operator::BitOr
    {
        members.push(&*operation.right);
        left = &operation.left;
    }
    members.push(left);
    members.reverse();
    members
}

/// A generic type without its arguments.
fn bare(known: &Known) -> Value {
    match known {
        Known::Array { unique } => array(any(), *unique),
        Known::Tuple => array(any(), false),
        Known::Object => object(any()),
        _ => any(),
    }
}

pub(super) fn array(items: Value, unique: bool) -> Value {
    let mut schema = json!({ "type": "array", "items": items });
    if unique {
        put(&mut schema, "uniqueItems", Value::Bool(true));
    }
    schema
}

fn fixed(members: Vec<Value>) -> Value {
    let count = members.len();
    let mut schema = json!({ "type": "array", "minItems": count, "maxItems": count });
    if count > 0 {
        put(&mut schema, "prefixItems", Value::Array(members));
    }
    schema
}

fn object(values: Value) -> Value {
    let additional = if values == any() { Value::Bool(true) } else { values };
    json!({ "type": "object", "additionalProperties": additional })
}

/// Alternatives, those of alternatives included, each once.
fn union(members: Vec<Value>) -> Value {
    let mut flat: Vec<Value> = Vec::new();
    for member in members {
        let alone = member.as_object().is_some_and(|object| object.len() == 1);
        let inner = match member.get("anyOf").filter(|_| alone) {
            Some(Value::Array(inner)) => inner.clone(),
            _ => vec![member],
        };
        for each in inner {
            if !flat.contains(&each) {
                flat.push(each);
            }
        }
    }
    match flat.as_slice() {
        _ if flat.contains(&any()) => any(),
        [only] => only.clone(),
        _ => json!({ "anyOf": flat }),
    }
}

/// One of these values, with their type where it is one.
pub(super) fn enumeration(values: &[Value]) -> Value {
    let kind = |value: &Value| match value {
        Value::String(_) => Some("string"),
        Value::Bool(_) => Some("boolean"),
        Value::Number(number) if number.is_f64() => Some("number"),
        Value::Number(_) => Some("integer"),
        _ => None,
    };
    let mut schema = match values {
        [only] => json!({ "const": only }),
        _ => json!({ "enum": values }),
    };
    let kinds: Vec<_> = values.iter().map(kind).collect();
    if let Some(Some(first)) = kinds.first()
        && kinds.iter().all(|kind| *kind == Some(first))
    {
        put(&mut schema, "type", json!(first));
    }
    schema
}
