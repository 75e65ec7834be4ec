//! Reading a constructor's arguments as the types that its fields have; a wrong one is reported and counts as not given.

use flash_model::{Code, Diagnostic, Span};
use ruff_text_size::Ranged;

use crate::arguments::Arguments;
use crate::resources::{Enumeration, NestedClass};
use crate::specification::Environment;
use crate::suggest;
use crate::value::{NestedCall, Value};

#[derive(Debug)]
pub(crate) struct Fields<'f, 'p, 'a> {
    pub(crate) arguments: &'f Arguments<'p, 'a>,
    pub(crate) diagnostics: &'f mut Vec<Diagnostic>,
}

impl<'a> Fields<'_, '_, 'a> {
    pub(crate) fn span(&self, name: &str) -> Span {
        self.arguments.span(self.arguments.range(name).unwrap_or_else(|| self.arguments.call.range()))
    }

    pub(crate) fn invalid(&mut self, name: &str, message: String, hint: &str) {
        let span = self.span(name);
        self.diagnostics.push(Diagnostic::error(Code::InvalidValue, message).at(span).hint(hint));
    }

    pub(crate) fn mistyped(&mut self, name: &str, expected: &str, found: &Value<'_>) {
        let hint = format!("give `{name}` {expected}");
        self.invalid(name, format!("`{name}` must be {expected}, found {}", found.describe()), &hint);
    }

