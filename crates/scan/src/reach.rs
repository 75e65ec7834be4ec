//! Functions and classes that are deployed and that nobody can reach all the same: FL123 and FL124.
//!
//! Only what is certain is reported: a name that may be bound again inside an `if`, or a class with a base or decorator that
//! the project does not define, is given the benefit of the doubt.

use std::collections::{HashMap, HashSet};

use flash_model::{Code, Diagnostic, Function, Manifest};
use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{Expr, Stmt, StmtClassDef};
use ruff_text_size::{Ranged, TextRange, TextSize};

use crate::classes::{functions, has_decorator, with_bases};
use crate::decorators::RemoteUse;
use crate::imports::{FileIndex, Project, module_path};
use crate::survey::Definition;

pub(crate) fn check<'a>(
    project: &Project<'a>,
    uses: &[RemoteUse<'a>],
    manifest: &Manifest,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let deployed: HashSet<(FileIndex, TextSize)> =
        uses.iter().map(|remote| (remote.file, remote.definition.name().range.start())).collect();
    let resources = manifest.resources.values();
    let functions: HashMap<&str, &Function> = resources
        .flat_map(|resource| &resource.functions)
        .map(|function| (function.name.as_str(), function))
        .collect();
    for remote in uses {
        hidden_module(project, remote, diagnostics);
        bound_again(project, remote, &deployed, diagnostics);
        let function = functions.get(remote.definition.name().as_str()).copied();
        if let Some(function) = function {
            escaped_path(project, remote, function, diagnostics);
        }
        if let Definition::Class(class) = remote.definition {
            methods(project, remote, class, function, diagnostics);
        }
    }
}

fn unreachable<'a>(project: &Project<'a>, remote: &RemoteUse<'a>, message: String) -> Diagnostic {
    Diagnostic::warning(Code::UnreachableFunction, message)
        .at(project.files[remote.file].span(remote.definition.name().range))
}

/// `a.py` beside `a/__init__.py`: importing `a` gives the package.
fn hidden_module<'a>(project: &Project<'a>, remote: &RemoteUse<'a>, diagnostics: &mut Vec<Diagnostic>) {
    let path = project.files[remote.file].path;
    let Some(found) = project.file_of_module(module_path(path)).filter(|found| *found != remote.file) else {
        return;
    };
    let (name, package) = (remote.definition.name(), project.files[found].path);
    diagnostics.push(
        unreachable(project, remote, format!("`{name}` cannot be imported: `{package}` hides `{path}`"))
            .related(project.files[found].span(TextRange::default()), "imported instead")
            .hint("rename the file or the package"),
    );
}

/// The module binds the name to something else after the definition.
fn bound_again<'a>(
    project: &Project<'a>,
    remote: &RemoteUse<'a>,
    deployed: &HashSet<(FileIndex, TextSize)>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let name = remote.definition.name();
    let file = &project.files[remote.file];
    let later = file.syntax().body.iter().filter(|statement| statement.range().start() > name.range.end());
    let Some((range, rebinding)) = later.filter_map(|statement| rebinding(statement, name.as_str())).last()
    else {
        return;
    };
    // Two deployed functions of one name are FL112; a wrapper made from the function keeps it.
    let is_reported = deployed.contains(&(remote.file, range.start()));
    if is_reported || matches!(rebinding, Rebinding::Value(value) if mentions(value, name.as_str())) {
        return;
    }
    let (what, there, hint) = match rebinding {
        Rebinding::Deleted => ("deleted", "deleted here".to_owned(), "keep the name"),
        _ => {
            let there = format!("`{name}` means this from here on");
            ("bound to something else", there, "give one of the two another name")
        }
    };
    let message = format!("`{name}` cannot be imported: its name is {what} further down");
    diagnostics.push(unreachable(project, remote, message).related(file.span(range), there).hint(hint));
}

#[derive(Debug, Clone, Copy)]
enum Rebinding<'a> {
    Value(&'a Expr),
    Other,
    Deleted,
}

/// Where a statement of the module itself binds a name, whatever happens, and to what.
fn rebinding<'a>(statement: &'a Stmt, name: &str) -> Option<(TextRange, Rebinding<'a>)> {
    let target = |target: &'a Expr| match target {
        Expr::Tuple(tuple) => tuple.elts.iter().find(|element| is_name(element, name)).map(Ranged::range),
        target => is_name(target, name).then(|| target.range()),
    };
    match statement {
        Stmt::FunctionDef(function) => {
            (function.name.as_str() == name).then_some((function.name.range, Rebinding::Other))
        }
        Stmt::ClassDef(class) => {
            (class.name.as_str() == name).then_some((class.name.range, Rebinding::Other))
        }
        Stmt::Assign(assign) => {
            assign.targets.iter().find_map(target).map(|range| (range, Rebinding::Value(&assign.value)))
        }
        Stmt::AnnAssign(assign) => {
            let value = assign.value.as_deref()?;
            target(&assign.target).map(|range| (range, Rebinding::Value(value)))
        }
        Stmt::Delete(delete) => {
            delete.targets.iter().find_map(target).map(|range| (range, Rebinding::Deleted))
        }
        Stmt::Import(import) => {
            let bound = import.names.iter().find(|alias| match &alias.asname {
                Some(asname) => asname.as_str() == name,
                None => alias.name.split('.').next() == Some(name),
            })?;
            Some((bound.range, Rebinding::Other))
        }
        Stmt::ImportFrom(import) => {
            let bound = import
                .names
                .iter()
                .find(|alias| alias.asname.as_ref().unwrap_or(&alias.name).as_str() == name)?;
            Some((bound.range, Rebinding::Other))
        }
        _ => None,
    }
}

