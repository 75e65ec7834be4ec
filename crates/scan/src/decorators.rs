//! Which functions are deployed, on which resource, with which options: `@remote(...)`, `@Endpoint(...)` and the routes of
//! an `Endpoint` object, in all their spellings.

use flash_model::{Code, Diagnostic, EndpointKind, HttpMethod};
use ruff_python_ast::{Decorator, Expr, ExprAttribute, ExprCall};
use ruff_text_size::{Ranged, TextRange};
use rustc_hash::FxHashSet;

use crate::arguments::{Arguments, Given, Signature, Site, Variables};
use crate::fields::Fields;
use crate::fold::fold;
use crate::imports::{FileIndex, Project};
use crate::resolve::Entity;
use crate::resources::{REMOTE_ARGUMENTS, Symbol};
use crate::specification::class_of_endpoint;
use crate::stray;
use crate::survey::{Decorated, Definition};
use crate::value::{Dialect, ResourceCall, Value};

/// Names of decorators followed before a circle is assumed.
const ALIASES_MAX: usize = 16;
const REMOTE_UNDEFINED: &str = "`remote` is not defined in this file";
/// Methods of an `Endpoint` that declare a route.
const VERBS: [&str; 5] = ["delete", "get", "patch", "post", "put"];

/// A decorated function or class that is to be deployed.
#[derive(Debug)]
pub(crate) struct RemoteUse<'a> {
    pub(crate) file: FileIndex,
    pub(crate) definition: Definition<'a>,
    pub(crate) style: Style,
    /// The decorator.
    pub(crate) range: TextRange,
    pub(crate) resource: ResourceCall<'a>,
    pub(crate) dependencies: Vec<String>,
    pub(crate) system_dependencies: Vec<String>,
    pub(crate) method: RouteText,
    pub(crate) path: RouteText,
    /// Of the decorator's own arguments.
    pub(crate) variables: Variables,
}

/// How a function is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// `@remote(config)`.
    Remote,
    /// `@Endpoint(...)` or `@endpoint`.
    Direct,
    /// `@endpoint.get("/path")`.
    Route,
}

/// `method=` or `path=`.
#[derive(Debug)]
pub(crate) enum RouteText {
    Missing,
    /// Given, but already reported as unreadable.
    Unreadable,
    Given(String, TextRange),
}

impl RouteText {
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Given(text, _) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn range(&self) -> Option<TextRange> {
        match self {
            Self::Given(_, range) => Some(*range),
            _ => None,
        }
    }
}

/// All deployed functions, in the order of files and lines.
pub(crate) fn remote_uses<'a>(
    project: &Project<'a>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<RemoteUse<'a>> {
    let mut uses = Vec::new();
    let mut accepted = FxHashSet::default();
    for (file, survey) in project.candidates() {
        for decorated in &survey.decorated {
            let mut decorators = decorated.definition.decorators().iter();
            let mut next = |diagnostics: &mut Vec<Diagnostic>| {
                decorators.find_map(|decorator| {
                    let found = declaration(project, file, decorator, diagnostics)?;
                    Some((found, decorator.expression.range()))
                })
            };
            let declared = next(diagnostics).map(|(declared, range)| {
                accepted.insert((file, range));
                while let Some((_, again)) = next(diagnostics) {
                    accepted.insert((file, again));
                    diagnostics.push(deployed_twice(project, file, decorated, range, again));
                }
                accepted.insert((file, declared.range()));
                declared
            });
            let found = declared.and_then(|declaration| match declaration {
                Declaration::Remote(call) => remote_use(project, file, decorated, call, diagnostics),
                Declaration::Direct(resource, range) => direct_use(file, decorated, resource, range),
                Declaration::Route(resource, verb, call) => {
                    route_use(project, file, decorated, resource, verb, call, diagnostics)
                }
            });
            uses.extend(found.filter(|_| is_at_module_level(project, file, decorated, diagnostics)));
        }
    }
    stray::deployments(project, &accepted, diagnostics);
    settle_endpoints(project, &mut uses, diagnostics);
    uses
}

