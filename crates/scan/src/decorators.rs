//! `@remote(...)` in all its spellings: which functions are deployed, on which resource, with which options.

use flash_model::{Code, Diagnostic};
use ruff_python_ast::{Decorator, Expr, ExprCall};
use ruff_text_size::{Ranged, TextRange};

use crate::arguments::{Arguments, Given, Signature};
use crate::fold::fold;
use crate::imports::{FileIndex, Project};
use crate::resolve::Entity;
use crate::resources::Symbol;
use crate::survey::{Decorated, Definition};
use crate::value::{ResourceCall, Value};

/// In the order of positions.
const PARAMETERS: [&str; 7] = [
    "resource_config",
    "dependencies",
    "system_dependencies",
    "accelerate_downloads",
    "local",
    "method",
    "path",
];
const REMOTE_UNDEFINED: &str = "`remote` is not defined in this file";

/// A decorated function or class that is to be deployed.
#[derive(Debug)]
pub(crate) struct RemoteUse<'a> {
    pub(crate) file: FileIndex,
    pub(crate) definition: Definition<'a>,
    /// The decorator's call.
    pub(crate) range: TextRange,
    pub(crate) resource: ResourceCall<'a>,
    pub(crate) dependencies: Vec<String>,
    pub(crate) system_dependencies: Vec<String>,
    pub(crate) method: RouteText,
    pub(crate) path: RouteText,
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
    for (file, survey) in project.surveys.iter().enumerate() {
        for decorated in &survey.decorated {
            let found = decorated
                .definition
                .decorators()
                .iter()
                .find_map(|decorator| remote_call(project, file, decorator, diagnostics));
            if let Some(call) = found {
                uses.extend(remote_use(project, file, decorated, call, diagnostics));
            }
        }
    }
    uses
}

/// The decorator's call if it is one of ours; one of ours that cannot be used is reported.
fn remote_call<'a>(
    project: &Project<'a>,
    file: FileIndex,
    decorator: &'a Decorator,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<&'a ExprCall> {
    let (callee, call) = match &decorator.expression {
        Expr::Call(call) => (&*call.func, Some(call)),
        expression => (expression, None),
    };
    let mut report = |message: &str, hint: &str| {
        let span = project.files[file].span(decorator.expression.range());
        let is_again = |known: &Diagnostic| {
            known.message == REMOTE_UNDEFINED
                && known.span.as_ref().is_some_and(|known| known.file == span.file)
        };
        // One import mends all of a file's decorators.
        if message == REMOTE_UNDEFINED && diagnostics.iter().rev().any(is_again) {
            return;
        }
        diagnostics.push(Diagnostic::error(Code::UnresolvedResource, message).at(span).hint(hint));
    };
    match declares(project, file, callee) {
        Some(Symbol::Remote) if call.is_none() => {
            report(
                "`@remote` without a resource configuration",
                "write `@remote(config)` with a resource such as `LiveServerless(name=\"...\")`",
            );
            None
        }
        Some(Symbol::Remote) => call,
        Some(Symbol::Endpoint) => {
            report(
                "`Endpoint` declarations are not read yet",
                "use `@remote(config)` with a resource such as `LiveServerless(name=\"...\")`",
            );
            None
        }
        _ => {
            // A decorator of this name that leads nowhere is a forgotten import far more often than anything else.
            let is_remote = matches!(callee, Expr::Name(name) if name.id == "remote");
            if is_remote && !project.files[file].broken && project.resolve(file, callee).is_err() {
                report(REMOTE_UNDEFINED, "add `from tetra_rp import remote`");
            }
            None
        }
    }
}

/// `remote` itself, `app.remote` of a `FlashApp`, or something of an `Endpoint`.
fn declares<'a>(project: &Project<'a>, file: FileIndex, callee: &'a Expr) -> Option<Symbol> {
    let symbol = project.symbol(file, callee);
    if matches!(symbol, Some(Symbol::Remote | Symbol::Endpoint)) {
        return symbol;
    }
    let Expr::Attribute(attribute) = callee else { return None };
    let Ok(Entity::Value { file: home, expression: Expr::Call(made) }) =
        project.resolve(file, &attribute.value)
    else {
        return None;
    };
    match project.symbol(home, &made.func) {
        Some(Symbol::FlashApp) if attribute.attr.as_str() == "remote" => Some(Symbol::Remote),
        Some(Symbol::Endpoint) => Some(Symbol::Endpoint),
        _ => None,
    }
}

fn remote_use<'a>(
    project: &Project<'a>,
    file: FileIndex,
    decorated: &Decorated<'a>,
    call: &'a ExprCall,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<RemoteUse<'a>> {
    let signature = Signature { name: "@remote", positional: &PARAMETERS, keywords: &PARAMETERS };
    let arguments = Arguments::read(project, file, call, signature, diagnostics);
    let definition = decorated.definition;
    match arguments.value("local", diagnostics).map(|given| given.value) {
        Some(Value::Bool(true)) => return None,
        None | Some(Value::Bool(false)) => {}
        Some(other) => diagnostics.push(wrong(&arguments, "local", "True or False", &other, "local=True")),
    }
    let dependencies = texts(&arguments, "dependencies", "[\"torch\"]", diagnostics);
    let system_dependencies = texts(&arguments, "system_dependencies", "[\"ffmpeg\"]", diagnostics);
    let method = route_text(&arguments, "method", "method=\"POST\"", diagnostics);
    let path = route_text(&arguments, "path", "path=\"/predict\"", diagnostics);
    let resource = resource(&arguments, diagnostics);
    if let Some(place) = decorated.nested_in {
        let name = definition.name();
        diagnostics.push(
            Diagnostic::error(
                Code::NestedFunction,
                format!("`{name}` is decorated with `@remote` inside a {place}").replace("a `", "`"),
            )
            .at(project.files[file].span(name.range))
            .hint("move the definition to module level, so that a worker can import it"),
        );
        return None;
    }
    Some(RemoteUse {
        file,
        definition,
        range: call.range(),
        resource: resource?,
        dependencies,
        system_dependencies,
        method,
        path,
    })
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
        Some(expression) => match fold(arguments.project, arguments.file, expression) {
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

fn texts(
    arguments: &Arguments<'_, '_>,
    name: &str,
    example: &str,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<String> {
    let Some(Given { value, .. }) = arguments.value(name, diagnostics) else { return Vec::new() };
    let Value::List(items) = value else {
        diagnostics.push(wrong(arguments, name, "a list of texts", &value, &format!("{name}={example}")));
        return Vec::new();
    };
    let mut texts = Vec::with_capacity(items.len());
    for item in items {
        match item.settled() {
            Value::Text(text) => texts.push(text),
            other => {
                diagnostics.push(wrong(
                    arguments,
                    name,
                    "a list of texts",
                    &other,
                    &format!("{name}={example}"),
                ));
            }
        }
    }
    texts
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
