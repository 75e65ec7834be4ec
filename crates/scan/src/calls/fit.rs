//! FL122: calls of decorated functions that cannot work, by the callee's signature.

use std::collections::HashMap;

use flash_model::{Code, Diagnostic};
use ruff_python_ast::{ExprCall, ParameterWithDefault, Parameters, Stmt, StmtClassDef, StmtFunctionDef};
use ruff_text_size::{Ranged, TextRange};

use super::body::{Call, Misuse, Target};
use super::{Place, remote_target};
use crate::classes::{find_method, functions, has_decorator, with_bases};
use crate::imports::{FileIndex, Project};
use crate::suggest;

/// What is called, for messages, and where it is defined.
struct Callee<'a> {
    name: String,
    /// What of it is defined in the project: the class, where the method is not.
    defined: String,
    file: FileIndex,
    range: TextRange,
    /// `None` where running code decides.
    signature: Option<Signature<'a>>,
}

/// Parameters without `self`.
#[derive(Default)]
struct Signature<'a> {
    positional_only: Vec<&'a ParameterWithDefault>,
    positional: Vec<&'a ParameterWithDefault>,
    keyword_only: Vec<&'a ParameterWithDefault>,
    any_positional: bool,
    any_keyword: bool,
}

pub(super) fn check<'a>(
    project: &Project<'a>,
    remote: &HashMap<Place, usize>,
    found: &Call<'a>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let Some(call) = found.call else { return };
    let is_remote = remote_target(remote, found.target).is_some();
    let callee = match found.target {
        Target::Function(file, function) if is_remote => function_callee(file, function),
        Target::Method(method) if is_remote => {
            let name = format!("{}.{}", method.class.name, method.definition.name);
            method_callee(name, method.file, method.definition)
        }
        Target::Unknown(file, class, name) if is_remote => unknown_callee(file, class, name),
        Target::Constructor(file, class) if remote.contains_key(&(file, class.range().start())) => {
            constructor_callee(project, file, class)
        }
        _ => return,
    };
    let mut report = |range: TextRange, message: String, hint: String| {
        diagnostics.push(
            Diagnostic::warning(Code::InvalidCall, message)
                .at(project.files[found.file].span(range))
                .related(
                    project.files[callee.file].span(callee.range),
                    format!("`{}` is defined here", callee.defined),
                )
                .hint(hint),
        );
    };
    if is_remote {
        let text = &callee.name;
        match found.misuse {
            Some(Misuse::Dropped) => report(
                found.range,
                format!("`{text}` is called but not awaited, so it never runs"),
                format!(
                    "write `await {text}(...)`: decorated functions are awaited, also those written with `def`"
                ),
            ),
            Some(Misuse::Subscripted) => report(
                found.range,
                format!("the result of `{text}` is used before it is awaited"),
                format!(
                    "write `(await {text}(...))[...]`: decorated functions are awaited, also those written with `def`"
                ),
            ),
            None => {}
        }
    }
    let method = match found.target {
        Target::Unknown(file, class, name) if is_remote => no_such_method(project, file, class, name),
        Target::Method(method) if is_remote => is_private(&method.definition.name),
        _ => None,
    };
    if let Some((message, hint)) = method {
        return report(call.func.range(), message, hint);
    }
    if let Some(signature) = &callee.signature {
        signature.check(&callee.name, call, report);
    }
}

fn function_callee(file: FileIndex, function: &StmtFunctionDef) -> Callee<'_> {
    // A decorator beside ours may change what the function takes.
    let signature = (function.decorator_list.len() == 1).then(|| Signature::of(&function.parameters));
    let name = function.name.to_string();
    Callee { defined: name.clone(), name, file, range: function.name.range, signature }
}

fn method_callee(name: String, file: FileIndex, method: &StmtFunctionDef) -> Callee<'_> {
    let is_plain = method.decorator_list.len() == usize::from(has_decorator(method, &["classmethod"]));
    let signature = if is_plain {
        Some(Signature::of(&method.parameters).without_receiver())
    } else {
        has_decorator(method, &["staticmethod"]).then(|| Signature::of(&method.parameters))
    };
    Callee { defined: name.clone(), name, file, range: method.name.range, signature }
}

fn unknown_callee<'a>(file: FileIndex, class: &'a StmtClassDef, name: &str) -> Callee<'a> {
    let defined = class.name.to_string();
    Callee { name: format!("{defined}.{name}"), defined, file, range: class.name.range, signature: None }
}

/// Message and hint, if the class certainly has no method of this name.
fn no_such_method<'a>(
    project: &Project<'a>,
    file: FileIndex,
    class: &'a StmtClassDef,
    name: &str,
) -> Option<(String, String)> {
    if let Some(private) = is_private(name) {
        return Some(private);
    }
    let (classes, complete) = with_bases(project, file, class);
    let is_plain = classes.iter().all(|(_, each)| {
        // Anything else in a class's body may bind names in its own way.
        each.body
            .iter()
            .all(|statement| matches!(statement, Stmt::FunctionDef(_) | Stmt::Expr(_) | Stmt::Pass(_)))
            && each.decorator_list.len() == usize::from(each.range == class.range)
    });
    if !complete || !is_plain {
        return None;
    }
    let known: Vec<&str> = classes
        .iter()
        .flat_map(|(_, class)| functions(&class.body))
        .map(|method| method.name.as_str())
        .filter(|name| !name.starts_with('_'))
        .collect();
    Some((format!("`{}` has no method `{name}`", class.name), suggest::hint(name, known)))
}

