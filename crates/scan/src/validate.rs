//! Rules of HTTP routes: what a load-balanced function must say, what it may not, and who is in whose way.

use std::collections::{BTreeMap, BTreeSet};

use flash_model::{Code, Diagnostic, HttpMethod, RESERVED_PATHS, RESERVED_PREFIX, Span};
use ruff_python_ast::Expr;
use ruff_text_size::{Ranged, TextRange, TextSize};

use crate::decorators::{RemoteUse, RouteText, Style};
use crate::fold::fold;
use crate::imports::{FileIndex, Project};
use crate::resources::Symbol;
use crate::specification::{Specified, check_unused};
use crate::suggest;
use crate::survey::Definition;
use crate::value::Value;

/// Routes that one resource has so far: method and path with its parameters' names left out → function and place.
pub(crate) type Taken = BTreeMap<(HttpMethod, String), (String, Span)>;

/// The route of a function of a load-balanced resource, if it has a valid one. Everything that is wrong is reported.
pub(crate) fn route(
    project: &Project<'_>,
    remote: &RemoteUse<'_>,
    taken: &mut Taken,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<(HttpMethod, String)> {
    let problems = diagnostics.len();
    let file = &project.files[remote.file];
    let span = |range: Option<TextRange>| file.span(range.unwrap_or(remote.range));
    let name = remote.definition.name().as_str();
    missing(remote, span(Some(remote.definition.name().range())), diagnostics);
    let method =
        remote.method.text().and_then(|text| check_method(text, span(remote.method.range()), diagnostics));
    let path = remote.path.text()?;
    let path_span = span(remote.path.range());
    let parameters = check_path(path, &path_span, diagnostics)?;
    if let Definition::Function(function) = remote.definition
        && function.parameters.kwarg.is_none()
    {
        let known: Vec<&str> =
            function.parameters.iter().map(|parameter| parameter.name().as_str()).collect();
        for parameter in parameters.iter().filter(|parameter| !known.contains(&parameter.as_str())) {
            let hint = match suggest::closest(parameter, known.iter().copied()) {
                Some(candidate) => format!("did you mean `{{{candidate}}}`?"),
                None => format!("add `{parameter}` to the parameters of `{name}`"),
            };
            diagnostics.push(
                Diagnostic::error(
                    Code::MissingPathParameter,
                    format!("the path has `{{{parameter}}}`, which `{name}` does not take"),
                )
                .at(path_span.clone())
                .related(file.span(remote.definition.name().range()), format!("`{name}` is defined here"))
                .hint(hint),
            );
        }
    }
    let method = method?;
    match taken.get(&(method, shape(path))) {
        Some((other, other_span)) => diagnostics.push(
            Diagnostic::error(
                Code::RouteConflict,
                format!("`{name}` and `{other}` both serve {method} {path}"),
            )
            .at(path_span)
            .related(other_span.clone(), format!("`{other}` has the route first"))
            .hint("give one of them another path or method"),
        ),
        None => {
            taken.insert((method, shape(path)), (name.to_owned(), path_span));
        }
    }
    (diagnostics.len() == problems).then(|| (method, path.to_owned()))
}

/// A queue resource has no routes: what is said about one is ignored, with a warning.
pub(crate) fn ignored_route(
    project: &Project<'_>,
    remote: &RemoteUse<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let given: Vec<&str> = [("method", &remote.method), ("path", &remote.path)]
        .into_iter()
        .filter(|(_, text)| text.text().is_some())
        .map(|(name, _)| name)
        .collect();
    let Some(range) = remote.method.range().or(remote.path.range()) else { return };
    diagnostics.push(
        Diagnostic::warning(
            Code::IgnoredRoute,
            format!(
                "`{}` {} ignored: `{}` is a queue resource",
                given.join("` and `"),
                if given.len() == 1 { "is" } else { "are" },
                remote.resource.constructor()
            ),
        )
        .at(project.files[remote.file].span(range))
        .hint("use a load balancer class such as `LiveLoadBalancer` to serve HTTP routes"),
    );
}

/// `config.workersMax = 3` after `config` was made: what the configuration says would not be what it is.
pub(crate) fn assigned_attributes(
    project: &Project<'_>,
    uses: &[RemoteUse<'_>],
    diagnostics: &mut Vec<Diagnostic>,
) {
    for (file, survey) in project.candidates() {
        for attribute in &survey.attributes_assigned {
            let Ok(Value::Resource(resource)) = fold(project, file, &attribute.value) else { continue };
            if !uses.iter().any(|remote| remote.resource == resource) {
                continue;
            }
            let name = attribute.attr.as_str();
            diagnostics.push(
                Diagnostic::error(
                    Code::UnresolvedValue,
                    format!("`{name}` of a resource is assigned after the resource was made"),
                )
                .at(project.files[file].span(attribute.range))
                .related(project.files[resource.file].span(resource.call.func.range()), "it is made here")
                .hint(format!("give `{name}` to the constructor")),
            );
        }
    }
}

/// Configurations bound at module level that no function uses.
pub(crate) fn unused_configurations(
    project: &Project<'_>,
    uses: &[RemoteUse<'_>],
    diagnostics: &mut Vec<Diagnostic>,
) {
    let used: BTreeSet<(FileIndex, TextSize)> =
        uses.iter().map(|remote| (remote.resource.file, remote.resource.call.range().start())).collect();
    for (file, survey) in project.candidates() {
        for value in survey.bindings.values().flatten().filter_map(|bound| bound.binding.value()) {
            let is_used = used.contains(&(file, value.range().start()));
            if !is_used
                && let Expr::Call(call) = value
                && matches!(project.symbol(file, &call.func), Some(Symbol::Resource(_) | Symbol::Endpoint))
                && let Ok(Value::Resource(resource)) = fold(project, file, value)
            {
                check_unused(project, &resource, diagnostics);
            }
        }
    }
}

/// Names that are one name wherever case and punctuation do not count: file names, host names.
pub(crate) fn similar_names<'s>(
    resources: impl Iterator<Item = &'s Specified>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let mut seen: BTreeMap<String, &Specified> = BTreeMap::new();
    for resource in resources {
        let derived = derived_name(resource.name.as_str());
        if let Some(first) = seen.get(&derived) {
            diagnostics.push(
                Diagnostic::warning(
                    Code::SimilarNames,
                    format!("the names \"{}\" and \"{}\" differ only in case or punctuation", first.name, resource.name),
                )
                .at(resource.name_span.clone())
                .related(first.name_span.clone(), format!("\"{}\" is named here", first.name))
                .hint("names derived from them get a digest to tell them apart; choose names that differ in letters or digits"),
            );
        } else {
            seen.insert(derived, resource);
        }
    }
}

/// Lower case, everything but letters and digits as `-`, without the suffix that the reference gave to names.
fn derived_name(name: &str) -> String {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    plain.trim_end_matches("-fb").to_owned()
}

fn missing(remote: &RemoteUse<'_>, span: Span, diagnostics: &mut Vec<Diagnostic>) {
    let method_missing = matches!(remote.method, RouteText::Missing);
    let path_missing = matches!(remote.path, RouteText::Missing);
    let what = match (method_missing, path_missing) {
        (true, true) => "method or path",
        (true, false) => "method",
        (false, true) => "path",
        (false, false) => return,
    };
    let name = remote.definition.name();
    let method = remote.method.text().unwrap_or("POST");
    let default_path = format!("/{name}");
    let path = remote.path.text().unwrap_or(&default_path);
    diagnostics.push(
        Diagnostic::error(
            Code::MissingRoute,
            format!("`{name}` is on the load-balanced `{}` and has no {what}", remote.resource.constructor()),
        )
        .at(span)
        .hint(match remote.style {
            Style::Remote => format!("write `@remote(config, method=\"{method}\", path=\"{path}\")`"),
            Style::Direct | Style::Route => {
                format!("write `@endpoint.{}(\"{path}\")`", method.to_lowercase())
            }
        }),
    );
}

fn check_method(text: &str, span: Span, diagnostics: &mut Vec<Diagnostic>) -> Option<HttpMethod> {
    let parsed = text.parse().ok();
    if parsed.is_none() {
        let upper = text.to_uppercase();
        let hint = match upper.parse::<HttpMethod>() {
            Ok(method) => format!("write it in upper case: \"{method}\""),
            Err(()) => format!("use one of {}", HttpMethod::ALL.map(HttpMethod::as_str).join(", ")),
        };
        diagnostics.push(
            Diagnostic::error(
                Code::InvalidMethod,
                format!("\"{}\" is not an HTTP method", text.escape_debug()),
            )
            .at(span)
            .hint(hint),
        );
    }
    parsed
}

/// The names of the path's parameters, if the path is well-formed.
fn check_path(path: &str, span: &Span, diagnostics: &mut Vec<Diagnostic>) -> Option<Vec<String>> {
    let mut invalid = |message: String, hint: String| {
        diagnostics.push(Diagnostic::error(Code::InvalidPath, message).at(span.clone()).hint(hint));
    };
    let shown = path.escape_debug();
    if !path.starts_with('/') {
        invalid(format!("the path \"{shown}\" does not start with \"/\""), format!("write \"/{shown}\""));
        return None;
    }
    if path.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#' | '\\')) {
        invalid(
            format!("the path \"{shown}\" holds a character that paths cannot have"),
            "use letters, digits, \"-\", \"_\", \".\", \"/\" and {parameters}".to_owned(),
        );
        return None;
    }
    let mut parameters: Vec<String> = Vec::new();
    for segment in path.split('/').filter(|segment| segment.contains(['{', '}'])) {
        let inner = segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or("");
        let name = inner.split_once(':').map_or(inner, |(name, _)| name);
        let is_identifier = name.chars().next().is_some_and(|first| first.is_alphabetic() || first == '_')
            && name.chars().all(|c| c.is_alphanumeric() || c == '_');
        if !is_identifier {
            invalid(
                format!("\"{}\" is not a path parameter", segment.escape_debug()),
                "write a whole segment as \"{name}\", with a Python identifier".to_owned(),
            );
            return None;
        }
        if parameters.iter().any(|known| known == name) {
            invalid(
                format!("the path has `{{{name}}}` twice"),
                "give each parameter its own name".to_owned(),
            );
            return None;
        }
        parameters.push(name.to_owned());
    }
    let trimmed = path.trim_end_matches('/');
    let below_prefix =
        path.strip_prefix(RESERVED_PREFIX).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if below_prefix || RESERVED_PATHS.contains(&trimmed) {
        diagnostics.push(
            Diagnostic::error(
                Code::ReservedPath,
                format!("the path \"{shown}\" is answered by Flash itself"),
            )
            .at(span.clone())
            .hint(format!(
                "choose a path other than {} and anything below {RESERVED_PREFIX}",
                RESERVED_PATHS.join(", ")
            )),
        );
    }
    Some(parameters)
}

/// `/u/{id}` and `/u/{name}` catch the same requests.
fn shape(path: &str) -> String {
    let segments = path.split('/').map(|segment| match segment.strip_prefix('{') {
        Some(parameter) if parameter.ends_with(":path}") => "{*}",
        Some(_) => "{}",
        None => segment,
    });
    segments.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expect: Result<&[&str], Code>) {
        let span = Span { file: "a.py".to_owned(), line: 1, column: 1, end_line: 1, end_column: 1 };
        let mut diagnostics = Vec::new();
        let parameters = check_path(path, &span, &mut diagnostics);
        match expect {
            Ok(names) => {
                assert!(diagnostics.is_empty(), "{path}: {diagnostics:?}");
                assert_eq!(parameters.unwrap(), names, "{path}");
            }
            Err(code) => assert_eq!(diagnostics.iter().map(|d| d.code).collect::<Vec<_>>(), [code], "{path}"),
        }
    }

    #[test]
    fn paths_have_their_rules() {
        check("/", Ok(&[]));
        check("/a/{id}/b/{rest:path}", Ok(&["id", "rest"]));
        check("/pings", Ok(&[]));
        check("/_flasher", Ok(&[]));
        check("a", Err(Code::InvalidPath));
        check("", Err(Code::InvalidPath));
        check("/a b", Err(Code::InvalidPath));
        check("/a?x=1", Err(Code::InvalidPath));
        check("/a/{", Err(Code::InvalidPath));
        check("/a/x{id}", Err(Code::InvalidPath));
        check("/{a}/{a}", Err(Code::InvalidPath));
        check("/ping", Err(Code::ReservedPath));
        check("/ping/", Err(Code::ReservedPath));
        check("/_flash", Err(Code::ReservedPath));
        check("/_flash/jobs", Err(Code::ReservedPath));
    }

    #[test]
    fn parameter_names_do_not_make_routes_differ() {
        assert_eq!(shape("/u/{id}"), shape("/u/{name}"));
        assert_ne!(shape("/u/{id}"), shape("/u/me"));
        assert_ne!(shape("/u/{id}"), shape("/u/{rest:path}"));
    }
}
