//! What a file's text tells without parsing it: whether it names the framework, whether it can hold decorators, and what
//! it may import. May err on one side only: everything that the syntax tree says is found, and sometimes more.

use std::borrow::Cow;

use memchr::memmem;

use crate::resources::FRAMEWORK_PACKAGES;

/// A module that an import in the text may name. Leading dots are counted apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MaybeImport<'t> {
    pub(crate) level: u32,
    pub(crate) module: Cow<'t, str>,
    /// Names taken from it, `*` included; empty for `import a.b`.
    pub(crate) names: Vec<&'t str>,
}

pub(crate) fn names_framework(text: &[u8]) -> bool {
    FRAMEWORK_PACKAGES.iter().any(|package| memmem::find(text, package.as_bytes()).is_some())
}

/// A line that begins with `@`. Multiplications that begin a line look the same.
pub(crate) fn has_decorator(text: &[u8]) -> bool {
    memchr::memchr_iter(b'@', text).any(|at| {
        let before = text.get(..at).unwrap_or_default();
        let blank = before.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\x0c')).count();
        matches!(
            before.len().checked_sub(blank + 1).and_then(|end| before.get(end)),
            None | Some(b'\n' | b'\r' | b'\\')
        )
    })
}

/// A decorator of the framework's name, whether it is imported or not: forgetting the import is worth a word.
pub(crate) fn names_decorator(text: &[u8]) -> bool {
    memmem::find(text, b"@remote").is_some() || memmem::find(text, b"@Endpoint").is_some()
}

/// Imports by function call.
pub(crate) fn has_dynamic_import(text: &[u8]) -> bool {
    memmem::find(text, b"import_module").is_some() || memmem::find(text, b"__import__").is_some()
}

/// Every `import a.b, c` and `from a import b` that the text may hold, wherever it stands.
pub(crate) fn imports(text: &str) -> Vec<MaybeImport<'_>> {
    let mut found = Vec::new();
    for at in memmem::find_iter(text.as_bytes(), b"import") {
        let (before, after) = (text.get(..at).unwrap_or_default(), text.get(at + 6..).unwrap_or_default());
        if before.ends_with(is_name) || after.starts_with(is_name) {
            continue;
        }
        match from_clause(last_logical_line(before)) {
            Some((level, module)) => found.push(MaybeImport { level, module, names: names(after) }),
            None => found.extend(
                first_logical_line(after)
                    .split([',', ';'])
                    .map(|item| MaybeImport { level: 0, module: dotted(item), names: Vec::new() })
                    .filter(|import| !import.module.is_empty()),
            ),
        }
    }
    found
}

/// `from ..a.b` at the end of a line, as dots and name.
fn from_clause(line: &str) -> Option<(u32, Cow<'_, str>)> {
    let words_start = line.trim_end_matches(|c| is_name(c) || c == '.' || is_blank(c)).len();
    let words = line.get(words_start..)?;
    let after_from = words.match_indices("from").filter_map(|(at, _)| {
        let (head, tail) = (words.get(..at)?, words.get(at + 4..)?);
        (!head.ends_with(is_name) && tail.starts_with(|c| is_blank(c) || c == '.')).then_some(tail)
    });
    let module = after_from.last()?;
    let name_start = module.find(is_name).unwrap_or(module.len());
    let (dots, name) = module.split_at(name_start);
    Some((dots.bytes().filter(|byte| *byte == b'.').count() as u32, dotted(name)))
}

/// A dotted name at the start of a text; blanks around its dots are Python's, but not part of it.
fn dotted(text: &str) -> Cow<'_, str> {
    let text = text.trim_start_matches(is_blank);
    let name = text.split(|c| !is_name(c) && c != '.').next().unwrap_or_default();
    let rest = text.get(name.len()..).unwrap_or_default().trim_start_matches(is_blank);
    if !name.ends_with('.') && !rest.starts_with('.') {
        return Cow::Borrowed(name);
    }
    let mut joined = name.to_owned();
    let mut rest = rest;
    while joined.ends_with('.') || rest.starts_with('.') {
        let part = rest.split(|c| !is_name(c) && c != '.').next().unwrap_or_default();
        if part.is_empty() {
            break;
        }
        joined.push_str(part);
        rest = rest.get(part.len()..).unwrap_or_default().trim_start_matches(is_blank);
    }
    Cow::Owned(joined)
}

