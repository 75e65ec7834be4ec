//! The values that configurations are made of, and what Python's operators do with them.

use std::rc::Rc;

use ruff_python_ast::{CmpOp, ExprCall, Operator};
use ruff_text_size::Ranged;

use crate::imports::FileIndex;
use crate::resources::{NestedClass, ResourceClass};

const TEXT_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// Lists, tuples and sets.
    List(Vec<Value<'a>>),
    Dict(Vec<(Value<'a>, Value<'a>)>),
    /// An enumeration's member, by its value.
    Member(&'static str, &'static str),
    Resource(ResourceCall<'a>),
    Nested(NestedCall<'a>),
    /// A variable of the environment, with the value it has when it is not set.
    Environment(String, Option<Box<Value<'a>>>),
}

/// A resource's constructor call. Two are the same resource if they are the same place in the source and see the same
/// values.
#[derive(Debug, Clone)]
pub(crate) struct ResourceCall<'a> {
    pub(crate) class: &'static ResourceClass,
    pub(crate) dialect: Dialect,
    pub(crate) file: FileIndex,
    pub(crate) call: &'a ExprCall,
    pub(crate) frame: Frame<'a>,
}

/// Which constructor the call is written with: their arguments have different names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// One of the resource classes.
    Class,
    /// `Endpoint(...)`, which is one of the classes by its arguments and by what is declared on it.
    Endpoint,
}

impl ResourceCall<'_> {
    /// What the source calls it.
    pub(crate) fn constructor(&self) -> &'static str {
        match self.dialect {
            Dialect::Class => self.class.name,
            Dialect::Endpoint => "Endpoint",
        }
    }
}

impl PartialEq for ResourceCall<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.file == other.file && self.call.range() == other.call.range() && self.frame == other.frame
    }
}

#[derive(Debug, Clone)]
pub(crate) struct NestedCall<'a> {
    pub(crate) class: &'static NestedClass,
    pub(crate) file: FileIndex,
    pub(crate) call: &'a ExprCall,
    pub(crate) frame: Frame<'a>,
}

impl PartialEq for NestedCall<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.file == other.file && self.call.range() == other.call.range() && self.frame == other.frame
    }
}

/// What the parameters and local names of a factory function hold during one call; empty at module level.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Frame<'a>(Option<Rc<Vec<(&'a str, Value<'a>)>>>);

impl<'a> Frame<'a> {
    pub(crate) fn new(locals: Vec<(&'a str, Value<'a>)>) -> Self {
        Self((!locals.is_empty()).then(|| Rc::new(locals)))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value<'a>> {
        let locals = self.0.as_deref()?;
        locals.iter().rev().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

impl<'a> Value<'a> {
    /// A variable of the environment counts as its default.
    pub(crate) fn settled(self) -> Self {
        match self {
            Self::Environment(_, Some(default)) => default.settled(),
            other => other,
        }
    }

    /// The variable of the environment that the value is.
    pub(crate) fn variable(&self) -> Option<&str> {
        match self {
            Self::Environment(variable, _) => Some(variable),
            _ => None,
        }
    }

    /// For messages: what kind of thing this is.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::None => "None".to_owned(),
            Self::Bool(value) => if *value { "True" } else { "False" }.to_owned(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => format!("{value:?}"),
            Self::Text(value) => format!("\"{}\"", value.escape_debug()),
            Self::List(_) => "a list".to_owned(),
            Self::Dict(_) => "a dictionary".to_owned(),
            Self::Member(enumeration, value) => format!("{enumeration} {value}"),
            Self::Resource(resource) => {
                let article = if resource.dialect == Dialect::Endpoint { "an" } else { "a" };
                format!("{article} {}", resource.constructor())
            }
            Self::Nested(nested) => format!("a {}", nested.class.name),
            Self::Environment(variable, _) => format!("the environment variable {variable}"),
        }
    }

    pub(crate) fn truth(&self) -> Option<bool> {
        Some(match self {
            Self::None => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(value) => !value.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Dict(items) => !items.is_empty(),
            Self::Member(..) | Self::Resource(_) | Self::Nested(_) => true,
            Self::Environment(..) => return None,
        })
    }

    /// What `str()` and f-strings make of it, where that is beyond doubt.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::None | Self::Bool(_) | Self::Int(_) => Some(self.describe()),
            Self::Float(value) if value.abs() < 1e15 && (value.abs() >= 1e-4 || *value == 0.0) => {
                Some(self.describe())
            }
            Self::Text(value) => Some(value.clone()),
            _ => None,
        }
    }
}

