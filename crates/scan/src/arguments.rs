//! The arguments of a call to one of the framework's names: matched to parameter names, `**` spread, folded when asked for.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use flash_model::{Code, Diagnostic, Span};
use ruff_python_ast::{Expr, ExprCall};
use ruff_text_size::{Ranged, TextRange};

use crate::fold::{Folded, fold_in_frame};
use crate::imports::{FileIndex, Project};
use crate::suggest;
use crate::value::{Frame, NestedCall, ResourceCall, Value};

/// What a call accepts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signature<'s> {
    /// How messages call it: `LiveServerless`, `@remote`.
    pub(crate) name: &'s str,
    pub(crate) positional: &'s [&'s str],
    pub(crate) keywords: &'s [&'static str],
}

/// A call, and what the names in it stand for.
#[derive(Debug, Clone)]
pub(crate) struct Site<'a> {
    pub(crate) file: FileIndex,
    pub(crate) call: &'a ExprCall,
    pub(crate) frame: Frame<'a>,
}

impl<'a> Site<'a> {
    pub(crate) fn of_module(file: FileIndex, call: &'a ExprCall) -> Self {
        Self { file, call, frame: Frame::default() }
    }
}

impl<'a> From<&ResourceCall<'a>> for Site<'a> {
    fn from(resource: &ResourceCall<'a>) -> Self {
        Self { file: resource.file, call: resource.call, frame: resource.frame.clone() }
    }
}

impl<'a> From<&NestedCall<'a>> for Site<'a> {
    fn from(nested: &NestedCall<'a>) -> Self {
        Self { file: nested.file, call: nested.call, frame: nested.frame.clone() }
    }
}

/// Argument → variables of the environment whose defaults went into its value.
pub(crate) type Variables = BTreeMap<String, BTreeSet<String>>;

#[derive(Debug)]
pub(crate) struct Arguments<'p, 'a> {
    pub(crate) project: &'p Project<'a>,
    pub(crate) file: FileIndex,
    pub(crate) call: &'a ExprCall,
    frame: Frame<'a>,
    /// Of the arguments that have been asked for.
    variables: RefCell<Variables>,
    items: Vec<(String, TextRange, Source<'a>)>,
    /// Part of the arguments could not be read, so that a missing one proves nothing.
    pub(crate) incomplete: bool,
}

#[derive(Debug)]
enum Source<'a> {
    Written(&'a Expr),
    /// From a `**` dictionary.
    Spread(Value<'a>),
}

/// One argument's value and where it is written.
#[derive(Debug, Clone)]
pub(crate) struct Given<'a> {
    pub(crate) value: Value<'a>,
    pub(crate) range: TextRange,
}

impl<'p, 'a> Arguments<'p, 'a> {
    /// Reports unknown names and what cannot be spread.
    pub(crate) fn read(
        project: &'p Project<'a>,
        site: Site<'a>,
        signature: Signature<'_>,
        diagnostics: &mut Vec<Diagnostic>,
    ) -> Self {
        let Site { file, call, frame } = site;
        let (variables, items) = (RefCell::default(), Vec::new());
        let mut arguments = Self { project, file, call, frame, variables, items, incomplete: false };
        for (index, argument) in call.arguments.args.iter().enumerate() {
            match signature.positional.get(index) {
                _ if argument.is_starred_expr() => {
                    arguments.incomplete = true;
                    diagnostics.push(
                        Diagnostic::error(
                            Code::UnresolvedValue,
                            format!("`{}` is given `*` arguments", signature.name),
                        )
                        .at(arguments.span(argument.range()))
                        .hint("write each argument as `name=value`"),
                    );
                }
                Some(name) => {
                    arguments.items.push(((*name).to_owned(), argument.range(), Source::Written(argument)));
                }
                None => diagnostics.push(too_many(signature, arguments.span(argument.range()))),
            }
        }
        for keyword in &call.arguments.keywords {
            match &keyword.arg {
                Some(name) => {
                    arguments.check_name(name.as_str(), name.range, signature, diagnostics);
                    let source = Source::Written(&keyword.value);
                    arguments.items.push((name.to_string(), keyword.value.range(), source));
                }
                None => arguments.spread(&keyword.value, signature, diagnostics),
            }
        }
        arguments
    }

    fn spread(&mut self, value: &'a Expr, signature: Signature<'_>, diagnostics: &mut Vec<Diagnostic>) {
        let range = value.range();
        let (folded, variables) = fold_in_frame(self.project, self.file, &self.frame, value);
        match folded.map(Value::settled) {
            Ok(Value::Dict(items)) => {
                let direct: BTreeSet<&str> = items.iter().filter_map(|(_, value)| value.variable()).collect();
                // What went into a value on a longer way may have gone into any of them.
                let indirect: Vec<&String> =
                    variables.iter().filter(|variable| !direct.contains(variable.as_str())).collect();
                for (key, value) in &items {
                    if let Value::Text(name) = key {
                        self.depend(
                            name,
                            value.variable().into_iter().chain(indirect.iter().map(|v| v.as_str())),
                        );
                    }
                }
                for (key, value) in items {
                    if let Value::Text(name) = key {
                        self.check_name(&name, range, signature, diagnostics);
                        self.items.push((name, range, Source::Spread(value)));
                    }
                }
            }
            Ok(other) => {
                self.incomplete = true;
                diagnostics.push(
                    Diagnostic::error(
                        Code::UnresolvedValue,
                        format!("`**` needs a dictionary, found {}", other.describe()),
                    )
                    .at(self.span(range))
                    .hint("write the arguments as `name=value`"),
                );
            }
            Err(unresolved) => {
                self.incomplete = true;
                let what = format!("the `**` arguments of `{}` cannot be read", signature.name);
                let hint =
                    "spread a module-level dictionary of constants, or write the arguments as `name=value`";
                let site = (self.file, range);
                diagnostics.extend(unresolved.diagnostic(
                    self.project,
                    Code::UnresolvedValue,
                    &what,
                    site,
                    hint,
                ));
            }
        }
    }