/// A decorator of the framework's.
#[derive(Debug)]
enum Declaration<'a> {
    Remote(&'a ExprCall),
    Direct(ResourceCall<'a>, TextRange),
    Route(ResourceCall<'a>, &'a ExprAttribute, &'a ExprCall),
}

impl Declaration<'_> {
    /// Of the call that declares, which may stand elsewhere than the decorator.
    fn range(&self) -> TextRange {
        match self {
            Self::Remote(call) | Self::Route(_, _, call) => call.range(),
            Self::Direct(_, range) => *range,
        }
    }
}

fn deployed_twice(
    project: &Project<'_>,
    file: FileIndex,
    decorated: &Decorated<'_>,
    first: TextRange,
    again: TextRange,
) -> Diagnostic {
    let name = decorated.definition.name();
    Diagnostic::error(Code::DuplicateFunction, format!("`{name}` is decorated for deployment twice"))
        .at(project.files[file].span(again))
        .related(project.files[file].span(first), "it is deployed here already")
        .hint("deploy another function that calls this one, or leave one of the decorators away")
}

/// `gpu = remote(config)` and `on_get = api.get("/x")` in the decorator's own file are what `@gpu` and `@on_get` say.
fn spelt_out<'a>(project: &Project<'a>, file: FileIndex, decorator: &'a Expr) -> &'a Expr {
    let mut spelt = decorator;
    for _ in 0..ALIASES_MAX {
        spelt = match spelt {
            Expr::Named(named) => &named.value,
            Expr::Name(name) if project.surveys[file].bindings.contains_key(name.id.as_str()) => {
                match project.resolve(file, spelt) {
                    Ok(Entity::Value { file: home, expression, .. }) if home == file => expression,
                    _ => return spelt,
                }
            }
            _ => return spelt,
        };
    }
    decorator
}

/// What the decorator declares if it is one of ours; one of ours that cannot be used is reported.
fn declaration<'a>(
    project: &Project<'a>,
    file: FileIndex,
    decorator: &'a Decorator,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Declaration<'a>> {
    let expression = spelt_out(project, file, &decorator.expression);
    let (callee, call) = match expression {
        Expr::Call(call) => (spelt_out(project, file, &call.func), Some(call)),
        expression => (expression, None),
    };
    // Most decorators are Python's own: not worth following.
    let is_remote_by_name = matches!(callee, Expr::Name(name) if name.id == "remote");
    if !is_remote_by_name && !project.is_bound(file, callee) {
        return None;
    }
    let report = |diagnostics: &mut Vec<Diagnostic>, code: Code, message: String, hint: String| {
        let span = project.files[file].span(expression.range());
        let is_again = |known: &Diagnostic| {
            known.message == REMOTE_UNDEFINED
                && known.span.as_ref().is_some_and(|known| known.file == span.file)
        };
        // One import mends all of a file's decorators.
        if message != REMOTE_UNDEFINED || !diagnostics.iter().rev().any(is_again) {
            diagnostics.push(Diagnostic::error(code, message).at(span).hint(hint));
        }
    };
    let unresolved = Code::UnresolvedResource;
    if is_remote(project, file, callee) {
        if call.is_none() {
            let message = "`@remote` without a resource configuration".to_owned();
            let hint = "write `@remote(config)` with a resource such as `LiveServerless(name=\"...\")`";
            report(diagnostics, unresolved, message, hint.to_owned());
        }
        return call.map(Declaration::Remote);
    }
    if let Some(Symbol::Endpoint) = project.symbol(file, callee)
        && call.is_none()
    {
        let hint = "write `@Endpoint(name=\"...\")`".to_owned();
        report(diagnostics, unresolved, "`@Endpoint` without arguments".to_owned(), hint);
        return None;
    }
    if let Some((resource, verb)) = routes_of(project, file, callee, diagnostics) {
        if call.is_none() {
            let message = format!("`.{}` of an `Endpoint` without a path", verb.attr);
            let hint = format!("write `.{}(\"/path\")`", verb.attr);
            report(diagnostics, Code::MissingRoute, message, hint);
        }
        return call.map(|call| Declaration::Route(resource, verb, call));
    }
    if let Some(resource) = endpoint(project, file, &decorator.expression, diagnostics) {
        return Some(Declaration::Direct(resource, decorator.expression.range()));
    }
    // A decorator of this name that leads nowhere is a forgotten import far more often than anything else.
    if is_remote_by_name && !project.files[file].broken() && project.resolve(file, callee).is_err() {
        let hint = "add `from tetra_rp import remote`".to_owned();
        report(diagnostics, unresolved, REMOTE_UNDEFINED.to_owned(), hint);
    }
    None
}

/// The endpoint and the verb of `api.get`.
pub(crate) fn routes_of<'a>(
    project: &Project<'a>,
    file: FileIndex,
    callee: &'a Expr,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<(ResourceCall<'a>, &'a ExprAttribute)> {
    let verb = callee.as_attribute_expr().filter(|verb| VERBS.contains(&verb.attr.as_str()))?;
    Some((endpoint(project, file, &verb.value, diagnostics)?, verb))
}

/// `remote` itself, or `app.remote` of a `FlashApp`.
pub(crate) fn is_remote<'a>(project: &Project<'a>, file: FileIndex, callee: &'a Expr) -> bool {
    if project.symbol(file, callee) == Some(Symbol::Remote) {
        return true;
    }
    let Expr::Attribute(attribute) = callee else { return false };
    let Ok(Entity::Value { file: home, expression: Expr::Call(made), .. }) =
        project.resolve(file, &attribute.value)
    else {
        return false;
    };
    attribute.attr.as_str() == "remote" && project.symbol(home, &made.func) == Some(Symbol::FlashApp)
}

