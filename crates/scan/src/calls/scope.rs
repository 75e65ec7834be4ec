//! The names that a function binds for itself: parameters, assignments, imports inside its body.

use std::collections::{HashMap, HashSet};

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{ExceptHandler, Expr, Parameters, Pattern, Stmt, StmtClassDef, StmtFunctionDef};

use crate::classes::has_decorator;
use crate::imports::FileIndex;
use crate::survey::{Binding, FromImport};

/// What a name of a function's own stands for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Local<'a> {
    /// A parameter, a loop's variable, bound more than once: only running code could tell.
    Unknown,
    /// Assigned once.
    Value(&'a Expr),
    Import(Binding<'a>),
    /// A method's first parameter.
    Receiver(FileIndex, &'a StmtClassDef),
}

#[derive(Debug, Default)]
pub(crate) struct Scope<'a> {
    names: HashMap<&'a str, Local<'a>>,
    /// `global` and `nonlocal`.
    outer: HashSet<&'a str>,
}

impl<'a> Scope<'a> {
    pub(crate) fn of_function(function: &'a StmtFunctionDef) -> Self {
        let mut scope = Self::default();
        scope.parameters(&function.parameters);
        scope.visit_body(&function.body);
        for name in &scope.outer {
            scope.names.remove(name);
        }
        scope
    }

    /// A method, whose first parameter is an object of the class or the class itself.
    pub(super) fn of_method(file: FileIndex, class: &'a StmtClassDef, method: &'a StmtFunctionDef) -> Self {
        let mut scope = Self::of_function(method);
        let first = method.parameters.posonlyargs.iter().chain(&method.parameters.args).next();
        if let Some(first) = first
            && !has_decorator(method, &["staticmethod"])
            && let Some(local @ Local::Unknown) = scope.names.get_mut(first.name().as_str())
            && !rebinds(&method.body, first.name().as_str())
        {
            *local = Local::Receiver(file, class);
        }
        scope
    }

    pub(super) fn of_parameters(parameters: Option<&'a Parameters>) -> Self {
        let mut scope = Self::default();
        if let Some(parameters) = parameters {
            scope.parameters(parameters);
        }
        scope
    }

    /// Variables of comprehensions.
    pub(super) fn of_targets(targets: impl Iterator<Item = &'a Expr>) -> Self {
        let mut scope = Self::default();
        targets.for_each(|target| scope.target(target));
        scope
    }

    pub(crate) fn get(&self, name: &str) -> Option<Local<'a>> {
        self.names.get(name).copied()
    }

    fn parameters(&mut self, parameters: &'a Parameters) {
        for parameter in parameters {
            self.bind(parameter.name().as_str(), Local::Unknown);
        }
    }

    fn bind(&mut self, name: &'a str, local: Local<'a>) {
        self.names.entry(name).and_modify(|known| *known = Local::Unknown).or_insert(local);
    }

    /// Everything that a target binds, to values that are not followed.
    fn target(&mut self, target: &'a Expr) {
        match target {
            Expr::Name(name) => self.bind(name.id.as_str(), Local::Unknown),
            Expr::Tuple(tuple) => tuple.elts.iter().for_each(|element| self.target(element)),
            Expr::List(list) => list.elts.iter().for_each(|element| self.target(element)),
            Expr::Starred(starred) => self.target(&starred.value),
            _ => {}
        }
    }

    fn assign(&mut self, target: &'a Expr, value: &'a Expr) {
        match target {
            Expr::Name(name) => self.bind(name.id.as_str(), Local::Value(value)),
            _ => self.target(target),
        }
    }
}

impl<'a> Visitor<'a> for Scope<'a> {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            // Their bodies have scopes of their own.
            Stmt::FunctionDef(function) => return self.bind(function.name.as_str(), Local::Unknown),
            Stmt::ClassDef(class) => return self.bind(class.name.as_str(), Local::Unknown),
            Stmt::Assign(assign) => {
                assign.targets.iter().for_each(|target| self.assign(target, &assign.value));
            }
            Stmt::AnnAssign(assign) => match &assign.value {
                Some(value) => self.assign(&assign.target, value),
                None => self.target(&assign.target),
            },
            Stmt::AugAssign(assign) => self.target(&assign.target),
            Stmt::For(each) => self.target(&each.target),
            Stmt::Delete(delete) => delete.targets.iter().for_each(|target| self.target(target)),
            Stmt::TypeAlias(alias) => self.target(&alias.name),
            Stmt::With(with) => {
                with.items
                    .iter()
                    .filter_map(|item| item.optional_vars.as_deref())
                    .for_each(|target| self.target(target));
            }
            Stmt::Global(global) => self.outer.extend(global.names.iter().map(|name| name.as_str())),
            Stmt::Nonlocal(nonlocal) => self.outer.extend(nonlocal.names.iter().map(|name| name.as_str())),
            Stmt::Import(import) => {
                for alias in &import.names {
                    let module = alias.name.as_str();
                    let first = module.split('.').next().unwrap_or(module);
                    let (name, target) =
                        alias.asname.as_ref().map_or((first, first), |name| (name.as_str(), module));
                    // `import a.b` and `import a.c` bind the same `a`.
                    if !matches!(self.get(name), Some(Local::Import(Binding::Module(known))) if known == target)
                    {
                        self.bind(name, Local::Import(Binding::Module(target)));
                    }
                }
            }
            Stmt::ImportFrom(import) => {
                let module = import.module.as_ref().map_or("", |module| module.as_str());
                for alias in &import.names {
                    let name = alias.name.as_str();
                    let bound = alias.asname.as_ref().map_or(name, |name| name.as_str());
                    let from = FromImport { level: import.level, module, name, range: alias.range };
                    self.bind(bound, Local::Import(Binding::From(from)));
                }
            }
            _ => {}
        }
        visitor::walk_stmt(self, statement);
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        match expression {
            Expr::Lambda(_) => return,
            Expr::Named(named) => self.assign(&named.target, &named.value),
            _ => {}
        }
        visitor::walk_expr(self, expression);
    }

    fn visit_except_handler(&mut self, handler: &'a ExceptHandler) {
        let ExceptHandler::ExceptHandler(caught) = handler;
        if let Some(name) = &caught.name {
            self.bind(name.as_str(), Local::Unknown);
        }
        visitor::walk_except_handler(self, handler);
    }

    fn visit_pattern(&mut self, pattern: &'a Pattern) {
        let name = match pattern {
            Pattern::MatchAs(pattern) => pattern.name.as_ref(),
            Pattern::MatchStar(pattern) => pattern.name.as_ref(),
            Pattern::MatchMapping(pattern) => pattern.rest.as_ref(),
            _ => None,
        };
        if let Some(name) = name {
            self.bind(name.as_str(), Local::Unknown);
        }
        visitor::walk_pattern(self, pattern);
    }
}

fn rebinds(body: &[Stmt], name: &str) -> bool {
    let mut scope = Scope::default();
    scope.visit_body(body);
    scope.names.contains_key(name)
}
