//! The project's own enumerations: what a member is where a value is wanted.

use ruff_python_ast::{Expr, StmtClassDef};

use crate::imports::{FileIndex, Project};
use crate::resolve::Entity;

/// Classes between an enumeration and `enum.Enum`.
const BASES_MAX: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `Enum`: a member is not its value.
    Member,
    /// `str, Enum`: a member is its value, but not its value's text.
    Mixed,
    /// `StrEnum`, `IntEnum`: a member is its value.
    Value,
}

/// What `Stage.DEV` is; `None` unless `Stage` is an enumeration of the project.
pub(crate) fn of_member<'a>(project: &Project<'a>, file: FileIndex, expression: &'a Expr) -> Option<Kind> {
    let Expr::Attribute(member) = expression else { return None };
    match project.resolve(file, &member.value) {
        Ok(Entity::Class { file, definition }) => kind(project, file, definition, 0),
        _ => None,
    }
}

fn kind<'a>(project: &Project<'a>, file: FileIndex, class: &'a StmtClassDef, depth: usize) -> Option<Kind> {
    let mut is_mixed = false;
    for base in class.bases() {
        if matches!(base, Expr::Name(name) if matches!(name.id.as_str(), "str" | "int" | "float")) {
            is_mixed = true;
        }
        let found = match project.resolve(file, base) {
            Ok(Entity::External(name)) => match name.as_str() {
                "enum.Enum" | "enum.Flag" => Some(Kind::Member),
                "enum.StrEnum" | "enum.IntEnum" | "enum.IntFlag" => Some(Kind::Value),
                _ => None,
            },
            Ok(Entity::Class { file, definition }) if depth < BASES_MAX => {
                kind(project, file, definition, depth + 1)
            }
            _ => None,
        };
        match found {
            Some(Kind::Member) if is_mixed => return Some(Kind::Mixed),
            Some(found) => return Some(found),
            None => {}
        }
    }
    None
}
