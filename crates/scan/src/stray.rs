//! Deployments that no decorator declares: `remote(config)(function)`, a function that returns `remote(...)`,
//! `partial(remote, config)`. Which functions they deploy is known only when the code runs.

use flash_model::{Code, Diagnostic};
use memchr::memmem;
use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{Decorator, Expr, Stmt, StmtFunctionDef};
use ruff_text_size::{Ranged, TextRange};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::calls::Scope;
use crate::decorators::{is_remote, routes_of};
use crate::imports::{FileIndex, Project};
use crate::resources::Symbol;
use crate::survey::Binding;

/// `accepted` are the decorators that were understood.
pub(crate) fn deployments(
    project: &Project<'_>,
    accepted: &FxHashSet<(FileIndex, TextRange)>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let mut decorators: FxHashMap<FileIndex, Vec<TextRange>> = FxHashMap::default();
    accepted.iter().for_each(|(file, range)| decorators.entry(*file).or_default().push(*range));
    for (file, survey) in project.candidates() {
        let Some(parsed) = project.files[file].parsed() else { continue };
        let is_remote =
            |binding: &Binding<'_>| matches!(binding, Binding::From(from) if from.name == "remote");
        let imported =
            survey.bindings.iter().filter(|(_, bound)| bound.iter().any(|bound| is_remote(&bound.binding)));
        let mut names: Vec<&str> = imported.map(|(name, _)| *name).collect();
        let text = project.files[file].text.as_bytes();
        let understood = decorators.get(&file).into_iter().flatten();
        let understood: usize =
            understood.map(|range| mentions(project.files[file].source(*range).as_bytes())).sum();
        // Mostly every mention is an import or a decorator.
        let has_other =
            mentions(text) > understood + names.len() || names.iter().any(|name| *name != "remote");
        if !has_other && memmem::find(text, b")(").is_none() {
            continue;
        }
        names.push("remote");
        let mut walker = Walker { project, file, names, accepted, functions: Vec::new(), found: Vec::new() };
        walker.visit_body(&parsed.syntax.body);
        for (range, what, is_certain) in walker.found {
            // What a function does with it may never run.
            let severity = if is_certain { Diagnostic::error } else { Diagnostic::warning };
            let message = format!(
                "{what} in another way than as a decorator: which functions it deploys is known only when the code runs"
            );
            diagnostics.push(
                severity(Code::UnresolvedResource, message)
                    .at(project.files[file].span(range))
                    .hint("write the decorator with its arguments above each function: `@remote(config)`"),
            );
        }
    }
}

fn mentions(text: &[u8]) -> usize {
    memmem::find_iter(text, "remote").count()
}

struct Walker<'p, 'a> {
    project: &'p Project<'a>,
    file: FileIndex,
    /// That may stand for `remote`.
    names: Vec<&'a str>,
    accepted: &'p FxHashSet<(FileIndex, TextRange)>,
    /// Around the place.
    functions: Vec<&'a StmtFunctionDef>,
    /// Place, what is done there, and whether importing the module does it.
    found: Vec<(TextRange, &'static str, bool)>,
}

impl<'a> Walker<'_, 'a> {
    fn is_remote(&self, expression: &'a Expr) -> bool {
        let named = match expression {
            Expr::Name(name) => self.names.contains(&name.id.as_str()),
            Expr::Attribute(attribute) => attribute.attr.as_str() == "remote",
            _ => false,
        };
        named && !self.is_local(expression) && is_remote(self.project, self.file, expression)
    }

    /// Begins with a name that a function around binds for itself.
    fn is_local(&self, expression: &Expr) -> bool {
        let mut root = expression;
        while let Expr::Attribute(attribute) = root {
            root = &attribute.value;
        }
        let Expr::Name(name) = root else { return true };
        self.functions.iter().any(|function| Scope::of_function(function).get(name.id.as_str()).is_some())
    }

    /// `Endpoint(...)` or `api.get("/path")`, as what is called.
    fn declares_endpoint(&self, callee: &'a Expr) -> bool {
        let Expr::Call(call) = callee else { return false };
        !self.is_local(&call.func)
            && (self.project.symbol(self.file, &call.func) == Some(Symbol::Endpoint)
                || routes_of(self.project, self.file, &call.func, &mut Vec::new()).is_some())
    }
}

impl<'a> Visitor<'a> for Walker<'_, 'a> {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::FunctionDef(function) => {
                let around = self.functions.clone();
                function.decorator_list.iter().for_each(|decorator| self.visit_decorator(decorator));
                self.visit_parameters(&function.parameters);
                self.functions.push(function);
                self.visit_body(&function.body);
                self.functions = around;
            }
            // `r = remote` is followed.
            Stmt::Assign(assign) if assign.value.is_name_expr() || assign.value.is_attribute_expr() => {
                if self.is_remote(&assign.value) {
                    let targets = assign.targets.iter().filter_map(Expr::as_name_expr);
                    self.names.extend(targets.map(|name| name.id.as_str()));
                }
            }
            _ => visitor::walk_stmt(self, statement),
        }
    }

    fn visit_decorator(&mut self, decorator: &'a Decorator) {
        // `@remote` alone is reported, `@gpu` for `gpu = remote(config)` understood.
        if !matches!(decorator.expression, Expr::Name(_) | Expr::Attribute(_)) {
            self.visit_expr(&decorator.expression);
        }
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        if self.accepted.contains(&(self.file, expression.range())) {
            return;
        }
        if self.is_remote(expression) {
            self.found.push((expression.range(), "`remote` is used", self.functions.is_empty()));
            return;
        }
        match expression {
            Expr::Call(call) if self.declares_endpoint(&call.func) => {
                self.found.push((call.func.range(), "an endpoint is called", self.functions.is_empty()));
            }
            _ => visitor::walk_expr(self, expression),
        }
    }
}
