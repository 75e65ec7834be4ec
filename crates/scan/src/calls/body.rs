//! One walk over a function's body: what it calls, and how.

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{Decorator, Expr, ExprCall, Stmt, StmtClassDef, StmtFunctionDef};
use ruff_text_size::{Ranged, TextRange};

use super::scope::Scope;
use super::thing::{Finder, Method, Thing};
use crate::classes::{functions, with_bases};
use crate::imports::{FileIndex, Project};

/// Something of the project that a body calls or hands to somebody who will.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    pub(super) target: Target<'a>,
    pub(super) file: FileIndex,
    pub(super) range: TextRange,
    /// `None` for `map(infer, texts)`, where the function is passed on.
    pub(super) call: Option<&'a ExprCall>,
    /// What is done with the call's value can only be done with the result of awaiting it.
    pub(super) misuse: Option<Misuse>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Target<'a> {
    Function(FileIndex, &'a StmtFunctionDef),
    Method(Method<'a>),
    Constructor(FileIndex, &'a StmtClassDef),
    /// A method by name that the project does not define.
    Unknown(FileIndex, &'a StmtClassDef, &'a str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misuse {
    Dropped,
    Subscripted,
}

pub(super) fn calls_of_function<'a>(
    project: &Project<'a>,
    file: FileIndex,
    function: &'a StmtFunctionDef,
) -> Vec<Call<'a>> {
    walk(project, file, Scope::of_function(function), function)
}

pub(super) fn calls_of_method<'a>(
    project: &Project<'a>,
    file: FileIndex,
    class: &'a StmtClassDef,
    method: &'a StmtFunctionDef,
) -> Vec<Call<'a>> {
    walk(project, file, Scope::of_method(file, class, method), method)
}

/// Of all methods, those of base classes in the project included.
pub(super) fn calls_of_class<'a>(
    project: &Project<'a>,
    file: FileIndex,
    class: &'a StmtClassDef,
) -> Vec<Call<'a>> {
    let (classes, _) = with_bases(project, file, class);
    classes
        .into_iter()
        .flat_map(|(file, class)| functions(&class.body).map(move |method| (file, class, method)))
        .flat_map(|(file, class, method)| calls_of_method(project, file, class, method))
        .collect()
}

fn walk<'a>(
    project: &Project<'a>,
    file: FileIndex,
    scope: Scope<'a>,
    function: &'a StmtFunctionDef,
) -> Vec<Call<'a>> {
    let mut walker = Walker { project, file, scopes: vec![scope], calls: Vec::new(), misused: None };
    walker.visit_body(&function.body);
    walker.calls
}

struct Walker<'p, 'a> {
    project: &'p Project<'a>,
    file: FileIndex,
    scopes: Vec<Scope<'a>>,
    calls: Vec<Call<'a>>,
    /// The expression that the statement or expression around it misuses.
    misused: Option<(TextRange, Misuse)>,
}

impl<'a> Walker<'_, 'a> {
    fn thing(&self, expression: &'a Expr) -> Option<Thing<'a>> {
        Finder { project: self.project, file: self.file, scopes: &self.scopes }.thing(expression)
    }

    /// What calling a thing runs, or passing it on may run.
    fn target(&self, thing: Thing<'a>, called: bool) -> Option<Target<'a>> {
        match thing {
            Thing::Function(file, function) => Some(Target::Function(file, function)),
            Thing::Method(method) => Some(Target::Method(method)),
            Thing::Class(file, class) => called.then_some(Target::Constructor(file, class)),
            Thing::Object { file, class, own } if called => {
                let finder = Finder { project: self.project, file: self.file, scopes: &self.scopes };
                match finder.method(file, class, "__call__", own)? {
                    Thing::Method(method) => Some(Target::Method(method)),
                    _ => None,
                }
            }
            Thing::Unknown { file, class, name } if called => Some(Target::Unknown(file, class, name)),
            Thing::Object { .. } | Thing::Unknown { .. } | Thing::Module(_) => None,
        }
    }

    fn call(&mut self, call: &'a ExprCall) {
        let target = self.thing(&call.func).and_then(|thing| self.target(thing, true));
        if let Some(target) = target {
            let range = call.range();
            let misuse = self.misused.filter(|(misused, _)| *misused == range).map(|(_, misuse)| misuse);
            self.calls.push(Call { target, file: self.file, range, call: Some(call), misuse });
        }
        let keywords = call.arguments.keywords.iter().map(|keyword| &keyword.value);
        for argument in call.arguments.args.iter().chain(keywords) {
            if !matches!(argument, Expr::Name(_) | Expr::Attribute(_)) {
                continue;
            }
            let passed = self.thing(argument).and_then(|thing| self.target(thing, false));
            let Some(target) = passed else { continue };
            let range = argument.range();
            self.calls.push(Call { target, file: self.file, range, call: None, misuse: None });
        }
    }

    fn inside(&mut self, scope: Scope<'a>, walk: impl FnOnce(&mut Self)) {
        self.scopes.push(scope);
        walk(self);
        self.scopes.pop();
    }
}

impl<'a> Visitor<'a> for Walker<'_, 'a> {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            // A function inside counts as called: whoever makes one means to.
            Stmt::FunctionDef(function) => {
                self.inside(Scope::of_function(function), |walker| walker.visit_body(&function.body));
            }
            Stmt::Expr(alone) => {
                self.misused = Some((alone.value.range(), Misuse::Dropped));
                visitor::walk_stmt(self, statement);
            }
            _ => visitor::walk_stmt(self, statement),
        }
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        match expression {
            Expr::Call(call) => self.call(call),
            Expr::Subscript(subscript) => {
                self.misused = Some((subscript.value.range(), Misuse::Subscripted));
            }
            _ => {}
        }
        let generators = match expression {
            Expr::ListComp(comprehension) => &comprehension.generators,
            Expr::SetComp(comprehension) => &comprehension.generators,
            Expr::DictComp(comprehension) => &comprehension.generators,
            Expr::Generator(comprehension) => &comprehension.generators,
            Expr::Lambda(lambda) => {
                let scope = Scope::of_parameters(lambda.parameters.as_deref());
                return self.inside(scope, |walker| walker.visit_expr(&lambda.body));
            }
            _ => return visitor::walk_expr(self, expression),
        };
        let scope = Scope::of_targets(generators.iter().map(|generator| &generator.target));
        self.inside(scope, |walker| visitor::walk_expr(walker, expression));
    }

    fn visit_annotation(&mut self, _: &'a Expr) {}

    fn visit_decorator(&mut self, _: &'a Decorator) {}
}