/// The `Endpoint` that an expression is. One that cannot be followed to its end is reported if it leads to an `Endpoint`.
fn endpoint<'a>(
    project: &Project<'a>,
    file: FileIndex,
    expression: &'a Expr,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<ResourceCall<'a>> {
    match fold(project, file, expression) {
        Ok(Value::Resource(resource)) if resource.dialect == Dialect::Endpoint => Some(resource),
        Ok(_) => None,
        Err(unresolved) => {
            let bound = match project.resolve(file, expression) {
                Ok(Entity::Value { file, expression, .. }) => Some((file, expression.range())),
                _ => None,
            };
            let stopped = (unresolved.file, unresolved.range);
            if bound.into_iter().chain([stopped]).any(|place| makes_endpoint(project, place)) {
                let what = "the endpoint cannot be resolved";
                let hint = "bind it at module level: `api = Endpoint(name=\"...\")`";
                let site = (file, expression.range());
                let code = Code::UnresolvedResource;
                diagnostics.extend(unresolved.diagnostic(project, code, what, site, hint));
            }
            None
        }
    }
}

/// Whether source calls `Endpoint`.
fn makes_endpoint(project: &Project<'_>, (file, range): (FileIndex, TextRange)) -> bool {
    let source = project.files[file].source(range);
    let calls = |name: &&&str| source.contains(&format!("{name}("));
    project.surveys[file].bindings.keys().filter(calls).any(|name| project.is_endpoint(file, name))
}

fn is_at_module_level(
    project: &Project<'_>,
    file: FileIndex,
    decorated: &Decorated<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> bool {
    let Some(place) = decorated.nested_in else { return true };
    let name = decorated.definition.name();
    let article = if place.starts_with('`') { "" } else { "a " };
    diagnostics.push(
        Diagnostic::error(
            Code::NestedFunction,
            format!("`{name}` is decorated for deployment inside {article}{place}"),
        )
        .at(project.files[file].span(name.range))
        .hint("move the definition to module level, so that a worker can import it"),
    );
    false
}

fn remote_use<'a>(
    project: &Project<'a>,
    file: FileIndex,
    decorated: &Decorated<'a>,
    call: &'a ExprCall,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<RemoteUse<'a>> {
    let signature = Signature { name: "@remote", positional: &REMOTE_ARGUMENTS, keywords: &REMOTE_ARGUMENTS };
    let arguments = Arguments::read(project, Site::of_module(file, call), signature, diagnostics);
    let mut fields = Fields { arguments: &arguments, diagnostics };
    if fields.boolean("local") == Some(true) {
        return None;
    }
    let dependencies = fields.texts("dependencies", "[\"torch\"]");
    let system_dependencies = fields.texts("system_dependencies", "[\"ffmpeg\"]");
    let method = route_text(&arguments, "method", "method=\"POST\"", diagnostics);
    let path = route_text(&arguments, "path", "path=\"/predict\"", diagnostics);
    let resource = resource(&arguments, diagnostics)?;
    let variables = arguments.variables();
    Some(RemoteUse {
        file,
        definition: decorated.definition,
        style: Style::Remote,
        range: call.range(),
        resource,
        dependencies,
        system_dependencies,
        method,
        path,
        variables,
    })
}

fn direct_use<'a>(
    file: FileIndex,
    decorated: &Decorated<'a>,
    resource: ResourceCall<'a>,
    range: TextRange,
) -> Option<RemoteUse<'a>> {
    Some(RemoteUse {
        file,
        definition: decorated.definition,
        style: Style::Direct,
        range,
        resource,
        dependencies: Vec::new(),
        system_dependencies: Vec::new(),
        method: RouteText::Missing,
        path: RouteText::Missing,
        variables: Variables::new(),
    })
}

fn route_use<'a>(
    project: &Project<'a>,
    file: FileIndex,
    decorated: &Decorated<'a>,
    resource: ResourceCall<'a>,
    verb: &'a ExprAttribute,
    call: &'a ExprCall,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<RemoteUse<'a>> {
    let name = format!("Endpoint.{}", verb.attr);
    let signature = Signature { name: &name, positional: &["path"], keywords: &["path"] };
    let arguments = Arguments::read(project, Site::of_module(file, call), signature, diagnostics);
    let path = route_text(&arguments, "path", "\"/predict\"", diagnostics);
    let method: HttpMethod = verb.attr.to_uppercase().parse().ok()?;
    Some(RemoteUse {
        file,
        definition: decorated.definition,
        style: Style::Route,
        range: call.range(),
        resource,
        dependencies: Vec::new(),
        system_dependencies: Vec::new(),
        method: RouteText::Given(method.as_str().to_owned(), verb.attr.range),
        path,
        variables: arguments.variables(),
    })
}

