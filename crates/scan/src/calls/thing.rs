//! What an expression inside a function stands for, as far as calls care: a function, a class, an object, a method.

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{Expr, Stmt, StmtClassDef, StmtFunctionDef};
use ruff_text_size::Ranged;

use super::scope::{Local, Scope};
use crate::classes::{find_method, functions};
use crate::imports::{FileIndex, Project};
use crate::resolve::{Entity, Unresolved};

/// Names followed one after the other before a circle is assumed.
const HOPS_MAX: usize = 16;

#[derive(Debug, Clone)]
pub(super) enum Thing<'a> {
    Module(String),
    Function(FileIndex, &'a StmtFunctionDef),
    Class(FileIndex, &'a StmtClassDef),
    /// An object of a class; `own` where a method reaches it as its `self`.
    Object {
        file: FileIndex,
        class: &'a StmtClassDef,
        own: bool,
    },
    Method(Method<'a>),
    /// A method by name that the project does not define.
    Unknown {
        file: FileIndex,
        class: &'a StmtClassDef,
        name: &'a str,
    },
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Method<'a> {
    /// The object's class and its file.
    pub(super) class_file: FileIndex,
    pub(super) class: &'a StmtClassDef,
    pub(super) own: bool,
    /// Where the method is defined, which may be a base class, and its class there.
    pub(super) file: FileIndex,
    pub(super) home: &'a StmtClassDef,
    pub(super) definition: &'a StmtFunctionDef,
}

/// Follows an expression of `file` seen from inside `scopes`, the innermost last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Finder<'p, 's, 'a> {
    pub(super) project: &'p Project<'a>,
    pub(super) file: FileIndex,
    pub(super) scopes: &'s [Scope<'a>],
}

impl<'p, 'a> Finder<'p, '_, 'a> {
    pub(super) fn thing(&self, expression: &'a Expr) -> Option<Thing<'a>> {
        self.follow(expression, 0)
    }

    fn follow(&self, expression: &'a Expr, hops: usize) -> Option<Thing<'a>> {
        if hops > HOPS_MAX {
            return None;
        }
        match expression {
            Expr::Name(name) => self.name(name.id.as_str(), expression, hops),
            Expr::Attribute(attribute) => {
                let base = self.follow(&attribute.value, hops + 1)?;
                self.member(base, &attribute.attr, expression, hops)
            }
            Expr::Call(call) => match self.follow(&call.func, hops + 1)? {
                Thing::Class(file, class) => Some(Thing::Object { file, class, own: false }),
                _ => None,
            },
            Expr::Named(named) => self.follow(&named.value, hops + 1),
            _ => None,
        }
    }

    fn name(&self, name: &str, expression: &'a Expr, hops: usize) -> Option<Thing<'a>> {
        let found =
            self.scopes.iter().enumerate().rev().find_map(|(level, scope)| Some((level, scope.get(name)?)));
        match found {
            Some((_, Local::Unknown)) => None,
            Some((_, Local::Receiver(file, class))) => Some(Thing::Object { file, class, own: true }),
            Some((level, Local::Value(value))) => {
                let scopes = self.scopes.get(..=level).unwrap_or_default();
                Finder { scopes, ..*self }.follow(value, hops + 1)
            }
            Some((_, Local::Import(binding))) => {
                if !self.project.may_call_deployed(self.file, &binding) {
                    return None;
                }
                self.entity(self.project.binding(self.file, name, &binding, 0), hops)
            }
            None => {
                let bindings = self.project.surveys[self.file].bindings.get(name);
                let mut bindings = bindings.into_iter().flatten();
                if bindings.any(|bound| !self.project.may_call_deployed(self.file, &bound.binding)) {
                    return None;
                }
                self.entity(self.project.named(self.file, name, expression.range()), hops)
            }
        }
    }

    fn entity(&self, entity: Result<Entity<'a>, Unresolved>, hops: usize) -> Option<Thing<'a>> {
        match entity.ok()? {
            Entity::Module(path) => Some(Thing::Module(path)),
            Entity::Function { file, definition } => Some(Thing::Function(file, definition)),
            Entity::Class { file, definition } => Some(Thing::Class(file, definition)),
            Entity::Value { file, expression, .. } => {
                Finder { project: self.project, file, scopes: &[] }.follow(expression, hops + 1)
            }
            Entity::Framework(_) | Entity::External(_) => None,
        }
    }

    fn member(&self, base: Thing<'a>, name: &'a str, expression: &'a Expr, hops: usize) -> Option<Thing<'a>> {
        match base {
            Thing::Module(path) => {
                let base = Entity::Module(path);
                self.entity(self.project.attribute(base, name, self.file, expression.range(), 0), hops)
            }
            Thing::Object { file, class, own } => {
                let found =
                    self.method(file, class, name, own).or_else(|| self.held(file, class, name, hops));
                found.or_else(|| (!own).then_some(Thing::Unknown { file, class, name }))
            }
            Thing::Class(..) | Thing::Function(..) | Thing::Method(_) | Thing::Unknown { .. } => None,
        }
    }

    /// A method by name, of the class or of a base class in the project.
    pub(super) fn method(
        &self,
        class_file: FileIndex,
        class: &'a StmtClassDef,
        name: &str,
        own: bool,
    ) -> Option<Thing<'a>> {
        find_method(self.project, class_file, class, name).map(|(file, home, definition)| {
            Thing::Method(Method { class_file, class, own, file, home, definition })
        })
    }

    /// What the class's methods keep under `self.name`, if one assignment says so.
    fn held(&self, file: FileIndex, class: &'a StmtClassDef, name: &str, hops: usize) -> Option<Thing<'a>> {
        let mut assignments = Vec::new();
        for method in functions(&class.body) {
            let mut search = Assignments { name, found: Vec::new() };
            search.visit_body(&method.body);
            assignments.extend(search.found.into_iter().map(|value| (method, value)));
        }
        let [(method, value)] = assignments.as_slice() else { return None };
        let scopes = [Scope::of_method(file, class, method)];
        Finder { project: self.project, file, scopes: &scopes }.follow(value, hops + 1)
    }
}

/// Values assigned to `self.name`, whatever `self` is called.
struct Assignments<'n, 'a> {
    name: &'n str,
    found: Vec<&'a Expr>,
}

impl<'a> Visitor<'a> for Assignments<'_, 'a> {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        let is_it = |target: &Expr| matches!(target, Expr::Attribute(to) if to.attr.as_str() == self.name && to.value.is_name_expr());
        match statement {
            Stmt::Assign(assign) if assign.targets.iter().any(is_it) => self.found.push(&assign.value),
            Stmt::AnnAssign(assign) if is_it(&assign.target) => self.found.extend(assign.value.as_deref()),
            _ => visitor::walk_stmt(self, statement),
        }
    }

    fn visit_expr(&mut self, _: &'a Expr) {}
}
