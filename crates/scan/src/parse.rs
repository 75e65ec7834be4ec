//! Source text → syntax tree, one file at a time. A broken file is reported and its readable parts are kept, so that
//! it never hides what is wrong elsewhere.

use std::cell::OnceCell;

use flash_model::{Code, Diagnostic, Span};
use ruff_python_ast::{ModModule, PySourceType};
use ruff_python_parser::parse_unchecked_source;
use ruff_text_size::{TextRange, TextSize};

use crate::nesting::nested_too_deeply;
use crate::source::SourceTree;

/// Syntax errors shown per file; the ones after the first few are mostly echoes.
const SYNTAX_ERRORS_MAX: usize = 5;
/// Offsets in the syntax tree are 32 bit.
const FILE_BYTES_MAX: usize = 64 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct SourceFile<'t> {
    pub(crate) path: &'t str,
    pub(crate) text: &'t str,
    pub(crate) syntax: ModModule,
    /// Has syntax errors or is no text: what is missing in it is not worth a second report.
    pub(crate) broken: bool,
    line_starts: OnceCell<Vec<u32>>,
}

impl<'t> SourceFile<'t> {
    fn new(path: &'t str, text: &'t str, syntax: ModModule, broken: bool) -> Self {
        Self { path, text, syntax, broken, line_starts: OnceCell::new() }
    }

    pub(crate) fn span(&self, range: TextRange) -> Span {
        let (line, column) = self.position(range.start());
        let (end_line, end_column) = self.position(range.end());
        Span { file: self.path.to_owned(), line, column, end_line, end_column }
    }

    /// 1-based line of an offset.
    pub(crate) fn line(&self, offset: TextSize) -> u32 {
        let starts = self.line_starts.get_or_init(|| line_starts(self.text));
        starts.partition_point(|start| *start <= offset.to_u32()) as u32
    }

    /// Source text of a range, on one line.
    pub(crate) fn source(&self, range: TextRange) -> String {
        let text = self.text.get(range.start().to_usize()..range.end().to_usize()).unwrap_or_default();
        if text.contains(['\n', '\r']) {
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        } else {
            text.to_owned()
        }
    }

    fn position(&self, offset: TextSize) -> (u32, u32) {
        let line = self.line(offset);
        let starts = self.line_starts.get_or_init(|| line_starts(self.text));
        let start = starts.get(line.saturating_sub(1) as usize).copied().unwrap_or(0) as usize;
        let before = self.text.get(start..offset.to_usize()).unwrap_or_default();
        (line, before.chars().count() as u32 + 1)
    }
}

/// All Python files, in the order of their paths.
pub(crate) fn parse<'t>(tree: &'t SourceTree, diagnostics: &mut Vec<Diagnostic>) -> Vec<SourceFile<'t>> {
    tree.python_files().map(|(path, bytes)| parse_file(path, bytes, diagnostics)).collect()
}

fn parse_file<'t>(path: &'t str, bytes: &'t [u8], diagnostics: &mut Vec<Diagnostic>) -> SourceFile<'t> {
    if bytes.len() > FILE_BYTES_MAX {
        diagnostics.push(
            Diagnostic::error(Code::UnreadableFile, format!("`{path}` is larger than 64 MiB"))
                .at(start_of(path))
                .hint("keep data out of Python files, or exclude the file in .flashignore"),
        );
        return SourceFile::new(path, "", empty_module(), true);
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            diagnostics.push(not_utf8(path, bytes, error.valid_up_to()));
            return SourceFile::new(path, "", empty_module(), true);
        }
    };
    if let Some(offset) = nested_too_deeply(text) {
        let file = SourceFile::new(path, text, empty_module(), true);
        let position = TextSize::new(offset as u32);
        diagnostics.push(
            Diagnostic::error(Code::SyntaxError, "nested too deeply")
                .at(file.span(TextRange::empty(position)))
                .hint("split the expression into several, each bound to a name"),
        );
        return file;
    }
    let parsed = parse_unchecked_source(text, PySourceType::Python);
    let mut errors: Vec<(TextRange, String)> =
        parsed.errors().iter().map(|error| (error.location, error.error.to_string())).collect();
    let file = SourceFile::new(path, text, parsed.into_syntax(), !errors.is_empty());
    errors.sort_by_key(|(range, _)| (range.start(), range.end()));
    errors.dedup_by_key(|(range, _)| file.line(range.start()));
    for (range, message) in errors.into_iter().take(SYNTAX_ERRORS_MAX) {
        diagnostics.push(
            Diagnostic::error(Code::SyntaxError, message)
                .at(file.span(range))
                .hint("correct the syntax; nothing else in this file is checked until it parses"),
        );
    }
    file
}

fn not_utf8(path: &str, bytes: &[u8], valid_up_to: usize) -> Diagnostic {
    let readable =
        bytes.get(..valid_up_to).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
    let file = SourceFile::new(path, readable, empty_module(), true);
    let span = file.span(TextRange::empty(TextSize::new(valid_up_to as u32)));
    Diagnostic::error(Code::UnreadableFile, format!("`{path}` is not UTF-8 text"))
        .at(span)
        .hint("save the file as UTF-8, or exclude it in .flashignore")
}

fn start_of(path: &str) -> Span {
    Span { file: path.to_owned(), line: 1, column: 1, end_line: 1, end_column: 1 }
}

fn empty_module() -> ModModule {
    parse_unchecked_source("", PySourceType::Python).into_syntax()
}

/// `\n`, `\r\n` and a lone `\r` end a line, as in Python.
fn line_starts(text: &str) -> Vec<u32> {
    let bytes = text.as_bytes();
    let ends = bytes.iter().enumerate().filter(|(index, byte)| match byte {
        b'\n' => true,
        b'\r' => bytes.get(index + 1) != Some(&b'\n'),
        _ => false,
    });
    std::iter::once(0).chain(ends.map(|(index, _)| index as u32 + 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(source: &[u8], expect: &[(&str, u32, u32)]) {
        let mut tree = SourceTree::new("p");
        tree.insert("a.py", source.to_vec());
        let mut diagnostics = Vec::new();
        parse(&tree, &mut diagnostics);
        let found: Vec<_> = diagnostics
            .iter()
            .map(|d| (d.code.as_str(), d.span.as_ref().unwrap().line, d.span.as_ref().unwrap().column))
            .collect();
        assert_eq!(found, expect, "{diagnostics:?}");
    }

    #[test]
    fn good_files_pass() {
        check(b"x = 1\n", &[]);
        check(b"", &[]);
        check("\u{feff}x = 'é'\r\ny = 2\r\n".as_bytes(), &[]);
    }

    #[test]
    fn broken_files_have_exact_positions() {
        check(b"x = 1\ndef f(:\n    pass\n", &[("FL101", 2, 7)]);
        check(b"x = (1,\n", &[("FL101", 2, 1)]);
        check("é = 'é' +\n".as_bytes(), &[("FL101", 1, 10)]);
        check(b"x = 1\ny = '\xff'\n", &[("FL102", 2, 6)]);
    }
}
