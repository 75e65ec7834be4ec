//! Source text → syntax tree, one file at a time and only when asked for: files that nobody needs are never parsed. A
//! broken file is reported and its readable parts are kept, so that it never hides what is wrong elsewhere.

use std::borrow::Cow;
use std::sync::OnceLock;

use flash_model::{Code, Diagnostic, Span};
use ruff_python_ast::{ModModule, PySourceType};
use ruff_python_parser::parse_unchecked_source;
use ruff_text_size::{TextRange, TextSize};

use crate::nesting::nested_too_deeply;
use crate::parallel;
use crate::source::SourceTree;

/// Syntax errors shown per file; the ones after the first few are mostly echoes.
const SYNTAX_ERRORS_MAX: usize = 5;
/// Offsets in the syntax tree are 32 bit.
const FILE_BYTES_MAX: usize = 64 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct SourceFile<'t> {
    pub(crate) path: &'t str,
    bytes: &'t [u8],
    /// Without byte order mark, every line end being `\n`, so that it is the same for all editors. Empty for a file that is
    /// no text.
    pub(crate) text: Cow<'t, str>,
    unreadable: Option<Diagnostic>,
    parsed: OnceLock<Parsed>,
    line_starts: OnceLock<Vec<u32>>,
}

/// A file's tree and what is wrong with it.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) syntax: ModModule,
    /// Has syntax errors or is no text: what is missing in it is not worth a second report.
    pub(crate) broken: bool,
    pub(crate) problems: Vec<Diagnostic>,
}

impl Parsed {
    fn broken(problems: Vec<Diagnostic>) -> Self {
        Self { syntax: empty_module(), broken: true, problems }
    }
}

impl<'t> SourceFile<'t> {
    fn new(path: &'t str, bytes: &'t [u8]) -> Self {
        let (text, unreadable) = match readable(path, bytes) {
            Ok(text) => (text, None),
            Err(problem) => (Cow::Borrowed(""), Some(problem)),
        };
        Self { path, bytes, text, unreadable, parsed: OnceLock::new(), line_starts: OnceLock::new() }
    }

    /// The tree, which is made at the first call and kept.
    pub(crate) fn syntax(&self) -> &ModModule {
        &self.parsed.get_or_init(|| self.parse()).syntax
    }

    /// The tree and its problems, if somebody has asked for the tree.
    pub(crate) fn parsed(&self) -> Option<&Parsed> {
        self.parsed.get()
    }

    /// Was asked for and found to be broken.
    pub(crate) fn broken(&self) -> bool {
        self.parsed().is_some_and(|parsed| parsed.broken)
    }

    /// What the text was read from; also of a file that is no text.
    pub(crate) fn bytes(&self) -> &'t [u8] {
        self.bytes
    }

    /// Parses without keeping the tree.
    pub(crate) fn parse(&self) -> Parsed {
        if let Some(problem) = &self.unreadable {
            return Parsed::broken(vec![problem.clone()]);
        }
        if let Some(offset) = nested_too_deeply(&self.text) {
            return Parsed::broken(vec![
                Diagnostic::error(Code::SyntaxError, "nested too deeply")
                    .at(self.span(TextRange::empty(TextSize::new(offset as u32))))
                    .hint("split the expression into several, each bound to a name"),
            ]);
        }
        let parsed = parse_unchecked_source(&self.text, PySourceType::Python);
        let mut errors: Vec<(TextRange, String)> =
            parsed.errors().iter().map(|error| (error.location, error.error.to_string())).collect();
        errors.sort_by_key(|(range, _)| (range.start(), range.end()));
        errors.dedup_by_key(|(range, _)| self.line(range.start()));
        let problem = |(range, message)| {
            Diagnostic::error(Code::SyntaxError, message)
                .at(self.span(range))
                .hint("correct the syntax; nothing else in this file is checked until it parses")
        };
        let broken = !errors.is_empty();
        let problems = errors.into_iter().take(SYNTAX_ERRORS_MAX).map(problem).collect();
        Parsed { syntax: parsed.into_syntax(), broken, problems }
    }

    pub(crate) fn span(&self, range: TextRange) -> Span {
        let (line, column) = self.position(range.start());
        let (end_line, end_column) = self.position(range.end());
        Span { file: self.path.to_owned(), line, column, end_line, end_column }
    }

    /// 1-based line of an offset.
    pub(crate) fn line(&self, offset: TextSize) -> u32 {
        let starts = self.line_starts.get_or_init(|| line_starts(&self.text));
        starts.partition_point(|start| *start <= offset.to_u32()) as u32
    }

    /// Source text of a range, on one line.
    pub(crate) fn source(&self, range: TextRange) -> String {
        let text = self.text.get(range.start().to_usize()..range.end().to_usize()).unwrap_or_default();
        if text.contains('\n') {
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        } else {
            text.to_owned()
        }
    }

    fn position(&self, offset: TextSize) -> (u32, u32) {
        let line = self.line(offset);
        let starts = self.line_starts.get_or_init(|| line_starts(&self.text));
        let start = starts.get(line.saturating_sub(1) as usize).copied().unwrap_or(0) as usize;
        let before = self.text.get(start..offset.to_usize()).unwrap_or_default();
        (line, before.chars().count() as u32 + 1)
    }
}

/// All Python files, in the order of their paths; none is parsed yet.
pub(crate) fn source_files(tree: &SourceTree) -> Vec<SourceFile<'_>> {
    let files: Vec<(&str, &[u8])> = tree.python_files().collect();
    parallel::map(&files, |(path, bytes)| SourceFile::new(path, bytes))
}

/// All Python files with their trees. For tests.
#[cfg(test)]
pub(crate) fn parse<'t>(tree: &'t SourceTree, diagnostics: &mut Vec<Diagnostic>) -> Vec<SourceFile<'t>> {
    let files = source_files(tree);
    files.iter().for_each(|file| {
        file.syntax();
    });
    diagnostics
        .extend(files.iter().filter_map(SourceFile::parsed).flat_map(|parsed| parsed.problems.clone()));
    files
}

fn readable<'t>(path: &str, bytes: &'t [u8]) -> Result<Cow<'t, str>, Diagnostic> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(Diagnostic::error(Code::UnreadableFile, format!("`{path}` is larger than 64 MiB"))
            .at(start_of(path))
            .hint("keep data out of Python files, or exclude the file in .flashignore"));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(with_line_feeds(text.strip_prefix('\u{feff}').unwrap_or(text))),
        Err(error) => Err(not_utf8(path, bytes.get(..error.valid_up_to()).unwrap_or_default())),
    }
}

fn not_utf8(path: &str, before: &[u8]) -> Diagnostic {
    let span = SourceFile::new(path, before).span(TextRange::empty(TextSize::new(before.len() as u32)));
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
fn with_line_feeds(text: &str) -> Cow<'_, str> {
    match memchr::memchr(b'\r', text.as_bytes()) {
        None => Cow::Borrowed(text),
        Some(_) => Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n")),
    }
}

fn line_starts(text: &str) -> Vec<u32> {
    let ends = memchr::memchr_iter(b'\n', text.as_bytes());
    std::iter::once(0).chain(ends.map(|end| end as u32 + 1)).collect()
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