/// An endpoint with routes is load-balanced, one that decorates directly has a queue, and none is both.
fn settle_endpoints<'a>(
    project: &Project<'a>,
    uses: &mut Vec<RemoteUse<'a>>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let mut settled: Vec<(ResourceCall<'_>, usize)> = Vec::new();
    let mut mixed = Vec::new();
    for user in 0..uses.len() {
        if uses[user].resource.dialect != Dialect::Endpoint {
            continue;
        }
        let first = settled.iter().find(|(resource, _)| *resource == uses[user].resource);
        let class = match first.map(|(_, first)| &uses[*first]) {
            Some(first) if is_route(first) != is_route(&uses[user]) => {
                diagnostics.push(both_kinds(project, first, &uses[user]));
                mixed.push(user);
                continue;
            }
            Some(first) => first.resource.class,
            None => {
                let remote = &uses[user];
                let kind = if is_route(remote) { EndpointKind::LoadBalanced } else { EndpointKind::Queue };
                settled.push((remote.resource.clone(), user));
                class_of_endpoint(project, &remote.resource, kind)
            }
        };
        uses[user].resource.class = class;
    }
    let mut index = 0;
    uses.retain(|_| {
        index += 1;
        !mixed.contains(&(index - 1))
    });
}

/// `@remote(endpoint, method=..., path=...)` declares a route, too.
fn is_route(remote: &RemoteUse<'_>) -> bool {
    match remote.style {
        Style::Remote => !matches!((&remote.method, &remote.path), (RouteText::Missing, RouteText::Missing)),
        style => style == Style::Route,
    }
}

fn both_kinds<'a>(project: &Project<'a>, first: &RemoteUse<'a>, second: &RemoteUse<'a>) -> Diagnostic {
    let span = |remote: &RemoteUse<'_>| project.files[remote.file].span(remote.range);
    Diagnostic::error(
        Code::InvalidValue,
        "one `Endpoint` both decorates functions directly and has routes".to_owned(),
    )
    .at(span(second))
    .related(span(first), "it is used the other way here")
    .hint("make an endpoint for each: one with a queue, one with routes")
}

fn resource<'a>(
    arguments: &Arguments<'_, 'a>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<ResourceCall<'a>> {
    let hint = "bind it at module level, `config = LiveServerless(name=\"...\")`, and pass that name";
    let code = Code::UnresolvedResource;
    let Some(range) = arguments.range("resource_config") else {
        if !arguments.incomplete {
            diagnostics.push(
                Diagnostic::error(code, "`@remote` without a resource configuration")
                    .at(arguments.callee_span())
                    .hint("pass a resource first: `@remote(LiveServerless(name=\"...\"))`"),
            );
        }
        return None;
    };
    let value = match arguments.expression("resource_config") {
        Some(expression) => match arguments.fold("resource_config", expression) {
            Ok(value) => value,
            Err(unresolved) => {
                let what = "the resource configuration cannot be resolved";
                let site = (arguments.file, range);
                diagnostics.extend(unresolved.diagnostic(arguments.project, code, what, site, hint));
                return None;
            }
        },
        None => arguments.value("resource_config", diagnostics)?.value,
    };
    match value {
        Value::Resource(resource) => Some(resource),
        other => {
            diagnostics.push(
                Diagnostic::error(
                    code,
                    format!("expected a resource configuration, found {}", other.describe()),
                )
                .at(arguments.span(range))
                .hint(hint),
            );
            None
        }
    }
}

fn route_text(
    arguments: &Arguments<'_, '_>,
    name: &str,
    example: &str,
    diagnostics: &mut Vec<Diagnostic>,
) -> RouteText {
    if !arguments.has(name) {
        return if arguments.incomplete { RouteText::Unreadable } else { RouteText::Missing };
    }
    let problems = diagnostics.len();
    match arguments.value(name, diagnostics) {
        Some(Given { value: Value::Text(text), range }) => RouteText::Given(text, range),
        Some(Given { value, .. }) => {
            diagnostics.push(wrong(arguments, name, "a text", &value, example));
            RouteText::Unreadable
        }
        None if diagnostics.len() > problems => RouteText::Unreadable,
        None => RouteText::Missing,
    }
}

fn wrong(
    arguments: &Arguments<'_, '_>,
    name: &str,
    expected: &str,
    found: &Value<'_>,
    example: &str,
) -> Diagnostic {
    let range = arguments.range(name).unwrap_or_else(|| arguments.call.range());
    Diagnostic::error(Code::InvalidValue, format!("`{name}` must be {expected}, found {}", found.describe()))
        .at(arguments.span(range))
        .hint(format!("write for example `{example}`"))
}
