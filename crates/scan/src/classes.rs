//! Classes of the project with their bases, as far as names lead to them.

use std::fmt::Write as _;

use ruff_python_ast::{Expr, Stmt, StmtClassDef, StmtFunctionDef};
use ruff_text_size::Ranged;

use crate::imports::{FileIndex, Project};
use crate::resolve::Entity;

/// Aliases followed one after the other before a circle is assumed.
const HOPS_MAX: usize = 16;
/// Classes looked at for one class.
const BASES_MAX: usize = 64;

pub(crate) type ClassAt<'a> = (FileIndex, &'a StmtClassDef);

/// `a.b.c` as text, for a name or a chain of attributes of one.
pub(crate) fn dotted(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Name(name) => Some(name.id.to_string()),
        Expr::Attribute(attribute) => {
            let mut text = dotted(&attribute.value)?;
            let _ = write!(text, ".{}", attribute.attr);
            Some(text)
        }
        _ => None,
    }
}

/// What a name or dotted name of a file's module means in the end: aliases are followed, `Page[Item]` counts as `Page`.
pub(crate) fn meaning<'a>(project: &Project<'a>, file: FileIndex, expression: &Expr) -> Option<Entity<'a>> {
    let mut expression = expression;
    while let Expr::Subscript(subscript) = expression {
        expression = &subscript.value;
    }
    let mut entity = project.named(file, &dotted(expression)?, expression.range()).ok()?;
    for _ in 0..HOPS_MAX {
        match entity {
            Entity::Value { file, expression: alias @ (Expr::Name(_) | Expr::Attribute(_)), .. } => {
                entity = project.named(file, &dotted(alias)?, alias.range()).ok()?;
            }
            entity => return Some(entity),
        }
    }
    None
}

/// The class, then its bases in the project, nearest first; and whether that is all of them.
pub(crate) fn with_bases<'a>(
    project: &Project<'a>,
    file: FileIndex,
    class: &'a StmtClassDef,
) -> (Vec<ClassAt<'a>>, bool) {
    let mut classes = vec![(file, class)];
    let mut complete = true;
    let mut next = 0;
    while let Some(&(file, class)) = classes.get(next) {
        next += 1;
        complete &= class.keywords().is_empty();
        for base in class.bases() {
            match meaning(project, file, base) {
                Some(Entity::Class { file, definition }) if classes.len() < BASES_MAX => {
                    let is_known = |known: &ClassAt<'_>| known.0 == file && known.1.range == definition.range;
                    if !classes.iter().any(is_known) {
                        classes.push((file, definition));
                    }
                }
                None if matches!(base, Expr::Name(name) if name.id == "object") => {}
                _ => complete = false,
            }
        }
    }
    (classes, complete)
}

/// The last definition of a method, with its file and class.
pub(crate) fn find_method<'a>(
    project: &Project<'a>,
    file: FileIndex,
    class: &'a StmtClassDef,
    name: &str,
) -> Option<(FileIndex, &'a StmtClassDef, &'a StmtFunctionDef)> {
    let (classes, _) = with_bases(project, file, class);
    classes.into_iter().find_map(|(file, class)| {
        let found = functions(&class.body).filter(|method| method.name.as_str() == name).last()?;
        Some((file, class, found))
    })
}

/// The function definitions among statements, in the order of the source.
pub(crate) fn functions(body: &[Stmt]) -> impl Iterator<Item = &StmtFunctionDef> {
    body.iter().filter_map(|statement| match statement {
        Stmt::FunctionDef(function) => Some(function),
        _ => None,
    })
}

/// Whether a definition has a decorator of this plain name.
pub(crate) fn has_decorator(function: &StmtFunctionDef, wanted: &[&str]) -> bool {
    function.decorator_list.iter().any(|decorator| {
        dotted(&decorator.expression)
            .is_some_and(|name| wanted.contains(&name.rsplit('.').next().unwrap_or_default()))
    })
}