fn is_private(name: &str) -> Option<(String, String)> {
    (name.starts_with('_') && !name.starts_with("__")).then(|| {
        let hint = "only public methods can be reached remotely: drop the leading underscore";
        (format!("`{name}` is private to its class"), hint.to_owned())
    })
}

fn constructor_callee<'a>(project: &Project<'a>, file: FileIndex, class: &'a StmtClassDef) -> Callee<'a> {
    let (classes, complete) = with_bases(project, file, class);
    let makes_itself = classes
        .iter()
        .any(|(_, class)| functions(&class.body).any(|method| method.name.as_str() == "__new__"));
    // Beside ours, a decorator such as `dataclass` may write the constructor.
    let is_plain = classes
        .iter()
        .all(|(at, each)| each.decorator_list.len() == usize::from(*at == file && each.range == class.range));
    let signature = if !complete || makes_itself || !is_plain {
        None
    } else {
        match find_method(project, file, class, "__init__") {
            Some((_, _, init)) if init.decorator_list.is_empty() => {
                Some(Signature::of(&init.parameters).without_receiver())
            }
            Some(_) => None,
            None => Some(Signature::default()),
        }
    };
    let name = class.name.to_string();
    Callee { defined: name.clone(), name, file, range: class.name.range, signature }
}

impl<'a> Signature<'a> {
    fn of(parameters: &'a Parameters) -> Self {
        Self {
            positional_only: parameters.posonlyargs.iter().collect(),
            positional: parameters.args.iter().collect(),
            keyword_only: parameters.kwonlyargs.iter().collect(),
            any_positional: parameters.vararg.is_some(),
            any_keyword: parameters.kwarg.is_some(),
        }
    }

    fn without_receiver(mut self) -> Self {
        let first =
            if self.positional_only.is_empty() { &mut self.positional } else { &mut self.positional_only };
        if !first.is_empty() {
            first.remove(0);
        }
        self
    }

    fn check(&self, name: &str, call: &ExprCall, mut report: impl FnMut(TextRange, String, String)) {
        let arguments = &call.arguments;
        let is_spread = arguments.args.iter().any(ruff_python_ast::Expr::is_starred_expr)
            || arguments.keywords.iter().any(|keyword| keyword.arg.is_none());
        if is_spread {
            return;
        }
        let takes = format!("it takes: {}", self.shown());
        let by_position: Vec<_> = self.positional_only.iter().chain(&self.positional).copied().collect();
        let given = arguments.args.len();
        if let Some(surplus) = arguments.args.get(by_position.len()).filter(|_| !self.any_positional) {
            let most = by_position.len();
            let counted = if most == 1 {
                "1 positional argument".to_owned()
            } else {
                format!("{most} positional arguments")
            };
            let are = if given == 1 { "is" } else { "are" };
            report(
                surplus.range(),
                format!("`{name}` takes {counted}, and {given} {are} given"),
                takes.clone(),
            );
        }
        let named: Vec<&str> =
            arguments.keywords.iter().filter_map(|keyword| keyword.arg.as_deref()).collect();
        let by_name: Vec<_> = self.positional.iter().chain(&self.keyword_only).copied().collect();
        for keyword in &arguments.keywords {
            let Some(word) = &keyword.arg else { continue };
            let place = by_position.iter().position(|parameter| parameter.name().as_str() == word.as_str());
            let is_named = by_name.iter().any(|parameter| parameter.name().as_str() == word.as_str());
            if is_named && place.is_some_and(|place| place < given) {
                report(keyword.range(), format!("`{name}` is given `{word}` twice"), takes.clone());
            } else if !is_named && !self.any_keyword {
                let known = by_name.iter().map(|parameter| parameter.name().as_str());
                let hint = match suggest::closest(word.as_str(), known) {
                    Some(candidate) => format!("did you mean `{candidate}`?"),
                    None if place.is_some() => format!("give `{word}` by its place, without its name"),
                    None => takes.clone(),
                };
                report(keyword.range(), format!("`{name}` has no parameter `{word}`"), hint);
            }
        }
        let is_missing = |(place, parameter): &(usize, &ParameterWithDefault)| {
            let by_name = *place >= self.positional_only.len() && named.contains(&parameter.name().as_str());
            parameter.default.is_none() && *place >= given && !by_name
        };
        let places = by_position.iter().copied().enumerate();
        let keyword_only = self.keyword_only.iter().copied().map(|parameter| (usize::MAX, parameter));
        let missing: Vec<String> = places
            .chain(keyword_only)
            .filter(is_missing)
            .map(|(_, parameter)| format!("`{}`", parameter.name()))
            .collect();
        if !missing.is_empty() {
            report(call.func.range(), format!("`{name}` is called without {}", missing.join(" and ")), takes);
        }
    }

    /// `(text, *, top_k=...)`.
    fn shown(&self) -> String {
        let each = |parameter: &&ParameterWithDefault| match parameter.default {
            Some(_) => format!("{}=...", parameter.name()),
            None => parameter.name().to_string(),
        };
        let mut words: Vec<String> = self.positional_only.iter().map(each).collect();
        if !words.is_empty() {
            words.push("/".to_owned());
        }
        words.extend(self.positional.iter().map(each));
        match (self.any_positional, self.keyword_only.is_empty()) {
            (true, _) => words.push("*args".to_owned()),
            (false, false) => words.push("*".to_owned()),
            (false, true) => {}
        }
        words.extend(self.keyword_only.iter().map(each));
        if self.any_keyword {
            words.push("**kwargs".to_owned());
        }
        format!("({})", words.join(", "))
    }
}
