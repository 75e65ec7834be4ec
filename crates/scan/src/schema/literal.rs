//! Values written as such. Names are not followed, so that no constant of the project ends up in a manifest by way of a
//! default; members of enumerations are their values.

use ruff_python_ast::{Expr, Number, UnaryOp};
use serde_json::{Map, Value, json};

use super::Schemas;
use crate::classes::meaning;
use crate::imports::FileIndex;
use crate::resolve::Entity;

/// Lists inside one another.
const DEPTH_MAX: usize = 16;

impl Schemas<'_, '_> {
    pub(super) fn literal(&self, file: FileIndex, expression: &Expr) -> Option<Value> {
        literal(expression, &|expression| self.member(file, expression), 0)
    }

    /// `Color.RED`, and `Color.RED.value`.
    fn member(&self, file: FileIndex, expression: &Expr) -> Option<Value> {
        let Expr::Attribute(attribute) = expression else { return None };
        let member = match &*attribute.value {
            Expr::Attribute(member) if attribute.attr.as_str() == "value" => member,
            _ => attribute,
        };
        let Entity::Class { file, definition } = meaning(self.project, file, &member.value)? else {
            return None;
        };
        let members = self.members(file, definition)?;
        members.into_iter().find(|(name, _)| *name == member.attr.as_str()).map(|(_, value)| value)
    }
}

/// A value in which nothing has a name.
pub(super) fn plain(expression: &Expr) -> Option<Value> {
    literal(expression, &|_| None, 0)
}

fn literal(expression: &Expr, member: &dyn Fn(&Expr) -> Option<Value>, depth: usize) -> Option<Value> {
    if depth > DEPTH_MAX {
        return None;
    }
    let all = |elements: &[Expr]| {
        let values = elements.iter().map(|element| literal(element, member, depth + 1));
        values.collect::<Option<Vec<_>>>().map(Value::Array)
    };
    match expression {
        Expr::NoneLiteral(_) => Some(Value::Null),
        Expr::BooleanLiteral(literal) => Some(Value::Bool(literal.value)),
        Expr::StringLiteral(literal) => Some(json!(literal.value.to_str())),
        Expr::NumberLiteral(literal) => number(&literal.value),
        Expr::UnaryOp(operation) if operation.op == UnaryOp::USub => {
            match literal(&operation.operand, member, depth + 1)? {
                Value::Number(number) => match number.as_i64() {
                    Some(integer) => integer.checked_neg().map(|integer| json!(integer)),
                    None => number.as_f64().map(|float| json!(-float)),
                },
                _ => None,
            }
        }
        Expr::List(list) => all(&list.elts),
        Expr::Tuple(tuple) => all(&tuple.elts),
        Expr::Set(set) => all(&set.elts),
        Expr::Dict(dict) => {
            let mut object = Map::new();
            for item in &dict.items {
                let Value::String(key) = literal(item.key.as_ref()?, member, depth + 1)? else { return None };
                object.insert(key, literal(&item.value, member, depth + 1)?);
            }
            Some(Value::Object(object))
        }
        expression => member(expression),
    }
}

fn number(number: &Number) -> Option<Value> {
    match number {
        Number::Int(integer) => integer.as_i64().map(|integer| json!(integer)),
        Number::Float(float) => serde_json::Number::from_f64(*float).map(Value::Number),
        Number::Complex { .. } => None,
    }
}
