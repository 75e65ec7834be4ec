//! Constant folding: the value an expression has whenever the module is imported, worked out from the source alone.

use flash_model::{Code, EndpointKind};
use ruff_python_ast::{
    BoolOp, ConversionFlag, Expr, ExprBinOp, ExprBoolOp, ExprCall, ExprFString, FStringPart,
    InterpolatedStringElement, Number, UnaryOp,
};
use ruff_text_size::Ranged;

use crate::classes::dotted;
use crate::conditions;
use crate::enumerations::{self, Kind};
use crate::factories::{self, Factory};
use crate::imports::{FileIndex, Project};
use crate::methods;
use crate::resolve::{Entity, Unresolved, framework_symbol};
use crate::resources::{self, Enumeration, Symbol};
use crate::suggest;
use crate::value::{
    Dialect, Frame, NestedCall, ResourceCall, Value, compare, insert, number, operate, subscripted,
};

/// Names and factories followed inside one another.
const DEPTH_MAX: usize = 64;
/// Steps for one value; constants that double each other run into it.
const STEPS_MAX: usize = 20_000;
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// Python's own functions that turn up in configurations; not being defined in a file is nothing special for these.
const BUILTIN_FUNCTIONS: [&str; 26] = [
    "abs",
    "all",
    "any",
    "bool",
    "bytes",
    "dict",
    "enumerate",
    "filter",
    "float",
    "getattr",
    "input",
    "int",
    "len",
    "list",
    "map",
    "max",
    "min",
    "next",
    "open",
    "range",
    "round",
    "set",
    "sorted",
    "str",
    "sum",
    "tuple",
];

/// Folds expressions; one for each value asked for, so that the budget is per value.
#[derive(Debug)]
pub(crate) struct Folder<'p, 'a> {
    pub(crate) project: &'p Project<'a>,
    steps: usize,
    /// Parameters of the factory function that the expression stands in.
    pub(crate) frame: Frame<'a>,
    /// Variables of the environment whose defaults went into the value.
    variables: Vec<String>,
}

pub(crate) type Folded<'a> = Result<Value<'a>, Unresolved>;

pub(crate) fn fold<'a>(project: &Project<'a>, file: FileIndex, expression: &'a Expr) -> Folded<'a> {
    fold_traced(project, file, expression).0
}

/// The value, and the variables of the environment that it depends on.
pub(crate) fn fold_traced<'a>(
    project: &Project<'a>,
    file: FileIndex,
    expression: &'a Expr,
) -> (Folded<'a>, Vec<String>) {
    fold_in_frame(project, file, &Frame::default(), expression)
}

/// `fold_traced` inside a factory function.
pub(crate) fn fold_in_frame<'a>(
    project: &Project<'a>,
    file: FileIndex,
    frame: &Frame<'a>,
    expression: &'a Expr,
) -> (Folded<'a>, Vec<String>) {
    let mut folder = Folder { project, steps: 0, frame: frame.clone(), variables: Vec::new() };
    let folded = folder.fold(file, expression, 0);
    folder.variables.sort();
    folder.variables.dedup();
    (folded, folder.variables)
}

