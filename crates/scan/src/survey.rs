//! One walk over a file's statements: which names its module binds to what, what it imports, and which definitions carry
//! decorators.

use std::borrow::Cow;
use std::sync::OnceLock;
use std::sync::atomic::AtomicBool;

use ruff_python_ast::{Decorator, Expr, ModModule, Stmt, StmtClassDef, StmtFunctionDef};
use ruff_text_size::{Ranged, TextRange, TextSize};
use rustc_hash::FxHashMap;

use crate::{dynamic_imports, mentions};

/// What a name stands for, from where it is bound on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Binding<'a> {
    Value(&'a Expr),
    /// `import a.b as c` (whole path) or `import a.b` (first segment).
    Module(&'a str),
    From(FromImport<'a>),
    Function(&'a StmtFunctionDef),
    Class(&'a StmtClassDef),
    /// Bound in a way that only running the code could follow; the text says how.
    Opaque(TextRange, &'static str),
}

impl<'a> Binding<'a> {
    pub(crate) fn value(&self) -> Option<&'a Expr> {
        match self {
            Self::Value(value) => Some(value),
            _ => None,
        }
    }

    /// What to show of the statement, which ends at `end`.
    pub(crate) fn range(&self, end: TextSize) -> TextRange {
        match self {
            Self::Value(value) => value.range(),
            Self::From(from) => from.range,
            Self::Function(function) => function.name.range,
            Self::Class(class) => class.name.range,
            Self::Opaque(range, _) => *range,
            Self::Module(_) => TextRange::empty(end),
        }
    }
}

/// One statement's binding of a name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bound<'a> {
    /// Where the name begins to stand for it.
    pub(crate) from: TextSize,
    /// The innermost `if` around the statement.
    pub(crate) condition: Option<ConditionIndex>,
    pub(crate) binding: Binding<'a>,
}

/// `from x import *`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Star<'a> {
    /// The end of the statement; 0 for one that only runs where another failed.
    pub(crate) from: TextSize,
    pub(crate) condition: Option<ConditionIndex>,
    /// Leading dots.
    pub(crate) level: u32,
    pub(crate) module: &'a str,
}

/// Number of a condition in [`Survey::conditions`].
pub(crate) type ConditionIndex = usize;

/// What an `if` around a statement asks, together with the conditions around that one.
#[derive(Debug)]
pub(crate) struct Condition<'a> {
    pub(crate) around: Option<ConditionIndex>,
    pub(crate) test: &'a Expr,
    /// The outcome of the test for which the statement runs.
    pub(crate) wanted: bool,
    pub(crate) outcome: OnceLock<Outcome>,
    /// Being worked out: a condition that asks for itself has no outcome.
    pub(crate) is_open: AtomicBool,
}

/// Whether a condition holds, `None` if only running the code could tell.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    pub(crate) holds: Option<bool>,
    /// Variables of the environment whose defaults decided it.
    pub(crate) variables: Vec<String>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct FromImport<'a> {
    /// Leading dots.
    pub(crate) level: u32,
    pub(crate) module: &'a str,
    pub(crate) name: &'a str,
    pub(crate) range: TextRange,
}

/// The module of an import statement or call, with the name taken from it where there is one.
#[derive(Debug, Clone)]
pub(crate) struct Import<'a> {
    pub(crate) level: u32,
    pub(crate) module: Cow<'a, str>,
    pub(crate) name: Option<&'a str>,
    pub(crate) range: TextRange,
    /// Runs only when a function is called.
    pub(crate) deferred: bool,
    /// The module can do without: a failure is caught.
    pub(crate) guarded: bool,
}

impl Import<'_> {
    /// Runs when the module is imported, and the module cannot do without.
    pub(crate) fn required(&self) -> bool {
        !self.deferred && !self.guarded
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Definition<'a> {
    Function(&'a StmtFunctionDef),
    Class(&'a StmtClassDef),
}

impl<'a> Definition<'a> {
    pub(crate) fn name(self) -> &'a ruff_python_ast::Identifier {
        match self {
            Self::Function(function) => &function.name,
            Self::Class(class) => &class.name,
        }
    }

    pub(crate) fn decorators(self) -> &'a [Decorator] {
        match self {
            Self::Function(function) => &function.decorator_list,
            Self::Class(class) => &class.decorator_list,
        }
    }
}

