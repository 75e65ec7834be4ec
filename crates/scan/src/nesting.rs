//! Refuses source that nests too deeply, before a parser, a walk or a drop of its tree could run out of stack.

use ruff_python_ast::token::TokenKind;
use ruff_python_parser::{Mode, lexer};

/// Columns of indentation that are not worth a second look.
const INDENT_MAX: usize = 100;
/// Tokens that can nest, one inside another. CPython refuses 200 parentheses and 100 indents.
const NESTING_MAX: usize = 1000;
/// Characters that could nest, from which on a stretch of source is worth reading token by token.
const SUSPECT_MIN: usize = 500;
/// In which line, by the offset of its start, a text nests deeper than a syntax tree may be for code that walks or drops it recursively. The cheap
/// look at the bytes lets nearly every file pass without being read token by token.
pub(crate) fn nested_too_deeply(text: &str) -> Option<usize> {
    let suspect = first_suspect(text.as_bytes())?;
    let mut tokens = lexer::lex(text, Mode::Module);
    let mut levels = vec![Level::default()];
    let mut depth = 0_usize;
    loop {
        let kind = tokens.next_token();
        match kind {
            TokenKind::EndOfFile => return None,
            TokenKind::Newline | TokenKind::Semi => {
                depth -= levels.last().map_or(0, |level| level.depth).min(depth);
                if let Some(level) = levels.last_mut() {
                    *level = Level::default();
                }
            }
            TokenKind::Lpar
            | TokenKind::Lsqb
            | TokenKind::Lbrace
            | TokenKind::FStringStart
            | TokenKind::TStringStart
            | TokenKind::Indent => {
                depth += 1;
                levels.push(Level::default());
            }
            TokenKind::Rpar
            | TokenKind::Rsqb
            | TokenKind::Rbrace
            | TokenKind::FStringEnd
            | TokenKind::TStringEnd
            | TokenKind::Dedent => {
                let closed = levels.pop().map_or(0, |level| level.depth + 1);
                depth = depth.saturating_sub(closed);
                // What follows a closing bracket builds on it: `f()()`, `a[0][0]`.
                if let Some(level) = levels.last_mut() {
                    level.depth += 1;
                    depth += 1;
                }
            }
            TokenKind::Comma => {
                if let Some(level) = levels.last_mut().filter(|level| !level.lambda) {
                    depth = depth.saturating_sub(level.depth);
                    level.depth = 0;
                }
            }
            TokenKind::Comment | TokenKind::NonLogicalNewline | TokenKind::String => {}
            _ => {
                depth += 1;
                if let Some(level) = levels.last_mut() {
                    level.depth += 1;
                    level.lambda |= kind == TokenKind::Lambda;
                }
            }
        }
        if depth > NESTING_MAX {
            return Some(suspect);
        }
    }
}

/// What one bracket adds to the depth of what comes next inside it.
#[derive(Debug, Default)]
struct Level {
    depth: usize,
    lambda: bool,
}

const WORD: u8 = 1;
const OPEN: u8 = 2;
const CLOSE: u8 = 4;
const OPERATOR: u8 = 8;
const LINE_END: u8 = 16;

/// What a byte may do to the depth, as seen by the cheap look. Blanks, commas and quotes never nest.
const CLASSES: [u8; 256] = {
    let mut classes = [OPERATOR; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | 0x80.. => WORD,
            b'(' | b'[' | b'{' => OPEN,
            b')' | b']' | b'}' => CLOSE,
            b'\n' => LINE_END,
            b' ' | b'\t' | b',' | b'"' | b'\'' => 0,
            _ => OPERATOR,
        };
        byte += 1;
    }
    classes
};

/// Start of the line that, with the lines before that brackets or backslashes join to it, has more characters that can nest
/// than a tree may be deep; or that is indented that far. Lines end with `\n`.
fn first_suspect(bytes: &[u8]) -> Option<usize> {
    let mut open = 0_usize;
    let mut operators = 0_usize;
    let mut previous = 0;
    let mut line_start = 0;
    for (index, byte) in bytes.iter().enumerate() {
        let class = CLASSES[*byte as usize];
        if class == LINE_END {
            // Within joined lines the sum never falls.
            if open + operators > SUSPECT_MIN {
                return Some(line_start);
            }
            if open == 0 && !bytes.get(..index).unwrap_or_default().ends_with(b"\\") {
                operators = 0;
            }
            line_start = index + 1;
            let line = bytes.get(line_start..).unwrap_or_default();
            let is_blank = |byte: &&u8| matches!(byte, b' ' | b'\t');
            if line.iter().take(INDENT_MAX + 1).take_while(is_blank).count() > INDENT_MAX {
                return Some(line_start);
            }
        } else {
            let begins_word = class & !previous & WORD;
            operators += usize::from(begins_word) + usize::from(class & (CLOSE | OPERATOR) != 0);
            open += usize::from(class == OPEN);
            open = open.saturating_sub(usize::from(class == CLOSE));
        }
        previous = class;
    }
    (open + operators > SUSPECT_MIN).then_some(line_start)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SourceTree, scan};

    fn check(source: &str, is_too_deep: bool) {
        assert_eq!(nested_too_deeply(source).is_some(), is_too_deep, "{source:.60}");
        let mut tree = SourceTree::new("p");
        tree.insert("a.py", source.as_bytes().to_vec());
        // Needed by an application, so that its tree is made, walked, and digested.
        tree.insert("main.py", b"import a\nfrom fastapi import FastAPI\napp = FastAPI()\n".to_vec());
        let scanned = scan(&tree);
        let messages: Vec<&str> =
            scanned.diagnostics.iter().map(|diagnostic| diagnostic.message.as_str()).collect();
        assert_eq!(messages == ["nested too deeply"], is_too_deep, "{source:.60} {messages:?}");
    }

    #[test]
    fn brackets_and_prefixes() {
        for (open, close) in [
            ("[", "]"),
            ("(", ")"),
            ("{1:", "}"),
            ("f(", ")"),
            ("not ", ""),
            ("-", ""),
            ("lambda: ", ""),
            ("f'{", "}'"),
        ] {
            for closed in [close, ""] {
                check(&format!("x = {}1{}\n", open.repeat(50_000), closed.repeat(50_000)), true);
            }
        }
    }

    #[test]
    fn chains() {
        for chain in [" + 1", ".a", "()", "[0]", " if x else 1", " + \\\n1"] {
            check(&format!("x = 1{}\n", chain.repeat(50_000)), true);
            check(&format!("x = 1{}\n", chain.repeat(100)), false);
        }
    }

    #[test]
    fn blocks() {
        let indents: String = (0..3_000).map(|depth| format!("{}if x:\n", " ".repeat(depth))).collect();
        check(&indents, true);
    }

    #[test]
    fn just_below_the_limit_is_walked_and_dropped_on_a_test_threads_stack() {
        for (open, tokens, close) in [
            ("[", 1, "]"),
            ("{1: ", 3, "}"),
            ("f(", 2, ")"),
            ("not ", 1, ""),
            ("-", 1, ""),
            ("lambda: ", 2, ""),
        ] {
            let times = NESTING_MAX / tokens - 20;
            check(&format!("x = {}1{}\n", open.repeat(times), close.repeat(times)), false);
        }
    }

    #[test]
    fn long_is_not_deep() {
        check(&format!("x = [{}]\n", "(1, 'a', {2: 3}), ".repeat(20_000)), false);
        check(&"def f(a, b):\n    return a.b + b[0]\n".repeat(5_000), false);
        check(&"# a sad face :( in a comment\nx = 'and ( in [ text {'\n".repeat(2_000), false);
    }
}
