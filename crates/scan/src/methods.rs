//! Methods of texts and dictionaries whose results are as constant as what they are called with.

use crate::value::Value;

pub(crate) const NAMES: [&str; 13] = [
    "copy",
    "format",
    "get",
    "join",
    "lower",
    "lstrip",
    "removeprefix",
    "removesuffix",
    "replace",
    "rstrip",
    "strip",
    "title",
    "upper",
];

/// `None` where the result is no constant, or where it would take more than is written here to know it.
pub(crate) fn call<'a>(
    receiver: Value<'a>,
    method: &str,
    arguments: &[Value<'a>],
    named: &[(&str, Value<'a>)],
) -> Option<Value<'a>> {
    match receiver {
        Value::Text(text) if method == "format" => formatted(&text, arguments, named).map(Value::Text),
        Value::Text(text) if named.is_empty() => of_text(&text, method, arguments).map(Value::Text),
        Value::Dict(items) if named.is_empty() => match (method, arguments) {
            ("copy", []) => Some(Value::Dict(items)),
            ("get", [key]) => Some(entry(items, key).unwrap_or(Value::None)),
            ("get", [key, default]) => Some(entry(items, key).unwrap_or(default.clone())),
            _ => None,
        },
        _ => None,
    }
}

fn entry<'a>(items: Vec<(Value<'a>, Value<'a>)>, key: &Value<'a>) -> Option<Value<'a>> {
    items.into_iter().find(|(known, _)| known == key).map(|(_, value)| value)
}

fn of_text(text: &str, method: &str, arguments: &[Value<'_>]) -> Option<String> {
    Some(match (method, arguments) {
        ("lower", []) => text.to_lowercase(),
        ("upper", []) => text.to_uppercase(),
        ("strip", []) => text.trim().to_owned(),
        ("lstrip", []) => text.trim_start().to_owned(),
        ("rstrip", []) => text.trim_end().to_owned(),
        ("removeprefix", [Value::Text(prefix)]) => text.strip_prefix(&**prefix).unwrap_or(text).to_owned(),
        ("removesuffix", [Value::Text(suffix)]) => text.strip_suffix(&**suffix).unwrap_or(text).to_owned(),
        ("replace", [Value::Text(old), Value::Text(new)]) if !old.is_empty() => text.replace(&**old, new),
        ("join", [Value::List(parts)]) => {
            let parts: Option<Vec<&str>> = parts
                .iter()
                .map(|part| match part {
                    Value::Text(part) => Some(part.as_str()),
                    _ => None,
                })
                .collect();
            parts?.join(text)
        }
        _ => return None,
    })
}

/// `"{}-{name}-{0}".format(...)`, without conversions and format specifications.
fn formatted(template: &str, arguments: &[Value<'_>], named: &[(&str, Value<'_>)]) -> Option<String> {
    let mut folded = String::new();
    let mut rest = template;
    let mut next = 0;
    while let Some(brace) = rest.find(['{', '}']) {
        let (before, from_brace) = rest.split_at(brace);
        folded.push_str(before);
        if let Some(after) = from_brace.strip_prefix("{{") {
            folded.push('{');
            rest = after;
        } else if let Some(after) = from_brace.strip_prefix("}}") {
            folded.push('}');
            rest = after;
        } else {
            let (field, after) = from_brace.strip_prefix('{')?.split_once('}')?;
            let value = if field.is_empty() {
                next += 1;
                arguments.get(next - 1)
            } else if let Ok(index) = field.parse::<usize>() {
                arguments.get(index)
            } else {
                named.iter().find(|(name, _)| *name == field).map(|(_, value)| value)
            };
            folded.push_str(&value?.text()?);
            rest = after;
        }
    }
    folded.push_str(rest);
    Some(folded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_filled_by_place_number_and_name() {
        let text = |text: &str| Value::Text(text.to_owned());
        let check = |template: &str, expect: Option<&str>| {
            let named = [("stage", text("dev"))];
            let found = formatted(template, &[text("a"), Value::Int(2)], &named);
            assert_eq!(found.as_deref(), expect, "{template}");
        };
        check("{}-{}-{stage}", Some("a-2-dev"));
        check("{1}{0}{{}}", Some("2a{}"));
        check("{}{}{}", None);
        check("{none}", None);
        check("{0!r}", None);
        check("{0:>3}", None);
        check("{", None);
        check("}", None);
    }
}
