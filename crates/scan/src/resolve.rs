//! What a name or a dotted name means: follows bindings and imports through the project's modules.

use flash_model::{Code, Diagnostic};
use ruff_python_ast::{
    Decorator, Expr, ExprAttribute, ExprCall, Keyword, Stmt, StmtClassDef, StmtFunctionDef,
};
use ruff_text_size::{Ranged, TextRange, TextSize};
use rustc_hash::FxHashSet;

use crate::imports::{FileIndex, Located, Project, join, module_path};
use crate::resources::{self, Symbol};
use crate::suggest;
use crate::survey::{self, Binding, Bound, ConditionIndex, FromImport, Star};
use crate::{classes, conditions};

/// Imports of imports followed before a circle is assumed.
const HOPS_MAX: usize = 64;

#[derive(Debug, Clone)]
pub(crate) enum Entity<'a> {
    /// Dotted name inside the framework's package.
    Framework(Vec<String>),
    /// Module or directory of the project, as a path without suffix.
    Module(String),
    /// Dotted name of something outside the project.
    External(String),
    Value {
        file: FileIndex,
        expression: &'a Expr,
        /// The `if` it is bound under.
        condition: Option<ConditionIndex>,
    },
    Function {
        file: FileIndex,
        definition: &'a StmtFunctionDef,
    },
    Class {
        file: FileIndex,
        definition: &'a StmtClassDef,
    },
}

/// Why something could not be followed, and where it stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unresolved {
    pub(crate) file: FileIndex,
    pub(crate) range: TextRange,
    pub(crate) reason: String,
    pub(crate) hint: Option<String>,
    /// The more exact code, where the reason has one of its own.
    pub(crate) code: Option<Code>,
    /// A file with syntax errors is the cause, which is reported already.
    pub(crate) broken: bool,
}

impl Unresolved {
    pub(crate) fn new(file: FileIndex, range: TextRange, reason: impl Into<String>) -> Self {
        Self { file, range, reason: reason.into(), hint: None, code: None, broken: false }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn code(mut self, code: Code) -> Self {
        self.code = Some(code);
        self
    }

    /// As a diagnostic at the place of use; where it stopped elsewhere is shown as related.
    pub(crate) fn diagnostic(
        self,
        project: &Project<'_>,
        code: Code,
        what: &str,
        use_site: (FileIndex, TextRange),
        hint: &str,
    ) -> Option<Diagnostic> {
        if self.broken {
            return None;
        }
        let (file, range) = use_site;
        let inside = self.file == file && range.contains_range(self.range);
        let at = if inside { self.range } else { range };
        let (code, message) = match self.code {
            Some(exact) => (exact, self.reason),
            None => (code, format!("{what}: {}", self.reason)),
        };
        let mut diagnostic = Diagnostic::error(code, message)
            .at(project.files[file].span(at))
            .hint(self.hint.unwrap_or_else(|| hint.to_owned()));
        if !inside {
            diagnostic = diagnostic.related(project.files[self.file].span(self.range), "it comes from here");
        }
        Some(diagnostic)
    }
}

/// What may bind a name; `is_open` if an unknown condition decides whether it does.
enum Step<'s, 'a> {
    Bound { file: FileIndex, bound: &'s Bound<'a>, is_open: bool },
    Star { file: FileIndex, star: &'s Star<'a>, is_open: bool },
}

impl<'a> Project<'a> {
    /// A name or attribute chain as an entity.
    pub(crate) fn resolve(&self, file: FileIndex, expression: &'a Expr) -> Result<Entity<'a>, Unresolved> {
        match expression {
            Expr::Name(name) => self.name(file, name.id.as_str(), name.range),
            Expr::Attribute(attribute) => {
                let base = self.resolve(file, &attribute.value)?;
                self.attribute(base, attribute.attr.as_str(), file, expression.range(), 0)
            }
            _ => Ok(Entity::Value { file, expression, condition: None }),
        }
    }

    /// A dotted name as a function finds it when it runs: by the last binding of the module.
    pub(crate) fn named(
        &self,
        file: FileIndex,
        dotted: &str,
        range: TextRange,
    ) -> Result<Entity<'a>, Unresolved> {
        let (first, rest) = dotted.split_once('.').unwrap_or((dotted, ""));
        let Some(mut entity) = self.lookup(file, first, None, range, 0)? else {
            return Err(Unresolved::new(file, range, format!("`{first}` is not defined in this file")));
        };
        for segment in rest.split('.').filter(|segment| !segment.is_empty()) {
            entity = self.attribute(entity, segment, file, range, 0)?;
        }
        Ok(entity)
    }