/// A definition with decorators; `nested_in` names what it is inside of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decorated<'a> {
    pub(crate) definition: Definition<'a>,
    pub(crate) nested_in: Option<&'static str>,
}

#[derive(Debug, Default)]
pub(crate) struct Survey<'a> {
    /// In the order of the source.
    pub(crate) bindings: FxHashMap<&'a str, Vec<Bound<'a>>>,
    /// In the order in which they take effect.
    pub(crate) stars: Vec<Star<'a>>,
    /// What a worker may come to run; not what only type checkers or scripts see.
    pub(crate) imports: Vec<Import<'a>>,
    /// Calls that import a module whose name only running the code could tell.
    pub(crate) unknown_imports: Vec<TextRange>,
    pub(crate) decorated: Vec<Decorated<'a>>,
    pub(crate) conditions: Vec<Condition<'a>>,
    /// Those that are not inside of a function or another class.
    pub(crate) classes: Vec<(&'a StmtClassDef, OnceLock<Box<Survey<'a>>>)>,
    /// `x.name = value`, `x.name.append(value)` and the like at module level: what `x` was made with may not be what it is.
    pub(crate) attributes_assigned: Vec<&'a ruff_python_ast::ExprAttribute>,
}

/// `text` is what `syntax` was parsed from.
pub(crate) fn survey<'a>(text: &str, syntax: &'a ModModule) -> Survey<'a> {
    let mut survey = Survey::default();
    survey.block(&syntax.body, Place::default());
    if mentions::has_dynamic_import(text.as_bytes()) {
        let calls = dynamic_imports::find(&syntax.body);
        survey.imports.extend(calls.imports);
        survey.unknown_imports = calls.unknown;
    }
    survey
}

/// What the body of a class binds for itself.
pub(crate) fn of_class<'a>(class: &'a StmtClassDef) -> Survey<'a> {
    let mut survey = Survey::default();
    survey.block(&class.body, Place::default());
    survey
}

/// Where a statement stands.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// Innermost thing around it that is not the module.
    nested_in: Option<&'static str>,
    /// Inside a function or class: binds no module name.
    local: bool,
    /// Inside a function: does not run at import.
    deferred: bool,
    /// Inside a `try` that catches a failed import, or in a handler of it.
    guarded: bool,
    /// Type checking only, or only when run as a script.
    idle: bool,
    /// Why a value bound here cannot be known.
    opaque: Option<&'static str>,
    /// The innermost `if` around it whose outcome is not plain.
    condition: Option<ConditionIndex>,
    /// Bind only names that are still free: the fallback branch of a `try`.
    fallback: bool,
}

impl<'a> Survey<'a> {
    /// The class at a place, with what its body binds.
    pub(crate) fn class_at(&self, range: TextRange) -> Option<(&'a StmtClassDef, &Self)> {
        let before = self.classes.partition_point(|(class, _)| class.range.start() <= range.start());
        let (class, body) = self.classes.get(before.checked_sub(1)?)?;
        class.range.contains_range(range).then(|| (*class, &**body.get_or_init(|| Box::new(of_class(class)))))
    }

    fn block(&mut self, body: &'a [Stmt], place: Place) {
        for statement in body {
            self.statement(statement, place);
        }
    }

    fn statement(&mut self, statement: &'a Stmt, place: Place) {
        match statement {
            Stmt::FunctionDef(function) => {
                self.definition(Definition::Function(function), place);
                self.bind(function.name.as_str(), function.range, Binding::Function(function), place);
                let inside = Place { nested_in: Some("function"), local: true, deferred: true, ..place };
                self.block(&function.body, inside);
            }
            Stmt::ClassDef(class) => {
                self.definition(Definition::Class(class), place);
                self.bind(class.name.as_str(), class.range, Binding::Class(class), place);
                if !place.local {
                    self.classes.push((class, OnceLock::new()));
                }
                self.block(&class.body, Place { nested_in: Some("class"), local: true, ..place });
            }
            Stmt::Assign(assign) => {
                self.changed_in_place(&assign.value, place);
                for target in &assign.targets {
                    self.target(target, Some(&assign.value), place);
                }
                self.expression(&assign.value, place);
            }
            Stmt::AnnAssign(assign) => {
                if let Some(value) = &assign.value {
                    self.target(&assign.target, Some(value), place);
                    self.expression(value, place);
                }
            }
            Stmt::AugAssign(assign) => {
                let changed = Place { opaque: Some("it is changed in place"), ..place };
                self.target(&assign.target, None, changed);
            }
            Stmt::Expr(expression) => {
                self.changed_in_place(&expression.value, place);
                self.expression(&expression.value, place);
            }
            Stmt::Delete(delete) => {
                let changed = Place { opaque: Some("it is changed in place"), ..place };
                for target in &delete.targets {
                    self.element_changed(target, changed);
                }
            }
            Stmt::Import(_) | Stmt::ImportFrom(_) => self.import(statement, place),
            Stmt::Global(global) => {
                let place = Place { local: false, ..place };
                for name in &global.names {
                    let binding = Binding::Opaque(name.range, "a function binds it by `global`");
                    self.bind(name.as_str(), name.range, binding, place);
                }
            }
            _ => self.compound(statement, place),
        }
    }