impl<'a> Folder<'_, 'a> {
    pub(crate) fn fold(&mut self, file: FileIndex, expression: &'a Expr, depth: usize) -> Folded<'a> {
        self.steps += 1;
        if depth > DEPTH_MAX || self.steps > STEPS_MAX {
            return Err(Unresolved::new(file, expression.range(), "it is too deep or refers to itself"));
        }
        let depth = depth + 1;
        match expression {
            Expr::NoneLiteral(_) => Ok(Value::None),
            Expr::BooleanLiteral(literal) => Ok(Value::Bool(literal.value)),
            Expr::StringLiteral(literal) => Ok(Value::Text(literal.value.to_str().to_owned())),
            Expr::NumberLiteral(literal) => match &literal.value {
                Number::Int(value) => value.as_i64().map(Value::Int),
                Number::Float(value) => Some(Value::Float(*value)),
                Number::Complex { .. } => None,
            }
            .ok_or_else(|| Unresolved::new(file, literal.range, "this number is out of range")),
            Expr::FString(text) => self.f_string(file, text, depth),
            Expr::List(list) => self.list(file, &list.elts, depth),
            Expr::Tuple(tuple) => self.list(file, &tuple.elts, depth),
            Expr::Set(set) => self.list(file, &set.elts, depth),
            Expr::Dict(dict) => {
                let mut items = Vec::new();
                for item in &dict.items {
                    let value = self.fold(file, &item.value, depth)?;
                    match (&item.key, value) {
                        (Some(key), value) => {
                            insert(&mut items, self.fold(file, key, depth)?.settled(), value)
                        }
                        (None, Value::Dict(more)) => {
                            more.into_iter().for_each(|(key, value)| insert(&mut items, key, value));
                        }
                        (None, _) => return Err(unknown(file, &item.value)),
                    }
                }
                Ok(Value::Dict(items))
            }
            Expr::BinOp(operation) => self.operation(file, operation, depth),
            Expr::UnaryOp(operation) => {
                let operand = self.fold(file, &operation.operand, depth)?.settled();
                match (operation.op, operand) {
                    (UnaryOp::USub, Value::Int(value)) => value.checked_neg().map(Value::Int),
                    (UnaryOp::USub, Value::Float(value)) => Some(Value::Float(-value)),
                    (UnaryOp::UAdd, value @ (Value::Int(_) | Value::Float(_))) => Some(value),
                    (UnaryOp::Not, value) => value.truth().map(|truth| Value::Bool(!truth)),
                    _ => None,
                }
                .ok_or_else(|| unknown(file, expression))
            }
            Expr::BoolOp(operation) => self.choice(file, operation, depth),
            Expr::Compare(comparison) => match (&*comparison.ops, &*comparison.comparators) {
                ([op], [right]) => {
                    let left = self.fold(file, &comparison.left, depth)?.settled();
                    let right = self.fold(file, right, depth)?.settled();
                    compare(*op, &left, &right).map(Value::Bool).ok_or_else(|| unknown(file, expression))
                }
                _ => Err(unknown(file, expression)),
            },
            Expr::If(choice) => {
                let test = self.fold(file, &choice.test, depth)?.settled();
                match test.truth() {
                    Some(true) => self.fold(file, &choice.body, depth),
                    Some(false) => self.fold(file, &choice.orelse, depth),
                    None => Err(unknown(file, &choice.test)),
                }
            }
            Expr::Named(named) => self.fold(file, &named.value, depth),
            Expr::Subscript(subscript) => {
                if let Ok(Entity::External(name)) = self.project.resolve(file, &subscript.value)
                    && name == "os.environ"
                {
                    let variable = self.text(file, &subscript.slice, depth)?;
                    self.variables.push(variable.clone());
                    return Ok(Value::Environment(variable, None));
                }
                if let Some(Symbol::Enumeration(enumeration)) = self.project.symbol(file, &subscript.value) {
                    let member = self.text(file, &subscript.slice, depth)?;
                    return member_named(file, expression, enumeration, &member);
                }
                let container = self.fold(file, &subscript.value, depth)?.settled();
                let index = self.fold(file, &subscript.slice, depth)?.settled();
                subscripted(container, &index)
                    .ok_or_else(|| Unresolved::new(file, expression.range(), "there is no such element"))
            }
            Expr::Name(_) | Expr::Attribute(_) => self.reference(file, expression, depth),
            Expr::Call(call) => self.call(file, expression, call, depth),
            _ => Err(unknown(file, expression)),
        }
    }

    /// `and`, `or`. A variable of the environment without default has the value after `or` as its default.
    fn choice(&mut self, file: FileIndex, operation: &'a ExprBoolOp, depth: usize) -> Folded<'a> {
        let is_or = operation.op == BoolOp::Or;
        let mut variable = None;
        let mut last = Value::None;
        for value in &operation.values {
            last = match self.fold(file, value, depth)? {
                Value::Environment(name, None) if is_or && variable.is_none() => {
                    variable = Some(name);
                    continue;
                }
                value => value.settled(),
            };
            let truth = last.truth().ok_or_else(|| unknown(file, value))?;
            if truth == is_or {
                break;
            }
        }
        Ok(match variable {
            Some(variable) => Value::Environment(variable, Some(Box::new(last))),
            None => last,
        })
    }

    fn list(&mut self, file: FileIndex, elements: &'a [Expr], depth: usize) -> Folded<'a> {
        let mut items = Vec::with_capacity(elements.len());
        for element in elements {
            match element {
                Expr::Starred(starred) => match self.fold(file, &starred.value, depth)?.settled() {
                    Value::List(more) => items.extend(more),
                    _ => return Err(unknown(file, element)),
                },
                element => items.push(self.fold(file, element, depth)?),
            }
        }
        Ok(Value::List(items))
    }

    fn f_string(&mut self, file: FileIndex, text: &'a ExprFString, depth: usize) -> Folded<'a> {
        let mut folded = String::new();
        for part in text.value.as_slice() {
            match part {
                FStringPart::Literal(literal) => folded.push_str(&literal.value),
                FStringPart::FString(part) => {
                    for element in part.elements.iter() {
                        match element {
                            InterpolatedStringElement::Literal(literal) => folded.push_str(&literal.value),
                            InterpolatedStringElement::Interpolation(element) => {
                                let value = self.shown(file, &element.expression, depth)?;
                                let plain = element.format_spec.is_none()
                                    && element.debug_text.is_none()
                                    && matches!(
                                        element.conversion,
                                        ConversionFlag::None | ConversionFlag::Str
                                    );
                                let text = value.text().filter(|_| plain);
                                folded.push_str(&text.ok_or_else(|| unknown(file, &element.expression))?);
                            }
                        }
                    }
                }
            }
            if folded.len() > TEXT_BYTES_MAX {
                return Err(Unresolved::new(file, text.range, "the text is too long"));
            }
        }
        Ok(Value::Text(folded))
    }

    fn text(&mut self, file: FileIndex, expression: &'a Expr, depth: usize) -> Result<String, Unresolved> {
        match self.fold(file, expression, depth)?.settled() {
            Value::Text(text) => Ok(text),
            _ => Err(unknown(file, expression)),
        }
    }

    /// A value that becomes a text. What a member of an enumeration becomes depends on the version of Python.
    fn shown(&mut self, file: FileIndex, expression: &'a Expr, depth: usize) -> Folded<'a> {
        match enumerations::of_member(self.project, file, expression) {
            Some(Kind::Mixed) => Err(member_itself(file, expression)),
            _ => Ok(self.fold(file, expression, depth)?.settled()),
        }
    }

    /// `settings.name = "b"` before `settings.name` in one file.
    fn unchanged(&self, file: FileIndex, expression: &'a Expr) -> Result<(), Unresolved> {
        let changed = &self.project.surveys[file].attributes_assigned;
        if changed.is_empty() || !expression.is_attribute_expr() {
            return Ok(());
        }
        let Some(text) = dotted(expression) else { return Ok(()) };
        let earlier = changed.iter().filter(|target| target.range.end() <= expression.range().start());
        for target in earlier {
            let holder = dotted(&target.value).map(|holder| format!("{holder}.{}", target.attr));
            if let Some(changed) = holder
                && text.strip_prefix(&changed).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            {
                let reason = format!("`{changed}` cannot be followed: it is changed in place");
                return Err(Unresolved::new(file, target.range, reason));
            }
        }
        Ok(())
    }

    fn operation(&mut self, file: FileIndex, operation: &'a ExprBinOp, depth: usize) -> Folded<'a> {
        let left = self.fold(file, &operation.left, depth)?.settled();
        let right = self.fold(file, &operation.right, depth)?.settled();
        if let (Value::List(left), Value::List(right)) = (&left, &right) {
            self.steps += left.len() + right.len();
        }
        operate(left, operation.op, right)
            .ok_or_else(|| Unresolved::new(file, operation.range, "this operation is not a constant"))
    }

    fn reference(&mut self, file: FileIndex, expression: &'a Expr, depth: usize) -> Folded<'a> {
        if let Expr::Name(name) = expression
            && let Some(value) = self.frame.get(name.id.as_str())
        {
            return Ok(value.clone());
        }
        if let Expr::Attribute(attribute) = expression
            && matches!(attribute.attr.as_str(), "value" | "name")
        {
            if enumerations::of_member(self.project, file, &attribute.value).is_some()
                && let Expr::Attribute(member) = &*attribute.value
                && let Entity::Value { file: home, expression: value, .. } =
                    self.project.resolve(file, &attribute.value)?
            {
                return match attribute.attr.as_str() {
                    "name" => Ok(Value::Text(member.attr.to_string())),
                    _ => self.in_frame(Frame::default(), |folder| folder.fold(home, value, depth)),
                };
            }
            // `GpuGroup.ADA_24.value` and `.name` of an enumeration's member.
            if let Ok(Value::Member(enumeration, value)) = self.fold(file, &attribute.value, depth) {
                let is_name = attribute.attr.as_str() == "name";
                let name = resources::member_name(enumeration, value).filter(|_| is_name);
                return Ok(Value::Text(name.unwrap_or(value).to_owned()));
            }
        }
        self.unchanged(file, expression)?;
        if enumerations::of_member(self.project, file, expression) == Some(Kind::Member) {
            return Err(member_itself(file, expression));
        }
        match self.project.resolve(file, expression)? {
            Entity::Value { file: home, expression, condition } => {
                if let Some(condition) = condition {
                    let variables = &conditions::outcome(self.project, home, condition).variables;
                    self.variables.extend(variables.iter().cloned());
                }
                // Names at module level know nothing of a factory's parameters.
                self.in_frame(Frame::default(), |folder| folder.fold(home, expression, depth))
            }
            Entity::Framework(path) => framework_value(file, expression, &path),
            Entity::Module(path) => Err(Unresolved::new(
                file,
                expression.range(),
                format!("`{}` is a module", path.replace('/', ".")),
            )),
            Entity::External(name) => Err(Unresolved::new(
                file,
                expression.range(),
                format!("`{name}` comes from outside the project"),
            )),
            Entity::Function { definition, .. } => {
                Err(Unresolved::new(file, expression.range(), format!("`{}` is a function", definition.name)))
            }
            Entity::Class { definition, .. } => Err(Unresolved::new(
                file,
                expression.range(),
                format!("`{}` is a class of the project", definition.name),
            )),
        }
    }

    pub(crate) fn in_frame<T>(&mut self, frame: Frame<'a>, work: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.frame, frame);
        let result = work(self);
        self.frame = outer;
        result
    }

    fn call(
        &mut self,
        file: FileIndex,
        expression: &'a Expr,
        call: &'a ExprCall,
        depth: usize,
    ) -> Folded<'a> {
        if let Some(value) = self.method(file, call, depth)? {
            return Ok(value);
        }
        let frame = self.frame.clone();
        match self.project.symbol(file, &call.func) {
            Some(Symbol::Resource(class)) => {
                let dialect = Dialect::Class;
                return Ok(Value::Resource(ResourceCall { class, dialect, file, call, frame }));
            }
            Some(Symbol::Endpoint) => {
                // Which class it is shows when all that is declared on it has been read.
                let (class, dialect) = (resources::class_of(EndpointKind::Queue, false), Dialect::Endpoint);
                return Ok(Value::Resource(ResourceCall { class, dialect, file, call, frame }));
            }
            Some(Symbol::Nested(class)) => return Ok(Value::Nested(NestedCall { class, file, call, frame })),
            Some(Symbol::Enumeration(enumeration)) => {
                let value = call.arguments.args.first().filter(|_| call.arguments.len() == 1);
                let value = value.ok_or_else(|| unknown(file, expression))?;
                return match self.fold(file, value, depth)?.settled() {
                    value @ Value::Member(..) => Ok(value),
                    Value::Text(text) => member_of_value(file, value, enumeration, &text),
                    _ => Err(unknown(file, value)),
                };
            }
            Some(Symbol::FlashApp | Symbol::Remote | Symbol::Other) => return Err(unknown(file, expression)),
            None => {}
        }
        let name = match self.project.resolve(file, &call.func) {
            Ok(Entity::External(name)) => name,
            Ok(Entity::Function { file: home, definition }) => {
                let name = definition.name.as_str();
                return self.factory(file, call, home, name, factories::of_function(definition), depth);
            }
            Ok(Entity::Value { file: home, expression: Expr::Lambda(lambda), .. }) => {
                return self.factory(file, call, home, "lambda", factories::of_lambda(lambda), depth);
            }
            Ok(Entity::Framework(path)) => return framework_value(file, &call.func, &path),
            Err(unresolved) => match &*call.func {
                Expr::Name(name) if BUILTIN_FUNCTIONS.contains(&name.id.as_str()) => name.id.to_string(),
                _ => return Err(unresolved),
            },
            Ok(Entity::Class { definition, .. }) => {
                let reason = format!("`{}` is a class of the project, not a resource class", definition.name);
                let hint = "use a resource class itself, with what its instances share in a dictionary: \
                            `LiveServerless(name=\"...\", **COMMON)`";
                return Err(Unresolved::new(file, expression.range(), reason).hint(hint));
            }
            Ok(_) => return Err(unknown(file, expression)),
        };
        self.known_function(file, expression, &name, call, depth)
    }

    /// A method of a text or dictionary: `NAME.upper()`, `SETTINGS.get("key", 1)`.
    fn method(
        &mut self,
        file: FileIndex,
        call: &'a ExprCall,
        depth: usize,
    ) -> Result<Option<Value<'a>>, Unresolved> {
        let Expr::Attribute(method) = &*call.func else { return Ok(None) };
        let name = method.attr.as_str();
        if !methods::NAMES.contains(&name) {
            return Ok(None);
        }
        let Ok(receiver @ (Value::Text(_) | Value::Dict(_))) =
            self.fold(file, &method.value, depth).map(Value::settled)
        else {
            return Ok(None);
        };
        let mut arguments = Vec::with_capacity(call.arguments.args.len());
        for argument in &*call.arguments.args {
            arguments.push(self.fold(file, argument, depth)?.settled());
        }
        let mut named = Vec::with_capacity(call.arguments.keywords.len());
        for keyword in &*call.arguments.keywords {
            let Some(argument) = &keyword.arg else { return Ok(None) };
            named.push((argument.as_str(), self.fold(file, &keyword.value, depth)?.settled()));
        }
        let result = methods::call(receiver, name, &arguments, &named);
        result.map(Some).ok_or_else(|| unknown(file, &call.func))
    }

    /// What a function of the project returns, if it does nothing but make it.
    fn factory(
        &mut self,
        file: FileIndex,
        call: &'a ExprCall,
        home: FileIndex,
        name: &str,
        factory: Option<Factory<'a>>,
        depth: usize,
    ) -> Folded<'a> {
        let Some(factory) = factory else {
            let reason = format!("`{name}()` is known only when the code runs");
            let hint = "let the function only bind names and return, without loops, conditions or decorators";
            return Err(Unresolved::new(file, call.range(), reason).hint(hint));
        };
        let mut locals = self.bind_parameters(file, call, home, name, factory.parameters, depth)?;
        for (local, value) in factory.locals {
            let frame = Frame::new(locals.clone());
            let value = self.in_frame(frame, |folder| folder.fold(home, value, depth))?;
            locals.push((local, value));
        }
        self.in_frame(Frame::new(locals), |folder| folder.fold(home, factory.result, depth))
    }

    /// Functions of Python's own whose results are as constant as their arguments.
    fn known_function(
        &mut self,
        file: FileIndex,
        expression: &'a Expr,
        name: &str,
        call: &'a ExprCall,
        depth: usize,
    ) -> Folded<'a> {
        let arguments = &*call.arguments.args;
        match (name, arguments) {
            ("os.getenv" | "os.environ.get", [variable, rest @ ..]) => {
                let variable = self.text(file, variable, depth)?;
                let keyword = call.arguments.keywords.iter().find(|keyword| {
                    keyword.arg.as_ref().is_some_and(|argument| argument.as_str() == "default")
                });
                let default = match rest.first().or(keyword.map(|keyword| &keyword.value)) {
                    Some(default) => Some(Box::new(self.fold(file, default, depth)?)),
                    None => None,
                };
                self.variables.push(variable.clone());
                Ok(Value::Environment(variable, default))
            }
            ("dict", []) => {
                let mut items = Vec::new();
                for keyword in &call.arguments.keywords {
                    let value = self.fold(file, &keyword.value, depth)?;
                    match (&keyword.arg, value) {
                        (Some(name), value) => insert(&mut items, Value::Text(name.to_string()), value),
                        (None, Value::Dict(more)) => {
                            more.into_iter().for_each(|(key, value)| insert(&mut items, key, value));
                        }
                        (None, _) => return Err(unknown(file, &keyword.value)),
                    }
                }
                Ok(Value::Dict(items))
            }
            ("list" | "tuple" | "int" | "str" | "float" | "bool", [argument])
                if call.arguments.keywords.is_empty() =>
            {
                let value = match name {
                    "str" => self.shown(file, argument, depth)?,
                    _ => self.fold(file, argument, depth)?.settled(),
                };
                match (name, value) {
                    ("list" | "tuple", value @ Value::List(_)) => Some(value),
                    ("int", Value::Int(value)) => Some(Value::Int(value)),
                    ("int", Value::Bool(value)) => Some(Value::Int(i64::from(value))),
                    ("int", Value::Text(text)) => text.trim().parse().ok().map(Value::Int),
                    ("float", value) => match value {
                        Value::Text(text) => text.trim().parse().ok().map(Value::Float),
                        value => number(&value).map(Value::Float),
                    },
                    ("str", value) => value.text().map(Value::Text),
                    ("bool", value) => value.truth().map(Value::Bool),
                    _ => None,
                }
                .ok_or_else(|| unknown(file, expression))
            }
            _ => Err(Unresolved::new(
                file,
                expression.range(),
                format!("`{name}()` is known only when the code runs"),
            )),
        }
    }
}

fn framework_value<'a>(file: FileIndex, expression: &'a Expr, path: &[String]) -> Folded<'a> {
    let at = |reason: String| Unresolved::new(file, expression.range(), reason);
    match framework_symbol(path) {
        Some((Symbol::Enumeration(enumeration), [member])) if member == "all" => Ok(all_members(enumeration)),
        Some((Symbol::Enumeration(enumeration), [member, ..])) => {
            member_named(file, expression, enumeration, member)
        }
        Some((_, _)) => {
            let name = path.last().map_or("it", String::as_str);
            Err(at(format!("`{name}` is not a value")))
        }
        None => {
            let name = path.last().map_or("", String::as_str);
            Err(at(format!("the package has no `{name}`"))
                .hint(suggest::hint(name, crate::resources::class_names())))
        }
    }
}