    pub(crate) fn value(&mut self, name: &str) -> Option<Value<'a>> {
        self.arguments.value(name, self.diagnostics).map(|given| given.value)
    }

    pub(crate) fn text(&mut self, name: &str) -> Option<String> {
        match self.value(name)? {
            Value::Text(text) => Some(text),
            Value::Member(_, value) => Some(value.to_owned()),
            other => {
                self.mistyped(name, "a text", &other);
                None
            }
        }
    }

    /// A list of texts; what is none of these is left out.
    pub(crate) fn texts(&mut self, name: &str, example: &str) -> Vec<String> {
        let items = match self.value(name) {
            Some(Value::List(items)) => items,
            Some(other) => {
                self.not_texts(name, example, &other);
                return Vec::new();
            }
            None => return Vec::new(),
        };
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match item.settled() {
                Value::Text(text) => texts.push(text),
                other => self.not_texts(name, example, &other),
            }
        }
        texts
    }

    fn not_texts(&mut self, name: &str, example: &str, found: &Value<'_>) {
        let message = format!("`{name}` must be a list of texts, found {}", found.describe());
        self.invalid(name, message, &format!("write for example `{name}={example}`"));
    }

    pub(crate) fn boolean(&mut self, name: &str) -> Option<bool> {
        match self.value(name)? {
            Value::Bool(value) => Some(value),
            other => {
                self.mistyped(name, "True or False", &other);
                None
            }
        }
    }

    pub(crate) fn integer(&mut self, name: &str, min: i64) -> Option<u32> {
        self.whole_number(name, min, i64::from(u32::MAX)).and_then(|value| u32::try_from(value).ok())
    }

    pub(crate) fn whole_number(&mut self, name: &str, min: i64, max: i64) -> Option<u64> {
        let value = match self.value(name)? {
            Value::Int(value) => value,
            other => {
                self.mistyped(name, "a whole number", &other);
                return None;
            }
        };
        if value < min {
            let hint = format!("use {min} or more");
            self.invalid(name, format!("`{name}` must be at least {min}, found {value}"), &hint);
            return None;
        }
        if value > max {
            self.invalid(
                name,
                format!("`{name}` must be at most {max}, found {value}"),
                "use a smaller number",
            );
            return None;
        }
        u64::try_from(value).ok()
    }

    /// One member of an enumeration, written as member or as its value.
    pub(crate) fn member(&mut self, name: &str, enumeration: &'static Enumeration) -> Option<String> {
        let value = self.value(name)?;
        self.as_member(name, &[enumeration], value)
    }

    /// A list of members, without repetitions.
    pub(crate) fn members(&mut self, name: &str, enumerations: &[&'static Enumeration]) -> Vec<String> {
        match self.value(name) {
            Some(Value::List(items)) => self.all_members(name, enumerations, items),
            Some(other) => {
                let expected = format!("a list of {} members", names(enumerations));
                self.mistyped(name, &expected, &other);
                Vec::new()
            }
            None => Vec::new(),
        }
    }

    /// A member, or a list of members without repetitions; `None` if the argument is not given.
    pub(crate) fn one_or_more(
        &mut self,
        name: &str,
        enumerations: &[&'static Enumeration],
    ) -> Option<Vec<String>> {
        match self.value(name)? {
            Value::List(items) if items.is_empty() => {
                self.invalid(name, format!("`{name}` is an empty list"), "name one or more, or leave it out");
                None
            }
            Value::List(items) => Some(self.all_members(name, enumerations, items)),
            value => Some(self.all_members(name, enumerations, vec![value])),
        }
    }

    /// Values in one text, separated by commas.
    pub(crate) fn comma_separated(&mut self, name: &str, enumeration: &'static Enumeration) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let items = parts.map(|part| Value::Text(part.to_owned())).collect();
        self.all_members(name, &[enumeration], items)
    }

    fn all_members(
        &mut self,
        name: &str,
        enumerations: &[&'static Enumeration],
        items: Vec<Value<'a>>,
    ) -> Vec<String> {
        let mut members: Vec<String> = Vec::with_capacity(items.len());
        for item in items {
            if let Some(member) = self.as_member(name, enumerations, item.settled())
                && !members.contains(&member)
            {
                members.push(member);
            }
        }
        members
    }

    fn as_member(
        &mut self,
        name: &str,
        enumerations: &[&'static Enumeration],
        value: Value<'_>,
    ) -> Option<String> {
        match value {
            Value::Member(family, value) if enumerations.iter().any(|known| known.name == family) => {
                Some(value.to_owned())
            }
            Value::Text(text) if enumerations.iter().any(|known| known.has_value(&text)) => Some(text),
            Value::Text(text) => {
                let span = self.span(name);
                let message = format!("{} has no value \"{}\"", names(enumerations), text.escape_debug());
                let mut values: Vec<&str> = enumerations.iter().flat_map(|known| known.values()).collect();
                values.sort_unstable();
                values.dedup();
                self.diagnostics.push(
                    Diagnostic::error(Code::UnknownMember, message)
                        .at(span)
                        .hint(suggest::hint(&text, values)),
                );
                None
            }
            other => {
                let expected = format!("a member of {}", names(enumerations));
                self.mistyped(name, &expected, &other);
                None
            }
        }
    }

    pub(crate) fn nested(&mut self, name: &str, class: &'static NestedClass) -> Option<NestedCall<'a>> {
        match self.value(name)? {
            Value::Nested(call) if call.class == class => Some(call),
            other => {
                let expected = format!("a `{}`", class.name);
                self.mistyped(name, &expected, &other);
                None
            }
        }
    }

    /// A dictionary of variables. Values that are read from the environment are kept as such.
    pub(crate) fn environment(&mut self, name: &str, environment: &mut Environment) {
        let items = match self.value(name) {
            Some(Value::Dict(items)) => items,
            Some(other) => {
                let message =
                    format!("`{name}` must be a dictionary of texts, found {}", describe_safely(&other));
                self.invalid(name, message, "write for example `env={\"MODE\": \"fast\"}`");
                return;
            }
            None => return,
        };
        for (key, value) in items {
            let Value::Text(key) = key else {
                self.mistyped(name, "a dictionary of texts", &key);
                continue;
            };
            match value {
                Value::Text(value) => {
                    environment.values.insert(key, value);
                }
                Value::Environment(variable, default) => {
                    if let Some(Value::Text(default)) = default.map(|default| default.settled()) {
                        environment.values.insert(key.clone(), default);
                    }
                    environment.inherited.insert(key, variable);
                }
                other => {
                    let message = format!(
                        "`{name}[\"{}\"]` must be a text, found {}",
                        key.escape_debug(),
                        describe_safely(&other)
                    );
                    self.invalid(name, message, "write the value in quotes");
                }
            }
        }
    }
}

fn names(enumerations: &[&'static Enumeration]) -> String {
    let names: Vec<String> = enumerations.iter().map(|known| format!("`{}`", known.name)).collect();
    names.join(" or ")
}

/// Kinds only: values of an environment are never shown.
fn describe_safely(value: &Value<'_>) -> &'static str {
    match value {
        Value::None => "None",
        Value::Bool(_) => "True or False",
        Value::Int(_) | Value::Float(_) => "a number",
        Value::Text(_) => "a text",
        Value::List(_) => "a list",
        _ => "something else",
    }
}