    /// Statements with blocks inside.
    fn compound(&mut self, statement: &'a Stmt, place: Place) {
        match statement {
            Stmt::If(branch) => {
                let place = Place { nested_in: place.nested_in.or(Some("`if`")), ..place };
                self.branches(branch, place);
            }
            Stmt::Try(attempt) => {
                let place = Place { nested_in: place.nested_in.or(Some("`try`")), ..place };
                let guarded = attempt.handlers.iter().any(catches_import_error);
                self.block(&attempt.body, Place { guarded: place.guarded || guarded, ..place });
                self.block(&attempt.orelse, place);
                for handler in &attempt.handlers {
                    let ruff_python_ast::ExceptHandler::ExceptHandler(handler) = handler;
                    self.block(&handler.body, Place { guarded: true, fallback: true, ..place });
                }
                self.block(&attempt.finalbody, place);
            }
            Stmt::With(with) => {
                let place = Place { nested_in: place.nested_in.or(Some("`with`")), ..place };
                for item in &with.items {
                    if let Some(target) = &item.optional_vars {
                        self.target(target, None, Place { opaque: Some("it is bound by `with`"), ..place });
                    }
                }
                self.block(&with.body, place);
            }
            Stmt::For(each) => {
                let place = Place {
                    nested_in: place.nested_in.or(Some("`for`")),
                    opaque: Some("it is assigned in a loop"),
                    ..place
                };
                self.target(&each.target, None, place);
                self.block(&each.body, place);
                self.block(&each.orelse, place);
            }
            Stmt::While(repeat) => {
                let place = Place {
                    nested_in: place.nested_in.or(Some("`while`")),
                    opaque: Some("it is assigned in a loop"),
                    ..place
                };
                self.block(&repeat.body, place);
                self.block(&repeat.orelse, place);
            }
            Stmt::Match(choice) => {
                let place = Place {
                    nested_in: place.nested_in.or(Some("`match`")),
                    opaque: Some("which value it has depends on a condition"),
                    ..place
                };
                for case in &choice.cases {
                    self.block(&case.body, place);
                }
            }
            _ => {}
        }
    }

    /// `if`, its `elif`s and `else`, each under the condition that nothing before it has held.
    fn branches(&mut self, branch: &'a ruff_python_ast::StmtIf, place: Place) {
        let first = (Some(&*branch.test), &branch.body);
        let others = branch.elif_else_clauses.iter().map(|clause| (clause.test.as_ref(), &clause.body));
        let mut place = place;
        for (test, body) in std::iter::once(first).chain(others) {
            let Some(test) = test else { return self.block(body, place) };
            match constant_test(test) {
                Some(Test::Never) => {}
                Some(Test::Always) => return self.block(body, place),
                Some(Test::TypeChecking) => self.block(body, Place { idle: true, ..place }),
                // What runs only as a script binds nothing that others could import.
                None if is_script_test(test) => {
                    self.block(body, Place { local: true, idle: true, ..place });
                }
                None => {
                    self.expression(test, place);
                    let inside = self.condition(test, true, place);
                    self.block(body, inside);
                    place = self.condition(test, false, place);
                }
            }
        }
    }

    fn condition(&mut self, test: &'a Expr, wanted: bool, place: Place) -> Place {
        let (outcome, is_open) = (OnceLock::new(), AtomicBool::new(false));
        self.conditions.push(Condition { around: place.condition, test, wanted, outcome, is_open });
        Place { condition: Some(self.conditions.len() - 1), ..place }
    }