fn member_named<'a>(
    file: FileIndex,
    expression: &Expr,
    enumeration: &'static Enumeration,
    member: &str,
) -> Folded<'a> {
    let unknown = || {
        let reason = format!("`{}` has no member `{}`", enumeration.name, member.escape_debug());
        Unresolved::new(file, expression.range(), reason)
            .hint(suggest::hint(member, enumeration.member_names()))
            .code(Code::UnknownMember)
    };
    enumeration.value_of(member).map(|value| Value::Member(enumeration.name, value)).ok_or_else(unknown)
}

/// `GpuGroup.all()`: every member but the one that stands for all, the commonest first.
fn all_members<'a>(enumeration: &'static Enumeration) -> Value<'a> {
    let mut values: Vec<&str> = enumeration.values().filter(|value| *value != "any").collect();
    values.sort_by_key(|value| *value != resources::COMMONEST_GPU_GROUP);
    Value::List(values.into_iter().map(|value| Value::Member(enumeration.name, value)).collect())
}

fn member_of_value<'a>(
    file: FileIndex,
    expression: &Expr,
    enumeration: &'static Enumeration,
    value: &str,
) -> Folded<'a> {
    let unknown = || {
        let reason = format!("`{}` has no value \"{}\"", enumeration.name, value.escape_debug());
        Unresolved::new(file, expression.range(), reason)
            .hint(suggest::hint(value, enumeration.values()))
            .code(Code::UnknownMember)
    };
    let known = enumeration.values().find(|known| *known == value);
    known.map(|value| Value::Member(enumeration.name, value)).ok_or_else(unknown)
}

