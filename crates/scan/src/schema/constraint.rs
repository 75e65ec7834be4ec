//! `Field(...)`, `Query(...)`, `field(...)` and their like: defaults, limits and descriptions.

use ruff_python_ast::{Expr, ExprCall};
use serde_json::{Value, json};

use super::{Schemas, any, put};
use crate::classes::meaning;
use crate::imports::FileIndex;
use crate::resolve::Entity;

#[derive(Debug, Default)]
pub(super) enum Default {
    #[default]
    Missing,
    /// There is one, which only running code knows.
    Unknown,
    Known(Value),
}

/// What stands beside the type.
#[derive(Debug, Default)]
pub(super) struct Given {
    pub(super) default: Default,
    /// The name that it goes by in JSON.
    pub(super) alias: Option<String>,
    /// `Required[T]` or `NotRequired[T]`.
    pub(super) required: Option<bool>,
    /// Not a parameter of the constructor: `field(init=False)`.
    pub(super) outside: bool,
}

const DESCRIBES: [&str; 8] = ["Body", "Cookie", "Field", "File", "Form", "Header", "Path", "Query"];
const PACKAGES: [&str; 3] = ["fastapi", "pydantic", "sqlmodel"];
/// Python's name, JSON Schema's name.
const LIMITS: [(&str, &str); 11] = [
    ("ge", "minimum"),
    ("gt", "exclusiveMinimum"),
    ("le", "maximum"),
    ("lt", "exclusiveMaximum"),
    ("multiple_of", "multipleOf"),
    ("pattern", "pattern"),
    ("regex", "pattern"),
    ("title", "title"),
    ("description", "description"),
    ("examples", "examples"),
    ("deprecated", "deprecated"),
];

impl Schemas<'_, '_> {
    /// A parameter or field: the schema of its annotation with what its default says beside the value.
    pub(super) fn field(
        &mut self,
        file: FileIndex,
        annotation: Option<&Expr>,
        default: Option<&Expr>,
    ) -> (Value, Given) {
        let mut schema = annotation.map_or_else(any, |annotation| self.annotation(file, annotation));
        let mut given = annotation.map(|annotation| self.beside(file, annotation)).unwrap_or_default();
        match default {
            None => {}
            Some(Expr::Call(call)) if self.describes(file, call) => {
                self.constrain(file, call, &mut schema);
                let said = self.said(file, call);
                given.default = said.default;
                given.outside |= said.outside;
                given.alias = said.alias.or(given.alias);
            }
            Some(Expr::EllipsisLiteral(_)) => {}
            Some(value) => {
                given.default = self.literal(file, value).map_or(Default::Unknown, Default::Known);
            }
        }
        (schema, given)
    }

    /// What the annotation itself says beside the type: `Annotated[int, Field(alias="n")]`, `Required[int]`.
    fn beside(&self, file: FileIndex, annotation: &Expr) -> Given {
        let Expr::Subscript(subscript) = annotation else { return Given::default() };
        let Some(Entity::External(dotted)) = meaning(self.project, file, &subscript.value) else {
            return Given::default();
        };
        match dotted.rsplit('.').next() {
            Some("Required") => Given { required: Some(true), ..Given::default() },
            Some("NotRequired") => Given { required: Some(false), ..Given::default() },
            Some("Annotated") => {
                let Expr::Tuple(parts) = &*subscript.slice else { return Given::default() };
                let mut given = Given::default();
                for part in parts.elts.iter().skip(1) {
                    if let Expr::Call(call) = part
                        && self.describes(file, call)
                    {
                        let said = self.said(file, call);
                        given.alias = said.alias.or(given.alias);
                        if !matches!(said.default, Default::Missing) {
                            given.default = said.default;
                        }
                    }
                }
                given
            }
            _ => Given::default(),
        }
    }

