//! Problems of a project, each with its source line.

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use flash_model::{Diagnostic, Severity};
use flash_scan::SourceTree;

use crate::printer::Printer;

pub(crate) fn print(diagnostics: &[Diagnostic], tree: &SourceTree, printer: Printer) {
    for diagnostic in diagnostics {
        printer.notice(render(diagnostic, tree, printer.is_colored()));
        printer.notice("");
    }
}

/// Without a readable source line, the place alone.
fn render(diagnostic: &Diagnostic, tree: &SourceTree, colored: bool) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let code = diagnostic.code.to_string();
    let mut group = level
        .primary_title(diagnostic.message.as_str())
        .id(code.as_str())
        .elements(None::<Snippet<'_, annotate_snippets::Annotation<'_>>>);
    let mut places = Vec::new();
    if let Some(span) = &diagnostic.span {
        places.push((span, AnnotationKind::Primary, ""));
    }
    for related in &diagnostic.related {
        places.push((&related.span, AnnotationKind::Context, related.message.as_str()));
    }
    // Places in one file are drawn in one excerpt, the primary one's file first.
    let mut files: Vec<&str> = places.iter().map(|(span, ..)| span.file.as_str()).collect();
    files.dedup();
    let sources: Vec<(&str, String)> = files
        .into_iter()
        .map(|file| (file, String::from_utf8_lossy(tree.get(file).unwrap_or_default()).into_owned()))
        .collect();
    for (file, source) in &sources {
        let annotations = places.iter().filter(|(span, ..)| span.file == *file).map(|(span, kind, label)| {
            let start = offset(source, span.line, span.column);
            let end = offset(source, span.end_line, span.end_column).max(start);
            let annotation = kind.span(start..end);
            if label.is_empty() { annotation } else { annotation.label(*label) }
        });
        group = group.element(Snippet::source(source.as_str()).path(*file).annotations(annotations));
    }
    if let Some(hint) = &diagnostic.hint {
        group = group.element(Level::HELP.with_name(Some("hint")).message(hint.as_str()));
    }
    let renderer = if colored { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group])
}

/// Byte offset of a line and column that count from 1, columns in characters. Past the end is the end.
fn offset(source: &str, line: u32, column: u32) -> usize {
    let mut start = 0;
    for (index, text) in source.split_inclusive('\n').enumerate() {
        if index + 1 == line as usize {
            let within = text
                .char_indices()
                .nth((column.max(1) - 1) as usize)
                .map_or(text.trim_end().len(), |(at, _)| at);
            return start + within;
        }
        start += text.len();
    }
    source.len()
}

#[cfg(test)]
mod tests {
    use flash_model::{Code, Span};

    use super::*;

    #[test]
    fn the_source_line_is_shown_with_a_caret_and_a_hint() {
        let mut tree = SourceTree::new("p");
        tree.insert("a.py", "x = 1\né = remote(api, méthod=\"GET\")\n".as_bytes().to_vec());
        let span = Span { file: "a.py".into(), line: 2, column: 17, end_line: 2, end_column: 23 };
        let diagnostic = Diagnostic::error(Code::UnknownArgument, "unknown argument `méthod`")
            .at(span)
            .hint("did you mean `method`?");
        let text = render(&diagnostic, &tree, false);
        for expected in
            ["error[FL105]: unknown argument `méthod`", "a.py:2:17", "^^^^^^", "hint: did you mean `method`?"]
        {
            assert!(text.contains(expected), "{expected} in\n{text}");
        }
    }

    #[test]
    fn a_place_outside_the_source_is_no_panic() {
        let span = Span { file: "gone.py".into(), line: 9, column: 9, end_line: 9, end_column: 9 };
        let diagnostic = Diagnostic::warning(Code::SyntaxError, "x").at(span);
        assert!(render(&diagnostic, &SourceTree::new("p"), false).contains("warning[FL101]: x"));
    }
}