fn member_itself(file: FileIndex, expression: &Expr) -> Unresolved {
    Unresolved::new(file, expression.range(), "this is a member of an enumeration, not its value")
        .hint("write `.value` after it")
}

pub(crate) fn unknown(file: FileIndex, expression: &Expr) -> Unresolved {
    Unresolved::new(file, expression.range(), "this is known only when the code runs")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SourceTree, parse::parse};

    const BEFORE: &str = "import os\nfrom tetra_rp import GpuGroup, NetworkVolume\nimport tetra_rp as t\n\
        A = 'a'\nN = 3\nLIST = [1, 2]\nD = {'k': 'v', 'n': N}\n\
        def make():\n    'doc'\n    return [A]\n\
        def takes(x): return x\n\
        def full(a, *rest, n=N, **more):\n    'doc'\n    joined: str = f'{a}-{A}'\n    return [a, n, list(rest[1:]) if False else [], more, joined]\n\
        LAMBDA = lambda x, y=N: [x, y]\n\
        def decides(x):\n    if x: return 1\n    return 2\n\
        for i in LIST: LOOPED = i\n";

    /// `expect` is the value as text, or the reason after `!`.
    fn check(expression: &str, expect: &str) {
        let mut tree = SourceTree::new("p");
        tree.insert("a.py", format!("{BEFORE}X = {expression}\n").into_bytes());
        let files = parse(&tree, &mut Vec::new());
        let project = Project::new(&files);
        let Some(Some(value)) = project.surveys[0].bindings["X"].last().map(|bound| bound.binding.value())
        else {
            panic!("{expression}")
        };
        let found = match fold(&project, 0, value) {
            Ok(value) => show(&value),
            Err(unresolved) => format!("!{}", unresolved.reason),
        };
        assert_eq!(found, expect, "{expression}");
    }

    fn show(value: &Value<'_>) -> String {
        match value {
            Value::List(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
            Value::Dict(items) => {
                let items = items.iter().map(|(key, value)| format!("{}: {}", show(key), show(value)));
                format!("{{{}}}", items.collect::<Vec<_>>().join(", "))
            }
            Value::Environment(name, default) => {
                format!("${name}:{}", default.as_ref().map_or(String::new(), |default| show(default)))
            }
            other => other.describe(),
        }
    }

    #[test]
    fn texts() {
        check("'a' \"b\"", "\"ab\"");
        check("A + '-' + str(N)", "\"a-3\"");
        check("f'{A}-{N}-{True}-{1.5}'", "\"a-3-True-1.5\"");
        check("'x' f'{A!s}'", "\"xa\"");
        check("f'{N:03}'", "!this is known only when the code runs");
        check("f'{A=}'", "!this is known only when the code runs");
        check("f'{LIST}'", "!this is known only when the code runs");
    }

    #[test]
    fn numbers() {
        check("2 * 3 + 4 // 3 - 7 % 4 ** 1", "4");
        check("-7 // 2", "-4");
        check("60 * 0.5", "30.0");
        check("1 / 0", "!this operation is not a constant");
        check("9223372036854775807 + 1", "!this operation is not a constant");
        check("99999999999999999999", "!this number is out of range");
        check("int('5') + int(True) + int(N)", "9");
    }

    #[test]
    fn containers() {
        check("[*LIST, N] + list((4,))", "[1, 2, 3, 4]");
        check("{**D, 'n': 9} | {'z': None}", "{\"k\": \"v\", \"n\": 9, \"z\": None}");
        check("dict(a=1, **D)['n']", "3");
        check("LIST[-1]", "2");
        check("LIST[2]", "!there is no such element");
        check("D['none']", "!there is no such element");
        check("[x for x in LIST]", "!this is known only when the code runs");
    }

    #[test]
    fn choices() {
        check("'y' if N > 2 else 'n'", "\"y\"");
        check("A == 'b' or D and 'last'", "\"last\"");
        check("not LIST", "False");
        check("1 if undefined else 2", "!`undefined` is not defined in this file");
    }

    #[test]
    fn methods_and_membership() {
        check("A.upper() + '-'.join(['x', A])", "\"Ax-a\"");
        check("'{}-{n}'.format(A, n=N)", "\"a-3\"");
        check("D.get('k') + D.get('none', 'd')", "\"vd\"");
        check("' x '.strip().replace('x', 'yy') * 2", "\"yyyy\"");
        check("A in ['a'] and 'none' not in D and 'b' not in A", "True");
        check("A.split(',')", "!the attribute `split` is known only when the code runs");
    }

    #[test]
    fn the_framework_and_the_environment() {
        check("GpuGroup.ADA_24", "GpuGroup ADA_24");
        check("t.core.resources.GpuGroup.ANY.value", "\"any\"");
        check("GpuGroup.ADA_25", "!`GpuGroup` has no member `ADA_25`");
        check("NetworkVolume(name='v')", "a NetworkVolume");
        check("t.LiveServerless(name='v')", "a LiveServerless");
        check("t.LiveServerles", "!the package has no `LiveServerles`");
        check("os.getenv('P', 'x')", "$P:\"x\"");
        check("os.environ['P']", "$P:");
        check("int(os.environ.get('P', default='7')) + 1", "8");
        check("os.getenv('P') or 'x'", "$P:\"x\"");
        check("GpuGroup('ADA_24')", "GpuGroup ADA_24");
        check("GpuGroup['ADA_24'].name", "\"ADA_24\"");
        check("GpuGroup('ADA_25')", "!`GpuGroup` has no value \"ADA_25\"");
        check("t.Endpoint(name='e')", "an Endpoint");
    }

    #[test]
    fn functions_and_dead_ends() {
        check("make()[0]", "\"a\"");
        check("takes(1) + takes(x=2)", "3");
        check("takes()", "!`takes()` lacks the argument `x`");
        check("takes(1, 2)", "!`takes()` is given too many arguments");
        check("takes(1, x=2)", "!`takes()` is given `x` twice");
        check("takes(1, y=2)", "!`takes()` has no parameter \"y\"");
        check("full('p', 'q', k=1)", "[\"p\", 3, [], {\"k\": 1}, \"p-a\"]");
        check("full(n=4, *['p', 5])", "[\"p\", 4, [], {}, \"p-a\"]");
        check("LAMBDA(2)", "[2, 3]");
        check("decides(1)", "!`decides()` is known only when the code runs");
        check("make", "!`make` is a function");
        check("LOOPED", "!`LOOPED` cannot be followed: it is assigned in a loop");
        check("os.path", "!`os.path` comes from outside the project");
        check("X", "!it is too deep or refers to itself");
    }

    #[test]
    fn constants_that_double_each_other_end() {
        let mut source = String::from("A0 = [1]\n");
        (1..60).for_each(|n| source += &format!("A{n} = [*A{0}, *A{0}]\n", n - 1));
        let mut tree = SourceTree::new("p");
        tree.insert("a.py", source.into_bytes());
        let files = parse(&tree, &mut Vec::new());
        let project = Project::new(&files);
        let value =
            project.surveys[0].bindings["A59"].last().and_then(|bound| bound.binding.value()).unwrap();
        assert!(fold(&project, 0, value).is_err());
    }
}