    /// `NAME.append(x)` and its like as a statement, or `last = NAME.pop()`: from here on the name's value is not what it was bound to.
    fn changed_in_place(&mut self, expression: &'a Expr, place: Place) {
        if let Expr::Call(call) = expression
            && let Expr::Attribute(method) = &*call.func
            && CHANGING_METHODS.contains(&method.attr.as_str())
        {
            let changed = Place { opaque: Some("it is changed in place"), ..place };
            self.holder_changed(&method.value, changed);
        }
    }

    /// `NAME[key]` as a target.
    fn element_changed(&mut self, target: &'a Expr, changed: Place) {
        if let Expr::Subscript(subscript) = target {
            self.holder_changed(&subscript.value, changed);
        }
    }

    fn holder_changed(&mut self, holder: &'a Expr, changed: Place) {
        match holder {
            Expr::Name(name) if self.bindings.contains_key(name.id.as_str()) => {
                self.target(holder, None, changed);
            }
            Expr::Subscript(subscript) => self.holder_changed(&subscript.value, changed),
            Expr::Attribute(_) => self.target(holder, None, changed),
            _ => {}
        }
    }

    fn definition(&mut self, definition: Definition<'a>, place: Place) {
        if !definition.decorators().is_empty() {
            for decorator in definition.decorators() {
                self.expression(&decorator.expression, place);
            }
            self.decorated.push(Decorated { definition, nested_in: place.nested_in });
        }
    }

    fn target(&mut self, target: &'a Expr, value: Option<&'a Expr>, place: Place) {
        match (target, value) {
            (Expr::Name(name), Some(value)) => {
                // From the end of the value on: in `x = f(x)` the argument is the earlier `x`.
                self.bind(name.id.as_str(), value.range(), Binding::Value(value), place);
            }
            (Expr::Name(name), None) => {
                let reason = place.opaque.unwrap_or("it is taken apart from another value");
                self.bind(name.id.as_str(), name.range, Binding::Opaque(name.range, reason), place);
            }
            (Expr::Starred(starred), _) => self.target(&starred.value, None, place),
            (Expr::Tuple(_) | Expr::List(_), value) => {
                let targets = elements(target);
                let values = value.map(elements).unwrap_or_default();
                let is_plain = !values.is_empty() && !values.iter().any(Expr::is_starred_expr);
                let star = targets.iter().position(Expr::is_starred_expr);
                let fits = match star {
                    Some(_) => values.len() + 1 >= targets.len(),
                    None => values.len() == targets.len(),
                };
                for (index, target) in targets.iter().enumerate() {
                    // What stands after a starred target is counted from the end.
                    let place_of_value = match star {
                        Some(star) if index == star => None,
                        Some(star) if index > star => (values.len() + index).checked_sub(targets.len()),
                        _ => Some(index),
                    };
                    let value = place_of_value.filter(|_| is_plain && fits).and_then(|at| values.get(at));
                    self.target(target, value, place);
                }
            }
            (Expr::Attribute(attribute), _) if !place.local => self.attributes_assigned.push(attribute),
            (Expr::Subscript(_), _) => {
                let changed = Place { opaque: Some("it is changed in place"), ..place };
                self.element_changed(target, changed);
            }
            _ => {}
        }
    }

    fn bind(&mut self, name: &'a str, range: TextRange, binding: Binding<'a>, place: Place) {
        if place.local {
            return;
        }
        let mut opaque = place.opaque;
        if place.fallback
            && let Some(tried) = self.bindings.get(name).and_then(|bound| bound.last())
        {
            // What is imported or defined in the `try` itself is what is meant; which of two values is meant nobody knows.
            if !matches!(tried.binding, Binding::Value(_) | Binding::Opaque(..)) {
                return;
            }
            opaque = opaque.or(Some("which value it has depends on whether a `try` fails"));
        }
        let binding = match opaque {
            Some(reason) if place.fallback || matches!(binding, Binding::Value(_) | Binding::Opaque(..)) => {
                Binding::Opaque(range, reason)
            }
            _ => binding,
        };
        let bound = Bound { from: range.end(), condition: place.condition, binding };
        self.bindings.entry(name).or_default().push(bound);
    }