    /// A name used at module level: the last binding before its use, else the module's final one.
    fn name(&self, file: FileIndex, name: &str, range: TextRange) -> Result<Entity<'a>, Unresolved> {
        if let Some(class) = self.class_around(file, range)
            && let Some(expression) = self.bound_in_body(file, class, name, Some(range.start()))?
        {
            return Ok(Entity::Value { file, expression, condition: None });
        }
        match self.lookup(file, name, Some(range.start()), range, 0)? {
            Some(entity) => Ok(entity),
            None => {
                let mut known = self.bound_names(file);
                resources::class_names().for_each(|class| known.push(class));
                let mut unresolved =
                    Unresolved::new(file, range, format!("`{name}` is not defined in this file"));
                if known.contains(&name) {
                    unresolved.reason = format!("`{name}` is bound only under conditions that do not hold");
                } else if let Some(candidate) = suggest::closest(name, known) {
                    unresolved = unresolved.hint(format!("did you mean `{candidate}`?"));
                } else if resources::symbol(name).is_some() {
                    unresolved = unresolved.hint(format!("add `from tetra_rp import {name}`"));
                }
                unresolved.broken = self.files[file].broken();
                Err(unresolved)
            }
        }
    }

    /// The value that the body of a class binds a name to, up to a place or at all.
    fn bound_in_body(
        &self,
        file: FileIndex,
        class: &'a StmtClassDef,
        name: &str,
        before: Option<TextSize>,
    ) -> Result<Option<&'a Expr>, Unresolved> {
        let around = self.surveys[file].class_at(class.range).filter(|(at, _)| at.range == class.range);
        let made;
        let survey = match around {
            Some((_, survey)) => survey,
            None => {
                made = survey::of_class(class);
                &made
            }
        };
        let bound = survey.bindings.get(name).and_then(|bindings| {
            bindings.iter().rev().find(|bound| before.is_none_or(|before| bound.from <= before))
        });
        match bound {
            None => Ok(None),
            Some(Bound { binding: Binding::Value(value), condition: None, .. }) => Ok(Some(value)),
            Some(Bound { binding, from, .. }) => {
                let reason = match binding {
                    Binding::Opaque(_, why) => {
                        format!("`{name}` of `{}` cannot be followed: {why}", class.name)
                    }
                    Binding::Value(_) => {
                        format!("which value `{name}` of `{}` has depends on a condition", class.name)
                    }
                    _ => format!("class `{}` has no plain attribute `{name}`", class.name),
                };
                Err(Unresolved::new(file, binding.range(*from), reason))
            }
        }
    }

    /// The class whose body holds a place, but for what its functions and inner classes hold.
    fn class_around(&self, file: FileIndex, range: TextRange) -> Option<&'a StmtClassDef> {
        let (class, _) = self.surveys[file].class_at(range)?;
        let before = class.body.partition_point(|statement| statement.range().start() <= range.start());
        let statement = class.body.get(before.checked_sub(1)?)?;
        let is_own = !matches!(statement, Stmt::FunctionDef(_) | Stmt::ClassDef(_))
            && statement.range().contains_range(range);
        is_own.then_some(class)
    }

    fn lookup(
        &self,
        file: FileIndex,
        name: &str,
        before: Option<TextSize>,
        use_range: TextRange,
        hops: usize,
    ) -> Result<Option<Entity<'a>>, Unresolved> {
        if hops > HOPS_MAX {
            return Err(Unresolved::new(
                file,
                use_range,
                format!("`{name}` is imported in a circle, or over more than {HOPS_MAX} modules"),
            ));
        }
        // What is bound before the use, else what the module ends with.
        let limits = [before, None];
        for before in &limits[usize::from(before.is_none())..] {
            let mut seen = FxHashSet::from_iter([file]);
            let mut steps = Vec::new();
            self.push_steps(file, name, *before, false, &mut steps)?;
            while let Some(step) = steps.pop() {
                let (found, is_open) = match step {
                    Step::Bound { file, bound, is_open } => {
                        let entity = match bound.binding {
                            Binding::Value(expression) => {
                                Entity::Value { file, expression, condition: bound.condition }
                            }
                            ref binding => self.binding(file, name, binding, hops)?,
                        };
                        (entity, is_open)
                    }
                    Step::Star { file, star, is_open } => {
                        let condition = star.condition;
                        let holds = condition.map(|index| conditions::outcome(self, file, index).holds);
                        let is_open = is_open || holds == Some(None);
                        match self.locate(file, star.level, star.module) {
                            _ if holds == Some(Some(false)) => continue,
                            Located::Framework(mut path) if resources::symbol(name).is_some() => {
                                path.push(name.to_owned());
                                (Entity::Framework(path), is_open)
                            }
                            Located::Project(path) => {
                                let target = self.file_of_module(&path);
                                let target = target.filter(|target| self.exports(*target, name));
                                if let Some(target) = target.filter(|target| seen.insert(*target)) {
                                    self.push_steps(target, name, None, is_open, &mut steps)?;
                                }
                                continue;
                            }
                            _ => continue,
                        }
                    }
                };
                return if is_open {
                    Err(depends_on_condition(file, use_range, name))
                } else {
                    Ok(Some(found))
                };
            }
        }
        Ok(None)
    }

    /// A module's own binding of a name and the `import *` after it, the last of which counts most.
    fn push_steps<'s>(
        &'s self,
        file: FileIndex,
        name: &str,
        before: Option<TextSize>,
        is_open: bool,
        steps: &mut Vec<Step<'s, 'a>>,
    ) -> Result<(), Unresolved> {
        let bound = self.bound(file, name, before)?;
        steps.extend(bound.map(|bound| Step::Bound { file, bound, is_open }));
        let stars = self.surveys[file].stars.iter();
        let stars = stars
            .filter(|star| before.is_none_or(|before| star.from <= before))
            .filter(|star| bound.is_none_or(|bound| star.from > bound.from));
        steps.extend(stars.map(|star| Step::Star { file, star, is_open }));
        Ok(())
    }

    /// Whether `from x import *` takes a name along.
    fn exports(&self, file: FileIndex, name: &str) -> bool {
        let listed = self.surveys[file].bindings.get("__all__").and_then(|bound| match bound.as_slice() {
            [Bound { binding: Binding::Value(Expr::List(list)), .. }] => Some(&list.elts),
            [Bound { binding: Binding::Value(Expr::Tuple(tuple)), .. }] => Some(&tuple.elts),
            _ => None,
        });
        match listed.filter(|listed| listed.iter().all(Expr::is_string_literal_expr)) {
            Some(listed) => listed
                .iter()
                .any(|element| matches!(element, Expr::StringLiteral(text) if text.value.to_str() == name)),
            None => !name.starts_with('_') || self.surveys[file].bindings.contains_key("__all__"),
        }
    }

    /// The last binding up to a place; one whose condition does not hold is none.
    fn bound(
        &self,
        file: FileIndex,
        name: &str,
        before: Option<TextSize>,
    ) -> Result<Option<&Bound<'a>>, Unresolved> {
        let Some(bindings) = self.surveys[file].bindings.get(name) else { return Ok(None) };
        // In the order of the source, except for what stands in a `try`.
        for bound in bindings.iter().rev().filter(|bound| before.is_none_or(|before| bound.from <= before)) {
            let Some(condition) = bound.condition else { return Ok(Some(bound)) };
            match conditions::outcome(self, file, condition).holds {
                Some(true) => return Ok(Some(bound)),
                Some(false) => {}
                None if self.agree(file, bindings) => return Ok(Some(bound)),
                None => {
                    return Err(depends_on_condition(file, bound.binding.range(bound.from), name));
                }
            }
        }
        Ok(None)
    }

    /// Whether it does not matter which of a name's bindings counts: there is one definition or import, or all import the same
    /// name from outside the project.
    fn agree(&self, file: FileIndex, bindings: &[Bound<'a>]) -> bool {
        let outside = |bound: &Bound<'a>| match bound.binding {
            Binding::From(from) => match self.locate(file, from.level, from.module) {
                Located::Framework(_) | Located::External(_) => Some(from.name),
                _ => None,
            },
            _ => None,
        };
        match bindings {
            [bound] => bound.binding.value().is_none(),
            [first, rest @ ..] => {
                let name = outside(first);
                name.is_some() && rest.iter().all(|bound| outside(bound) == name)
            }
            [] => true,
        }
    }

    pub(crate) fn binding(
        &self,
        file: FileIndex,
        name: &str,
        binding: &Binding<'a>,
        hops: usize,
    ) -> Result<Entity<'a>, Unresolved> {
        match *binding {
            // `a = b` is followed, so that an alias is the thing itself.
            Binding::Value(expression) => Ok(Entity::Value { file, expression, condition: None }),
            Binding::Function(definition) => Ok(Entity::Function { file, definition }),
            Binding::Class(definition) => Ok(Entity::Class { file, definition }),
            Binding::Opaque(range, why) => {
                Err(Unresolved::new(file, range, format!("`{name}` cannot be followed: {why}")))
            }
            Binding::Module(dotted) => Ok(match self.locate(file, 0, dotted) {
                Located::Framework(path) => Entity::Framework(path),
                Located::Project(path) => Entity::Module(path),
                Located::External(dotted) => Entity::External(dotted),
                Located::BeyondRoot => Entity::External(dotted.to_owned()),
            }),
            Binding::From(from) => self.imported(file, from, hops),
        }
    }

    fn imported(&self, file: FileIndex, from: FromImport<'a>, hops: usize) -> Result<Entity<'a>, Unresolved> {
        match self.locate(file, from.level, from.module) {
            Located::Framework(mut path) => {
                path.push(from.name.to_owned());
                Ok(Entity::Framework(path))
            }
            Located::External(dotted) => Ok(Entity::External(format!("{dotted}.{}", from.name))),
            Located::Project(path) => self.member(&path, from.name, (file, from.range), hops + 1),
            Located::BeyondRoot => {
                Err(Unresolved::new(file, from.range, "the import goes beyond the project's root").hint(
                    "remove leading dots, or run `flash` in the directory that holds the whole package",
                ))
            }
        }
    }

    /// `name` of the project module at `path`: something bound in it, or a module below it.
    fn member(
        &self,
        path: &str,
        name: &str,
        use_site: (FileIndex, TextRange),
        hops: usize,
    ) -> Result<Entity<'a>, Unresolved> {
        let (file, range) = use_site;
        let module = self.file_of_module(path);
        if let Some(module) = module {
            // `from . import x` in an `__init__.py` means the module `x`, not the name that the import itself binds.
            let bound_by_itself = module == file && self.is_module(&join(path, name));
            if !bound_by_itself && let Some(entity) = self.lookup(module, name, None, range, hops)? {
                return Ok(entity);
            }
        }
        let below = join(path, name);
        if self.is_module(&below) {
            return Ok(Entity::Module(below));
        }
        let mut unresolved = match module {
            Some(module) => {
                let defined = self.files[module].path;
                let unresolved =
                    Unresolved::new(file, range, format!("`{defined}` does not define `{name}`"));
                match suggest::closest(name, self.bound_names(module)) {
                    Some(candidate) => unresolved.hint(format!("did you mean `{candidate}`?")),
                    None => unresolved,
                }
            }
            None if self.is_module(path) => {
                Unresolved::new(file, range, format!("`{path}/` holds no module `{name}`"))
            }
            None => Unresolved::new(
                file,
                range,
                format!("the project has no module `{}`", path.replace('/', ".")),
            )
            .hint(format!("create `{path}.py`, or correct the import")),
        };
        unresolved.broken = module.is_some_and(|module| self.files[module].broken());
        Err(unresolved)
    }

    pub(crate) fn attribute(
        &self,
        base: Entity<'a>,
        name: &str,
        use_file: FileIndex,
        range: TextRange,
        hops: usize,
    ) -> Result<Entity<'a>, Unresolved> {
        if hops > HOPS_MAX {
            return Err(Unresolved::new(use_file, range, "it refers to itself"));
        }
        match base {
            Entity::Framework(mut path) => {
                path.push(name.to_owned());
                Ok(Entity::Framework(path))
            }
            Entity::External(dotted) => Ok(Entity::External(format!("{dotted}.{name}"))),
            Entity::Module(path) => self.member(&path, name, (use_file, range), 0),
            Entity::Class { file, definition } => {
                self.class_attribute(file, definition, name, (use_file, range), hops)
            }
            Entity::Value { file, expression: expression @ (Expr::Name(_) | Expr::Attribute(_)), .. } => {
                let base = self.resolve_within(file, expression, hops + 1)?;
                self.attribute(base, name, use_file, range, hops + 1)
            }
            Entity::Value { file, expression: Expr::Call(call), .. } => {
                self.instance_attribute(file, call, name, (use_file, range), hops)
            }
            Entity::Value { .. } | Entity::Function { .. } => Err(Unresolved::new(
                use_file,
                range,
                format!("the attribute `{name}` is known only when the code runs"),
            )),
        }
    }

    /// `resolve` for an alias of an alias, which may go in a circle.
    fn resolve_within(
        &self,
        file: FileIndex,
        expression: &'a Expr,
        hops: usize,
    ) -> Result<Entity<'a>, Unresolved> {
        match expression {
            Expr::Attribute(attribute) => {
                if hops > HOPS_MAX {
                    return Err(Unresolved::new(file, expression.range(), "it refers to itself"));
                }
                let base = self.resolve_within(file, &attribute.value, hops + 1)?;
                self.attribute(base, attribute.attr.as_str(), file, expression.range(), hops + 1)
            }
            _ => self.resolve(file, expression),
        }
    }

    /// Whether the first name of an attribute chain may be bound in its module. Anything but a chain is no name at all.
    pub(crate) fn is_bound(&self, file: FileIndex, expression: &Expr) -> bool {
        let survey = &self.surveys[file];
        match expression {
            Expr::Attribute(attribute) => self.is_bound(file, &attribute.value),
            Expr::Name(name) => !survey.stars.is_empty() || survey.bindings.contains_key(name.id.as_str()),
            Expr::Call(call) => self.is_bound(file, &call.func),
            Expr::Subscript(subscript) => self.is_bound(file, &subscript.value),
            _ => false,
        }
    }

    /// The framework's symbol that a decorator, base or callee is, if it is one.
    pub(crate) fn symbol(&self, file: FileIndex, expression: &'a Expr) -> Option<Symbol> {
        // Most callees are Python's own: not worth an explanation of why they are not ours.
        if !self.is_bound(file, expression) {
            return None;
        }
        let mut entity = self.resolve(file, expression).ok()?;
        for _ in 0..HOPS_MAX {
            match entity {
                Entity::Framework(path) => {
                    return framework_symbol(&path)
                        .filter(|(_, rest)| rest.is_empty())
                        .map(|(symbol, _)| symbol);
                }
                Entity::Value {
                    file, expression: expression @ (Expr::Name(_) | Expr::Attribute(_)), ..
                } => {
                    entity = self.resolve(file, expression).ok()?;
                }
                _ => return None,
            }
        }
        None
    }

    /// An attribute that the class or one of its bases in the project assigns in its body.
    fn class_attribute(
        &self,
        file: FileIndex,
        definition: &'a StmtClassDef,
        name: &str,
        use_site: (FileIndex, TextRange),
        hops: usize,
    ) -> Result<Entity<'a>, Unresolved> {
        let is_it = |target: &ExprAttribute| {
            target.attr.as_str() == name
                && matches!(&*target.value, Expr::Name(holder) if holder.id == definition.name.id)
        };
        if let Some(target) = self.surveys[file].attributes_assigned.iter().find(|target| is_it(target)) {
            let reason = format!("`{name}` of `{}` is changed after the class was made", definition.name);
            return Err(Unresolved::new(file, target.range, reason));
        }
        let is_own = |decorator: &'a Decorator| {
            let maker = decorator.expression.as_call_expr().map_or(&decorator.expression, |call| &*call.func);
            matches!(self.resolve(file, maker), Ok(Entity::Function { .. } | Entity::Value { .. }))
        };
        if definition.decorator_list.iter().any(is_own) || definition.keywords().iter().any(is_metaclass) {
            let reason = format!(
                "what `{}` holds is known only when its decorator or metaclass runs",
                definition.name
            );
            return Err(Unresolved::new(file, definition.name.range, reason));
        }
        if let Some(expression) = self.bound_in_body(file, definition, name, None)? {
            return Ok(Entity::Value { file, expression, condition: None });
        }
        for base in definition.bases() {
            if hops < HOPS_MAX
                && let Ok(Entity::Class { file, definition }) = self.resolve_within(file, base, hops + 1)
                && let Ok(found) = self.class_attribute(file, definition, name, use_site, hops + 1)
            {
                return Ok(found);
            }
        }
        let reason = format!("class `{}` has no plain attribute `{name}`", definition.name);
        Err(Unresolved::new(use_site.0, use_site.1, reason))
    }

    /// A class of `pydantic-settings`.
    fn reads_environment(&self, file: FileIndex, definition: &'a StmtClassDef) -> bool {
        let mut bases = definition.arguments.iter().flat_map(|arguments| &arguments.args);
        bases.any(|base| match self.resolve(file, base) {
            Ok(Entity::External(name)) => name.rsplit('.').next() == Some("BaseSettings"),
            _ => false,
        })
    }

    /// `Settings(name="x").name`, where the class is filled by its keywords alone, as a dataclass is.
    fn instance_attribute(
        &self,
        file: FileIndex,
        call: &'a ExprCall,
        name: &str,
        use_site: (FileIndex, TextRange),
        hops: usize,
    ) -> Result<Entity<'a>, Unresolved> {
        let unknown = || {
            let reason = format!("the attribute `{name}` is known only when the code runs");
            Err(Unresolved::new(use_site.0, use_site.1, reason))
        };
        let Ok(Entity::Class { file: home, definition }) = self.resolve_within(file, &call.func, hops + 1)
        else {
            return unknown();
        };
        if self.reads_environment(home, definition) {
            let reason = format!("`{}` takes its values from the environment", definition.name);
            let hint =
                format!("read what configurations need with a default: `os.getenv(\"{name}\", \"...\")`");
            return Err(Unresolved::new(use_site.0, use_site.1, reason).hint(hint));
        }
        let is_plain = call.arguments.args.is_empty()
            && call.arguments.keywords.iter().all(|keyword| keyword.arg.is_some())
            && classes::with_bases(self, home, definition)
                .0
                .iter()
                .all(|(_, class)| !defines_constructor(class));
        if !is_plain {
            return unknown();
        }
        let is_it = |keyword: &&ruff_python_ast::Keyword| {
            keyword.arg.as_ref().is_some_and(|argument| argument.as_str() == name)
        };
        match call.arguments.keywords.iter().find(is_it) {
            Some(keyword) => Ok(Entity::Value { file, expression: &keyword.value, condition: None }),
            None => self.class_attribute(home, definition, name, use_site, hops + 1),
        }
    }

    /// Whether a name of a module is the framework's `Endpoint`.
    pub(crate) fn is_endpoint(&self, file: FileIndex, name: &str) -> bool {
        match self.lookup(file, name, None, TextRange::default(), 0) {
            Ok(Some(Entity::Framework(path))) => {
                matches!(framework_symbol(&path), Some((Symbol::Endpoint, _)))
            }
            _ => false,
        }
    }

    pub(crate) fn dotted_module(&self, file: FileIndex) -> String {
        match module_path(self.files[file].path) {
            "" => "__init__".to_owned(),
            path => path.replace('/', "."),
        }
    }

    fn bound_names(&self, file: FileIndex) -> Vec<&'a str> {
        let mut names: Vec<&str> = self.surveys[file].bindings.keys().copied().collect();
        names.sort_unstable();
        names
    }
}