fn is_name(expression: &Expr, name: &str) -> bool {
    matches!(expression, Expr::Name(found) if found.id == name)
}

fn mentions(expression: &Expr, name: &str) -> bool {
    struct Search<'n> {
        name: &'n str,
        found: bool,
    }
    impl<'a> Visitor<'a> for Search<'_> {
        fn visit_expr(&mut self, expression: &'a Expr) {
            self.found |= is_name(expression, self.name);
            visitor::walk_expr(self, expression);
        }
    }
    let mut search = Search { name, found: false };
    search.visit_expr(expression);
    search.found
}

/// The gateway decodes `%20` before it looks for a route.
fn escaped_path<'a>(
    project: &Project<'a>,
    remote: &RemoteUse<'a>,
    function: &Function,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let Some(path) = function.http_path.as_deref().filter(|path| has_escape(path)) else { return };
    diagnostics.push(
        unreachable(
            project,
            remote,
            format!(
                "no request reaches `{}`: paths are decoded before they are compared with {path}",
                function.name
            ),
        )
        .hint("write the path without `%` escapes"),
    );
}

fn has_escape(path: &str) -> bool {
    path.as_bytes()
        .windows(3)
        .any(|window| window[0] == b'%' && window[1].is_ascii_hexdigit() && window[2].is_ascii_hexdigit())
}

/// FL124, and FL123 for a route to a class that does not say which of several methods it means.
fn methods<'a>(
    project: &Project<'a>,
    remote: &RemoteUse<'a>,
    class: &'a StmtClassDef,
    function: Option<&Function>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let name = &class.name;
    let methods = Methods::of(project, remote.file, class);
    if methods.complete && methods.public.is_empty() && !methods.callable {
        let private = functions(&class.body).find(|method| !method.name.starts_with("__"));
        let hint = match private {
            Some(method) => format!(
                "nothing outside can call `{name}`: drop the underscore of `{}`, or add a method without one",
                method.name
            ),
            None => format!("nothing outside can call `{name}`: add a method, `def predict(self, ...)`"),
        };
        diagnostics.push(
            Diagnostic::warning(Code::NoMethod, format!("`{name}` is deployed and has no public method"))
                .at(project.files[remote.file].span(name.range))
                .hint(hint),
        );
    }
    if let Some(function) = function
        && let (Some(method), Some(path)) = (function.http_method, &function.http_path)
        && let [first, second, ..] = methods.public.as_slice()
    {
        diagnostics.push(
            unreachable(
                project,
                remote,
                format!(
                    "no request reaches a method of `{name}`: {method} {path} does not say which one it means"
                ),
            )
            .hint(format!(
                "keep one public method, or make a function of each (`{first}` and `{second}` are public)"
            )),
        );
    }
}

/// Certainly no function.
fn is_data(value: &Expr) -> bool {
    match value {
        Expr::Dict(_) | Expr::FString(_) | Expr::List(_) | Expr::Set(_) | Expr::Tuple(_) => true,
        Expr::UnaryOp(operation) => is_data(&operation.operand),
        value => value.is_literal_expr(),
    }
}

#[derive(Debug, Default)]
struct Methods {
    /// Sorted.
    public: Vec<String>,
    /// Has `__call__`.
    callable: bool,
    /// These are certainly all.
    complete: bool,
}

impl Methods {
    fn of<'a>(project: &Project<'a>, file: FileIndex, class: &'a StmtClassDef) -> Self {
        // Bases and metaclasses from elsewhere bring methods along, and a second decorator may add some.
        let (classes, all) = with_bases(project, file, class);
        let mut methods = Self { complete: all && class.decorator_list.len() == 1, ..Self::default() };
        for (_, class) in classes {
            for statement in &class.body {
                match statement {
                    Stmt::FunctionDef(method) if method.name.as_str() == "__call__" => {
                        methods.callable = true
                    }
                    Stmt::FunctionDef(method) if !method.name.starts_with('_') => {
                        let by = &method.decorator_list;
                        if by.is_empty() || has_decorator(method, &["staticmethod", "classmethod"]) {
                            methods.public.push(method.name.to_string());
                        } else if !has_decorator(
                            method,
                            &["property", "cached_property", "setter", "deleter"],
                        ) {
                            methods.complete = false;
                        }
                    }
                    Stmt::FunctionDef(_) | Stmt::Pass(_) | Stmt::ClassDef(_) => {}
                    // `predict = _predict`.
                    Stmt::Assign(assign) if is_data(&assign.value) => {}
                    Stmt::AnnAssign(assign) if assign.value.as_deref().is_none_or(is_data) => {}
                    Stmt::Expr(alone) if alone.value.is_literal_expr() => {}
                    _ => methods.complete = false,
                }
            }
        }
        methods.public.sort_unstable();
        methods.public.dedup();
        methods
    }
}