    fn import(&mut self, statement: &'a Stmt, place: Place) {
        let imported = |level: u32, module: &'a str, name: Option<&'a str>, range: TextRange| Import {
            level,
            module: Cow::Borrowed(module),
            name,
            range,
            deferred: place.deferred,
            guarded: place.guarded,
        };
        match statement {
            Stmt::Import(import) => {
                for alias in &import.names {
                    let module = alias.name.as_str();
                    if !place.idle {
                        self.imports.push(imported(0, module, None, alias.range));
                    }
                    let (name, target) = match &alias.asname {
                        Some(asname) => (asname.as_str(), module),
                        None => {
                            let first = module.split('.').next().unwrap_or(module);
                            (first, first)
                        }
                    };
                    self.bind(name, alias.range, Binding::Module(target), place);
                }
            }
            Stmt::ImportFrom(import) => {
                let module = import.module.as_ref().map_or("", |module| module.as_str());
                for alias in &import.names {
                    let name = alias.name.as_str();
                    let star = name == "*";
                    let taken = (!star).then_some(name);
                    if !place.idle {
                        self.imports.push(imported(import.level, module, taken, alias.range));
                    }
                    if star {
                        if !place.local {
                            self.star(import, module, place);
                        }
                        continue;
                    }
                    let bound = alias.asname.as_ref().map_or(name, |asname| asname.as_str());
                    let from = FromImport { level: import.level, module, name, range: alias.range };
                    self.bind(bound, alias.range, Binding::From(from), place);
                }
            }
            _ => {}
        }
    }

    fn star(&mut self, import: &'a ruff_python_ast::StmtImportFrom, module: &'a str, place: Place) {
        let mut star =
            Star { from: import.range.end(), condition: place.condition, level: import.level, module };
        if place.fallback {
            star.from = TextSize::default();
            self.stars.insert(0, star);
        } else {
            self.stars.push(star);
        }
    }

    /// Expressions are not walked; of what they bind only `name := value` as a whole statement or right-hand side counts.
    fn expression(&mut self, expression: &'a Expr, place: Place) {
        match expression {
            Expr::Named(named) => {
                self.target(&named.target, Some(&named.value), place);
                self.expression(&named.value, place);
            }
            Expr::Call(call) => {
                let keywords = call.arguments.keywords.iter().map(|keyword| &keyword.value);
                let arguments = call.arguments.args.iter().chain(keywords);
                arguments.filter(|argument| argument.is_named_expr()).for_each(|argument| {
                    self.expression(argument, place);
                });
            }
            _ => {}
        }
    }
}

/// Methods of lists, dictionaries and sets that change them.
const CHANGING_METHODS: [&str; 13] = [
    "add",
    "append",
    "clear",
    "discard",
    "extend",
    "insert",
    "pop",
    "popitem",
    "remove",
    "reverse",
    "setdefault",
    "sort",
    "update",
];

#[derive(Debug, Clone, Copy)]
enum Test {
    Always,
    Never,
    TypeChecking,
}

fn constant_test(test: &Expr) -> Option<Test> {
    match test {
        Expr::BooleanLiteral(literal) => Some(if literal.value { Test::Always } else { Test::Never }),
        Expr::Name(name) if name.id == "TYPE_CHECKING" => Some(Test::TypeChecking),
        Expr::Attribute(attribute) if attribute.attr.as_str() == "TYPE_CHECKING" => Some(Test::TypeChecking),
        _ => None,
    }
}

/// `__name__ == "__main__"`, either way round.
fn is_script_test(test: &Expr) -> bool {
    let is_name = |side: &Expr| matches!(side, Expr::Name(name) if name.id == "__name__");
    match test {
        Expr::Compare(compare) => is_name(&compare.left) || compare.comparators.iter().any(is_name),
        _ => false,
    }
}

fn catches_import_error(handler: &ruff_python_ast::ExceptHandler) -> bool {
    let ruff_python_ast::ExceptHandler::ExceptHandler(handler) = handler;
    let catches = |kind: &Expr| match kind {
        Expr::Name(name) => {
            matches!(name.id.as_str(), "ImportError" | "ModuleNotFoundError" | "Exception" | "BaseException")
        }
        _ => false,
    };
    match handler.type_.as_deref() {
        None => true,
        Some(Expr::Tuple(tuple)) => tuple.elts.iter().any(catches),
        Some(kind) => catches(kind),
    }
}

fn elements(expression: &Expr) -> &[Expr] {
    match expression {
        Expr::Tuple(tuple) => &tuple.elts,
        Expr::List(list) => &list.elts,
        _ => &[],
    }
}