fn depends_on_condition(file: FileIndex, range: TextRange, name: &str) -> Unresolved {
    let reason = format!("`{name}` cannot be followed: which value it has depends on a condition");
    Unresolved::new(file, range, reason)
}

/// The public name that a dotted name inside the framework's package leads to, and what follows it:
/// `core.resources.GpuGroup.ADA_24`.
pub(crate) fn framework_symbol(path: &[String]) -> Option<(Symbol, &[String])> {
    let depth = path.iter().position(|segment| resources::symbol(segment).is_some())?;
    let (module, rest) = path.split_at(depth);
    let (name, rest) = rest.split_first()?;
    let is_module = resources::FRAMEWORK_MODULES.contains(&module.join(".").as_str());
    is_module.then_some(()).and_then(|()| Some((resources::symbol(name)?, rest)))
}

fn is_metaclass(keyword: &Keyword) -> bool {
    keyword.arg.as_ref().is_some_and(|name| name.as_str() == "metaclass")
}

fn defines_constructor(definition: &StmtClassDef) -> bool {
    let names = ["__init__", "__new__", "__post_init__", "__getattribute__"];
    definition.body.iter().any(|statement| match statement {
        Stmt::FunctionDef(function) => names.contains(&function.name.as_str()),
        _ => false,
    })
}