/// `left op right`; `None` where that is no constant, or too large a one.
pub(crate) fn operate<'a>(left: Value<'a>, op: Operator, right: Value<'a>) -> Option<Value<'a>> {
    match (left, op, right) {
        (Value::Text(left), Operator::Add, Value::Text(right)) => {
            (left.len() + right.len() <= TEXT_BYTES_MAX).then(|| Value::Text(left + &right))
        }
        (Value::Text(text), Operator::Mult, Value::Int(times))
        | (Value::Int(times), Operator::Mult, Value::Text(text)) => {
            let times = usize::try_from(times).unwrap_or(0);
            (text.len().checked_mul(times)? <= TEXT_BYTES_MAX).then(|| Value::Text(text.repeat(times)))
        }
        (Value::List(mut left), Operator::Add, Value::List(right)) => {
            left.extend(right);
            Some(Value::List(left))
        }
        (Value::Dict(mut left), Operator::BitOr, Value::Dict(right)) => {
            right.into_iter().for_each(|(key, value)| insert(&mut left, key, value));
            Some(Value::Dict(left))
        }
        (Value::Int(left), op, Value::Int(right)) => integers(left, op, right),
        (left, op, right) => floats(number(&left)?, op, number(&right)?),
    }
}

pub(crate) fn insert<'a>(items: &mut Vec<(Value<'a>, Value<'a>)>, key: Value<'a>, value: Value<'a>) {
    match items.iter_mut().find(|(known, _)| *known == key) {
        Some((_, slot)) => *slot = value,
        None => items.push((key, value)),
    }
}

pub(crate) fn subscripted<'a>(container: Value<'a>, index: &Value<'a>) -> Option<Value<'a>> {
    match (container, index) {
        (Value::Dict(items), key) => {
            items.into_iter().find(|(known, _)| known == key).map(|(_, value)| value)
        }
        (Value::List(mut items), Value::Int(index)) => {
            let length = i64::try_from(items.len()).ok()?;
            let index = if *index < 0 { index.checked_add(length)? } else { *index };
            let index = usize::try_from(index).ok().filter(|index| *index < items.len())?;
            Some(items.swap_remove(index))
        }
        _ => None,
    }
}

pub(crate) fn compare(op: CmpOp, left: &Value<'_>, right: &Value<'_>) -> Option<bool> {
    if let CmpOp::In | CmpOp::NotIn = op {
        let is_known = |value: &Value<'_>| !matches!(value, Value::Environment(..));
        let found = match (left, right) {
            (left, Value::List(items)) if items.iter().all(is_known) => items.contains(left),
            (left, Value::Dict(items)) => items.iter().any(|(key, _)| key == left),
            (Value::Text(part), Value::Text(whole)) => whole.contains(part.as_str()),
            _ => return None,
        };
        return Some(found == (op == CmpOp::In));
    }
    let simple = |value: &Value<'_>| {
        matches!(
            value,
            Value::None
                | Value::Bool(_)
                | Value::Int(_)
                | Value::Float(_)
                | Value::Text(_)
                | Value::Member(..)
        )
    };
    if !simple(left) || !simple(right) {
        return None;
    }
    match (op, number(left), number(right)) {
        (CmpOp::Eq | CmpOp::Is, Some(left), Some(right)) => Some(left == right),
        (CmpOp::NotEq | CmpOp::IsNot, Some(left), Some(right)) => Some(left != right),
        (CmpOp::Lt, Some(left), Some(right)) => Some(left < right),
        (CmpOp::LtE, Some(left), Some(right)) => Some(left <= right),
        (CmpOp::Gt, Some(left), Some(right)) => Some(left > right),
        (CmpOp::GtE, Some(left), Some(right)) => Some(left >= right),
        (CmpOp::Eq | CmpOp::Is, ..) => Some(left == right),
        (CmpOp::NotEq | CmpOp::IsNot, ..) => Some(left != right),
        _ => None,
    }
}

pub(crate) fn number(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Int(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        _ => None,
    }
}

fn integers<'a>(left: i64, op: Operator, right: i64) -> Option<Value<'a>> {
    match op {
        Operator::Add => left.checked_add(right).map(Value::Int),
        Operator::Sub => left.checked_sub(right).map(Value::Int),
        Operator::Mult => left.checked_mul(right).map(Value::Int),
        // Python rounds down; for divisors above zero that is what `div_euclid` and `rem_euclid` do.
        Operator::FloorDiv if right > 0 => Some(Value::Int(left.div_euclid(right))),
        Operator::Mod if right > 0 => Some(Value::Int(left.rem_euclid(right))),
        Operator::Pow => u32::try_from(right).ok().and_then(|right| left.checked_pow(right)).map(Value::Int),
        Operator::Div => floats(left as f64, op, right as f64),
        _ => None,
    }
}

fn floats<'a>(left: f64, op: Operator, right: f64) -> Option<Value<'a>> {
    let result = match op {
        Operator::Add => left + right,
        Operator::Sub => left - right,
        Operator::Mult => left * right,
        Operator::Div => left / right,
        _ => return None,
    };
    result.is_finite().then_some(Value::Float(result))
}
