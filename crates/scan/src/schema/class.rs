//! The project's own classes: pydantic models, dataclasses, typed dictionaries, named tuples, enumerations.

use ruff_python_ast::{Expr, Stmt, StmtClassDef};
use ruff_text_size::Ranged;
use serde_json::{Map, Value, json};

use super::annotation::enumeration;
use super::constraint::{Default, Given};
use super::literal::plain;
use super::{Open, Schemas, Variables, put};
use crate::classes::{ClassAt, dotted, meaning, with_bases};
use crate::imports::FileIndex;
use crate::resolve::Entity;
use crate::signature;

/// Schemas of classes for one resource.
const CLASSES_MAX: usize = 500;
/// Of a generic class, as JSON.
const ARGUMENTS_BYTES_MAX: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Model,
    Dataclass,
    TypedDict,
    NamedTuple,
    Enumeration,
    Dict,
}

/// One annotated name of a class body.
struct Field<'a> {
    name: &'a str,
    file: FileIndex,
    annotation: &'a Expr,
    value: Option<&'a Expr>,
    /// Of a typed dictionary's part with `total=False`.
    optional: bool,
}

impl<'a> Schemas<'_, 'a> {
    /// A `$ref` to the class's schema, which is written later; or what little is known of a class of another kind.
    pub(super) fn class_reference(
        &mut self,
        file: FileIndex,
        class: &'a StmtClassDef,
        arguments: Vec<Value>,
    ) -> Value {
        let variables: Variables = type_variables(class).into_iter().zip(arguments).collect();
        let shown: Vec<String> = variables.values().map(short_name).collect();
        let identity: Vec<String> = variables.values().map(Value::to_string).collect();
        let identity = identity.join(",");
        // `class A(Generic[T])` may hold an `A[list[T]]`.
        if self.names.len() >= CLASSES_MAX || identity.len() > ARGUMENTS_BYTES_MAX {
            return json!({ "title": class.name.as_str() });
        }
        let place = (file, class.range().start(), identity);
        if let Some(name) = self.names.get(&place) {
            return reference(name);
        }
        if self.kind(file, class).is_none() {
            return json!({ "title": class.name.as_str() });
        }
        let plain = match shown.as_slice() {
            [] => class.name.to_string(),
            shown => format!("{}_{}_", class.name, shown.join("_")),
        };
        let name = self.free_name(file, &plain);
        self.names.insert(place, name.clone());
        self.open.push_back(Open { name: name.clone(), file, class, variables });
        reference(&name)
    }

    /// The class's name, else with its module in front, else with a number at the end.
    fn free_name(&mut self, file: FileIndex, plain: &str) -> String {
        let module = self.project.dotted_module(file).replace('.', "__");
        let with_module = safe(&format!("{module}__{plain}"));
        let numbered = (2_usize..).map(|number| format!("{with_module}_{number}"));
        let mut names = [safe(plain), with_module.clone()].into_iter().chain(numbered);
        names.find(|name| self.taken.insert(name.clone())).unwrap_or_default()
    }

    pub(super) fn class(&mut self, file: FileIndex, class: &'a StmtClassDef) -> Value {
        let kind = self.kind(file, class);
        self.in_model = kind == Some(Kind::Model);
        let mut schema = match kind {
            Some(Kind::Enumeration) => self.enumeration(file, class),
            Some(Kind::NamedTuple) => self.named_tuple(file, class),
            Some(Kind::Dict) => json!({ "type": "object" }),
            Some(kind) => self.object(file, class, kind),
            None => json!({}),
        };
        put(&mut schema, "title", json!(class.name.as_str()));
        if let Some(text) = signature::documentation(&class.body) {
            put(&mut schema, "description", json!(text));
        }
        schema
    }

    fn kind(&self, file: FileIndex, class: &'a StmtClassDef) -> Option<Kind> {
        let (classes, _) = with_bases(self.project, file, class);
        classes.iter().find_map(|(file, class)| self.declared(*file, class))
    }

    /// What the class's own decorators and outside bases make of it.
    fn declared(&self, file: FileIndex, class: &StmtClassDef) -> Option<Kind> {
        if self.is_dataclass(file, class) {
            return Some(Kind::Dataclass);
        }
        class.bases().iter().find_map(|base| match meaning(self.project, file, base) {
            Some(Entity::External(dotted)) => {
                let (package, _) = dotted.split_once('.')?;
                match (package, dotted.rsplit('.').next()?) {
                    ("pydantic", "BaseModel")
                    | ("pydantic_settings", "BaseSettings")
                    | ("sqlmodel", "SQLModel") => Some(Kind::Model),
                    ("typing" | "typing_extensions", "TypedDict") => Some(Kind::TypedDict),
                    ("typing", "NamedTuple") => Some(Kind::NamedTuple),
                    ("enum", _) => Some(Kind::Enumeration),
                    _ => None,
                }
            }
            None if matches!(base, Expr::Name(name) if name.id == "dict") => Some(Kind::Dict),
            _ => None,
        })
    }

    fn is_dataclass(&self, file: FileIndex, class: &StmtClassDef) -> bool {
        class.decorator_list.iter().any(|decorator| {
            let callee = match &decorator.expression {
                Expr::Call(call) => &call.func,
                expression => expression,
            };
            let found = meaning(self.project, file, callee);
            matches!(found, Some(Entity::External(dotted)) if matches!(dotted.as_str(), "dataclasses.dataclass" | "pydantic.dataclasses.dataclass"))
        })
    }

    fn object(&mut self, file: FileIndex, class: &'a StmtClassDef, kind: Kind) -> Value {
        let (classes, _) = with_bases(self.project, file, class);
        let config = if kind == Kind::Model { Config::of(&classes) } else { Config::default() };
        if config.renames {
            return json!({ "type": "object" });
        }
        let mut properties = Map::new();
        let mut required = Vec::new();
        for field in self.fields(&classes, kind) {
            let (mut schema, given) = self.field(field.file, Some(field.annotation), field.value);
            let Given { default, alias, required: said, outside } = given;
            let is_missing = matches!(default, Default::Missing);
            if let Default::Known(value) = default {
                put(&mut schema, "default", value);
            }
            let name = match alias {
                Some(alias) if kind == Kind::Model => alias,
                _ => field.name.to_owned(),
            };
            let needed = match kind {
                Kind::TypedDict => said.unwrap_or(!field.optional),
                _ => is_missing && !outside,
            };
            if needed {
                required.push(name.clone());
            }
            properties.insert(name, schema);
        }
        let mut schema = json!({ "type": "object", "properties": properties });
        if !required.is_empty() {
            put(&mut schema, "required", json!(required));
        }
        if config.closed {
            put(&mut schema, "additionalProperties", Value::Bool(false));
        }
        schema
    }

    fn named_tuple(&mut self, file: FileIndex, class: &'a StmtClassDef) -> Value {
        let (classes, _) = with_bases(self.project, file, class);
        let fields = self.fields(&classes, Kind::NamedTuple);
        let least = fields.iter().filter(|field| field.value.is_none()).count();
        let most = fields.len();
        let members: Vec<Value> = fields
            .into_iter()
            .map(|field| {
                let (mut schema, given) = self.field(field.file, Some(field.annotation), field.value);
                if let Default::Known(value) = given.default {
                    put(&mut schema, "default", value);
                }
                put(&mut schema, "title", json!(field.name));
                schema
            })
            .collect();
        let mut schema = json!({ "type": "array", "minItems": least, "maxItems": most });
        if most > 0 {
            put(&mut schema, "prefixItems", Value::Array(members));
        }
        schema
    }

    /// Those of bases first; one that is declared again keeps its place.
    fn fields(&self, classes: &[ClassAt<'a>], kind: Kind) -> Vec<Field<'a>> {
        let mut fields: Vec<Field<'a>> = Vec::new();
        for (file, class) in classes.iter().rev() {
            if kind == Kind::Dataclass && !self.is_dataclass(*file, class) {
                continue;
            }
            let optional = class.keywords().iter().any(|keyword| {
                keyword.arg.as_deref() == Some("total")
                    && matches!(&keyword.value, Expr::BooleanLiteral(total) if !total.value)
            });
            for statement in &class.body {
                let Stmt::AnnAssign(assign) = statement else { continue };
                let Expr::Name(name) = &*assign.target else { continue };
                let name = name.id.as_str();
                let is_private = name.starts_with('_') && kind != Kind::TypedDict;
                if is_private || name == "model_config" || self.is_no_field(*file, &assign.annotation) {
                    continue;
                }
                let value = assign.value.as_deref();
                let field = Field { name, file: *file, annotation: &assign.annotation, value, optional };
                match fields.iter_mut().find(|known| known.name == name) {
                    Some(known) => *known = field,
                    None => fields.push(field),
                }
            }
        }
        fields
    }

    fn is_no_field(&self, file: FileIndex, annotation: &Expr) -> bool {
        if let Expr::StringLiteral(text) = annotation {
            return text.value.to_str().starts_with("ClassVar");
        }
        let found = meaning(self.project, file, annotation);
        matches!(found, Some(Entity::External(dotted)) if matches!(dotted.rsplit('.').next(), Some("ClassVar" | "InitVar" | "KW_ONLY")))
    }

    fn enumeration(&self, file: FileIndex, class: &'a StmtClassDef) -> Value {
        match self.members(file, class) {
            Some(members) if !members.is_empty() => {
                let values: Vec<Value> = members.into_iter().map(|(_, value)| value).collect();
                enumeration(&values)
            }
            _ => json!({}),
        }
    }

    /// Names and values of an enumeration's members; `None` if one is not literal, or the class is none.
    pub(super) fn members(&self, file: FileIndex, class: &'a StmtClassDef) -> Option<Vec<(&'a str, Value)>> {
        let (classes, _) = with_bases(self.project, file, class);
        if !classes.iter().any(|(file, class)| self.declared(*file, class) == Some(Kind::Enumeration)) {
            return None;
        }
        let is_text = class.bases().iter().any(|base| match meaning(self.project, file, base) {
            Some(Entity::External(dotted)) => dotted == "enum.StrEnum",
            _ => false,
        });
        let mut members: Vec<(&str, Value)> = Vec::new();
        for statement in &class.body {
            let Stmt::Assign(assign) = statement else { continue };
            let [Expr::Name(name)] = assign.targets.as_slice() else { continue };
            let name = name.id.as_str();
            if name.starts_with('_') {
                continue;
            }
            let value = if self.is_auto(file, &assign.value) {
                if is_text {
                    json!(name.to_lowercase())
                } else {
                    let last = members.iter().filter_map(|(_, value)| value.as_i64()).max().unwrap_or(0);
                    json!(last.checked_add(1)?)
                }
            } else {
                plain(&assign.value)?
            };
            members.push((name, value));
        }
        Some(members)
    }

    fn is_auto(&self, file: FileIndex, value: &Expr) -> bool {
        let Expr::Call(call) = value else { return false };
        let found = meaning(self.project, file, &call.func);
        matches!(found, Some(Entity::External(dotted)) if dotted == "enum.auto")
    }
}

/// What `model_config` or an inner `class Config` say.
#[derive(Debug, Default)]
struct Config {
    /// Other fields are refused.
    closed: bool,
    /// Names in JSON are made by a function.
    renames: bool,
}

impl Config {
    fn of(classes: &[ClassAt<'_>]) -> Self {
        let mut config = Self::default();
        for (_, class) in classes.iter().rev() {
            for statement in &class.body {
                match statement {
                    Stmt::Assign(assign) => {
                        if matches!(assign.targets.as_slice(), [Expr::Name(name)] if name.id == "model_config")
                        {
                            config.given(&assign.value);
                        }
                    }
                    Stmt::AnnAssign(assign) => {
                        if matches!(&*assign.target, Expr::Name(name) if name.id == "model_config") {
                            assign.value.iter().for_each(|value| config.given(value));
                        }
                    }
                    Stmt::ClassDef(inner) if inner.name.as_str() == "Config" => {
                        for statement in &inner.body {
                            if let Stmt::Assign(assign) = statement
                                && let [Expr::Name(name)] = assign.targets.as_slice()
                            {
                                config.set(name.id.as_str(), &assign.value);
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
        config
    }

    fn given(&mut self, value: &Expr) {
        match value {
            Expr::Call(call) => {
                for keyword in &call.arguments.keywords {
                    if let Some(name) = &keyword.arg {
                        self.set(name.as_str(), &keyword.value);
                    }
                }
            }
            Expr::Dict(dict) => {
                for item in &dict.items {
                    if let Some(Expr::StringLiteral(name)) = &item.key {
                        self.set(name.value.to_str(), &item.value);
                    }
                }
            }
            _ => {}
        }
    }

    fn set(&mut self, name: &str, value: &Expr) {
        match (name, value) {
            ("extra", Expr::StringLiteral(text)) => self.closed = text.value.to_str() == "forbid",
            ("alias_generator", value) => self.renames = !value.is_none_literal_expr(),
            _ => {}
        }
    }
}

/// Of `class Page(BaseModel, Generic[T])` and `class Page[T](BaseModel)`.
fn type_variables(class: &StmtClassDef) -> Vec<String> {
    if let Some(parameters) = &class.type_params {
        return parameters.iter().map(|parameter| parameter.name().to_string()).collect();
    }
    let generic = class.bases().iter().find_map(|base| match base {
        Expr::Subscript(subscript) => {
            let name = dotted(&subscript.value)?;
            matches!(name.rsplit('.').next(), Some("Generic" | "Protocol")).then_some(&*subscript.slice)
        }
        _ => None,
    });
    match generic {
        Some(Expr::Tuple(tuple)) => tuple.elts.iter().filter_map(dotted).collect(),
        Some(single) => dotted(single).into_iter().collect(),
        None => Vec::new(),
    }
}

/// What a type is called inside the name of another.
fn short_name(schema: &Value) -> String {
    let text = |key: &str| schema.get(key).and_then(Value::as_str);
    let name = text("$ref")
        .and_then(|path| path.rsplit('/').next())
        .or_else(|| text("title"))
        .or_else(|| text("type"));
    name.unwrap_or("Any").chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// What OpenAPI allows as the name of a component.
fn safe(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '_' }).collect()
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}