/// First words of a list that ends with the line or its closing bracket. Words of comments within it are taken too.
fn names(after: &str) -> Vec<&str> {
    let after = after.trim_start_matches(is_blank);
    let list = match after.strip_prefix('(') {
        Some(list) => bracketed(list),
        None => first_logical_line(after),
    };
    list.split([',', '\n', '\r', ';'])
        .filter_map(|item| item.trim_start_matches(is_blank).split(|c| !is_name(c) && c != '*').next())
        .filter(|name| !name.is_empty())
        .collect()
}

/// Up to the closing bracket that is in no comment.
fn bracketed(list: &str) -> &str {
    let mut in_comment = false;
    let end = list.bytes().position(|byte| {
        in_comment = byte == b'#' || (in_comment && !matches!(byte, b'\n' | b'\r'));
        byte == b')' && !in_comment
    });
    list.get(..end.unwrap_or(list.len())).unwrap_or_default()
}

/// Up to the first line end that no backslash hides.
fn first_logical_line(text: &str) -> &str {
    let mut ends = memchr::memchr2_iter(b'\n', b'\r', text.as_bytes());
    let end = ends.find(|at| !is_continued(text, *at));
    text.get(..end.unwrap_or(text.len())).unwrap_or_default()
}

/// From after the last line end that no backslash hides.
fn last_logical_line(text: &str) -> &str {
    let mut ends = memchr::memrchr2_iter(b'\n', b'\r', text.as_bytes());
    let start = ends.find(|at| !is_continued(text, *at)).map_or(0, |end| end + 1);
    text.get(start..).unwrap_or_default()
}

fn is_continued(text: &str, line_end: usize) -> bool {
    let before = text.as_bytes().get(..line_end).unwrap_or_default();
    before.ends_with(b"\\") || before.ends_with(b"\\\r")
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii()
}

/// What may stand between the words of one import: blanks, and line ends behind a backslash.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0c' | '\\' | '\n' | '\r')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &[(u32, &str, &[&str])]) {
        let found = imports(text);
        let found: Vec<(u32, &str, &[&str])> =
            found.iter().map(|import| (import.level, &*import.module, &*import.names)).collect();
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn statements_in_all_shapes() {
        check("import a", &[(0, "a", &[])]);
        check("import a.b as c, d\n", &[(0, "a.b", &[]), (0, "d", &[])]);
        check("from a.b import c as d, e # f\n", &[(0, "a.b", &["c", "e"])]);
        check("from a import (\n    b,  # why\n    c as d,\n)\n", &[(0, "a", &["b", "c"])]);
        check("from ..a import *", &[(2, "a", &["*"])]);
        check("from . import b", &[(1, "", &["b"])]);
        check("from.a import b", &[(1, "a", &["b"])]);
        check("from . .a import(b)", &[(2, "a", &["b"])]);
        check("from a \\\n  import b, \\\n c", &[(0, "a", &["b", "c"])]);
        check(
            "try: import a; import b\nexcept ImportError: from c import d",
            &[(0, "a", &[]), (0, "import", &[]), (0, "b", &[]), (0, "c", &["d"])],
        );
        check("raise E from e\nimport y\n", &[(0, "y", &[])]);
        check("raise E from e; import y\n", &[(0, "y", &[])]);
        check("from . a . b import c\nimport d . e as f", &[(1, "a.b", &["c"]), (0, "d.e", &[])]);
        check("from a import (b,  # :)\nc)\n", &[(0, "a", &["b", "c"])]);
        check("def from_x(important): reimport\n", &[]);
        check("from é import ü\r\nimport ä\r", &[(0, "é", &["ü"]), (0, "ä", &[])]);
    }

    #[test]
    fn decorators_begin_a_line() {
        for (text, expected) in [
            ("@a\ndef f(): ...", true),
            ("\r\t@a", true),
            ("if x:\n  @a", true),
            ("x = a @ b # me@example.org", false),
            ("", false),
        ] {
            assert_eq!(has_decorator(text.as_bytes()), expected, "{text}");
        }
    }
}