    /// Notes that an argument's value comes from variables of the environment.
    pub(crate) fn depend<'v>(&self, name: &str, variables: impl IntoIterator<Item = &'v str>) {
        let mut variables = variables.into_iter().map(str::to_owned).peekable();
        if variables.peek().is_some() {
            self.variables.borrow_mut().entry(name.to_owned()).or_default().extend(variables);
        }
    }

    /// The same of an object inside an argument.
    pub(crate) fn depend_as(&self, name: &str, inner: &Arguments<'_, '_>) {
        let variables = inner.variables();
        self.depend(name, variables.values().flatten().map(String::as_str));
    }

    pub(crate) fn variables(&self) -> Variables {
        self.variables.borrow().clone()
    }

    /// An expression as it stands in the call.
    pub(crate) fn fold(&self, name: &str, expression: &'a Expr) -> Folded<'a> {
        let (folded, variables) = fold_in_frame(self.project, self.file, &self.frame, expression);
        self.depend(name, variables.iter().map(String::as_str));
        folded
    }

    fn check_name(
        &self,
        name: &str,
        range: TextRange,
        signature: Signature<'_>,
        diagnostics: &mut Vec<Diagnostic>,
    ) {
        if signature.keywords.contains(&name) {
            return;
        }
        let hint = match (name, suggest::closest(name, signature.keywords.iter().copied())) {
            ("instanceIds", _) => "use a CPU class such as `CpuLiveServerless` for CPU instances".to_owned(),
            (_, Some(candidate)) => format!("did you mean `{candidate}`?"),
            (_, None) => format!("it accepts: {}", signature.keywords.join(", ")),
        };
        diagnostics.push(
            Diagnostic::error(
                Code::UnknownArgument,
                format!("`{}` has no argument `{name}`", signature.name),
            )
            .at(self.span(range))
            .hint(hint),
        );
    }

    pub(crate) fn span(&self, range: TextRange) -> Span {
        self.project.files[self.file].span(range)
    }

    /// Place of the whole call's callee, for what is missing from it.
    pub(crate) fn callee_span(&self) -> Span {
        self.span(self.call.func.range())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.items.iter().any(|(known, ..)| known == name)
    }

    /// Given, as `None`.
    pub(crate) fn is_none(&self, name: &str) -> bool {
        let is_none = |source: &Source<'a>| match source {
            Source::Written(expression) => matches!(self.fold(name, expression), Ok(Value::None)),
            Source::Spread(value) => *value == Value::None,
        };
        self.items.iter().rev().find(|(known, ..)| known == name).is_some_and(|(.., source)| is_none(source))
    }

    /// The argument as written, where it is not spread from a dictionary.
    pub(crate) fn expression(&self, name: &str) -> Option<&'a Expr> {
        self.items.iter().rev().find(|(known, ..)| known == name).and_then(|(_, _, source)| match source {
            Source::Written(expression) => Some(*expression),
            Source::Spread(_) => None,
        })
    }

    /// Place of an argument's value.
    pub(crate) fn range(&self, name: &str) -> Option<TextRange> {
        self.items.iter().rev().find(|(known, ..)| known == name).map(|(_, range, _)| *range)
    }

    /// The folded value; a value that cannot be folded is reported and gives `None`, as does a missing one.
    /// Python's `None` counts as not given.
    pub(crate) fn value(&self, name: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<Given<'a>> {
        let (_, range, source) = self.items.iter().rev().find(|(known, ..)| known == name)?;
        let value = match source {
            Source::Spread(value) => value.clone(),
            Source::Written(expression) => match self.fold(name, expression) {
                Ok(value) => value,
                Err(unresolved) => {
                    let what = format!("the value of `{name}` cannot be read");
                    let hint = "use a literal, or a module-level constant of this project";
                    let site = (self.file, *range);
                    diagnostics.extend(unresolved.diagnostic(
                        self.project,
                        Code::UnresolvedValue,
                        &what,
                        site,
                        hint,
                    ));
                    return None;
                }
            },
        };
        match value.settled() {
            Value::None => None,
            Value::Environment(variable, _) => {
                diagnostics.push(
                    Diagnostic::error(
                        Code::UnresolvedValue,
                        format!("the value of `{name}` cannot be read: it depends on the environment variable {variable}"),
                    )
                    .at(self.span(*range))
                    .hint(format!("give a default: `os.getenv(\"{variable}\", \"...\")`")),
                );
                None
            }
            value => Some(Given { value, range: *range }),
        }
    }
}

fn too_many(signature: Signature<'_>, span: Span) -> Diagnostic {
    let message = match signature.positional.len() {
        0 => format!("`{}` takes keyword arguments only", signature.name),
        most => format!("`{}` takes at most {most} positional arguments", signature.name),
    };
    Diagnostic::error(Code::UnknownArgument, message).at(span).hint("write it as `name=value`")
}