    fn describes(&self, file: FileIndex, call: &ExprCall) -> bool {
        let Some(Entity::External(dotted)) = meaning(self.project, file, &call.func) else { return false };
        let (package, _) = dotted.split_once('.').unwrap_or((&dotted, ""));
        let name = dotted.rsplit('.').next().unwrap_or_default();
        (PACKAGES.contains(&package) && DESCRIBES.contains(&name)) || dotted == "dataclasses.field"
    }

    fn said(&self, file: FileIndex, call: &ExprCall) -> Given {
        let arguments = &call.arguments;
        let is_dataclass = matches!(
            meaning(self.project, file, &call.func),
            Some(Entity::External(dotted)) if dotted == "dataclasses.field"
        );
        let first = if is_dataclass { None } else { arguments.args.first() };
        let keyword = |name: &str| arguments.find_keyword(name).map(|keyword| &keyword.value);
        let default = match (first.or_else(|| keyword("default")), keyword("default_factory")) {
            (Some(Expr::EllipsisLiteral(_)), _) | (None, None) => Default::Missing,
            (Some(value), _) => self.literal(file, value).map_or(Default::Unknown, Default::Known),
            (None, Some(Expr::Name(name))) if name.id == "list" => Default::Known(json!([])),
            (None, Some(Expr::Name(name))) if name.id == "dict" => Default::Known(json!({})),
            (None, Some(_)) => Default::Unknown,
        };
        let text = |name: &str| match keyword(name) {
            Some(Expr::StringLiteral(text)) => Some(text.value.to_str().to_owned()),
            _ => None,
        };
        Given {
            default,
            alias: text("validation_alias").or_else(|| text("alias")),
            required: None,
            outside: matches!(keyword("init"), Some(Expr::BooleanLiteral(init)) if !init.value),
        }
    }

    /// Adds a call's limits and descriptions to the schema: also `Ge(1)` of `annotated_types`, `Doc("...")`.
    pub(super) fn constrain(&self, file: FileIndex, call: &ExprCall, schema: &mut Value) {
        let Some(Entity::External(dotted)) = meaning(self.project, file, &call.func) else { return };
        let name = dotted.rsplit('.').next().unwrap_or_default();
        let mut says = |key: &str, value: Option<&Expr>| {
            if let Some(value) = value.and_then(|value| self.literal(file, value)) {
                put(schema, key, value);
            }
        };
        for (word, key) in LIMITS {
            says(key, call.arguments.find_keyword(word).map(|keyword| &keyword.value));
        }
        let only = call.arguments.args.first();
        match name {
            "Ge" => says("minimum", only),
            "Gt" => says("exclusiveMinimum", only),
            "Le" => says("maximum", only),
            "Lt" => says("exclusiveMaximum", only),
            "MultipleOf" => says("multipleOf", only),
            "Doc" => says("description", only),
            _ => {}
        }
        let (least, most) = length_keys(schema);
        let mut says = |key: &str, value: Option<&Expr>| {
            if let Some(value) = value.and_then(|value| self.literal(file, value)) {
                put(schema, key, value);
            }
        };
        says(least, call.arguments.find_keyword("min_length").map(|keyword| &keyword.value));
        says(most, call.arguments.find_keyword("max_length").map(|keyword| &keyword.value));
        match name {
            "MinLen" => says(least, only),
            "MaxLen" => says(most, only),
            "Len" => {
                says(least, only);
                says(most, call.arguments.args.get(1));
            }
            _ => {}
        }
    }
}

/// What a length is called depends on what is long.
fn length_keys(schema: &Value) -> (&'static str, &'static str) {
    let is = |schema: &Value, kind: &str| schema.get("type").is_some_and(|found| found == kind);
    let any = |kind: &str| {
        let members = schema.get("anyOf").and_then(Value::as_array);
        is(schema, kind) || members.is_some_and(|members| members.iter().any(|member| is(member, kind)))
    };
    if any("array") {
        ("minItems", "maxItems")
    } else if any("object") {
        ("minProperties", "maxProperties")
    } else {
        ("minLength", "maxLength")
    }
}
