//! `requirements.txt` as pip reads it: comments, continued lines, `-r`, `-c`, `-e`, option lines.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::line::Requirement;
use super::project::{Error, InvalidLine, Place, ProjectRequirements, Stated, relative_name};

/// Follows `-r` and `-c`; a file that was read already is not read again, so that cycles end.
pub(super) struct Reader<'a> {
    pub(super) root: &'a Path,
    pub(super) visited: BTreeSet<PathBuf>,
    pub(super) found: &'a mut ProjectRequirements,
    pub(super) invalid: &'a mut Vec<InvalidLine>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Requirements,
    Constraints,
}

impl Reader<'_> {
    pub(super) fn read(&mut self, path: &Path, role: Role) -> Result<(), Error> {
        let identity = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if !self.visited.insert(identity) {
            return Ok(());
        }
        let bytes = fs_err::read(path)
            .map_err(|source| Error::Read { file: relative_name(self.root, path), source })?;
        for (line, text) in logical_lines(&decoded(&bytes)) {
            self.line(path, line, &text, role)?;
        }
        Ok(())
    }

    fn line(&mut self, path: &Path, line: u32, text: &str, role: Role) -> Result<(), Error> {
        let Some((name, value)) = option(text) else {
            match Requirement::parse(text, self.root) {
                Ok(requirement) => self.state(requirement, path, line, role),
                Err(reason) => self.invalid(path, line, text, reason),
            }
            return Ok(());
        };
        let folder = path.parent().unwrap_or(self.root);
        match name {
            "-r" | "--requirement" | "-c" | "--constraint" if !value.contains("://") => {
                let nested =
                    if name.contains('r') && !name.contains("con") { role } else { Role::Constraints };
                let target = folder.join(value);
                if target.is_file() {
                    return self.read(&target, nested);
                }
                self.invalid(path, line, text, format!("there is no file {value}"));
            }
            "-e" | "--editable" if role == Role::Requirements => {
                self.state(Requirement::editable(value, self.root), path, line, role);
            }
            "-f" | "--find-links" if folder.join(value).exists() => {
                let folder = folder.join(value);
                self.found.options.push(format!("--find-links {}", folder.display()));
            }
            _ if role == Role::Requirements => self.found.options.push(text.to_owned()),
            _ => {}
        }
        Ok(())
    }

    fn state(&mut self, requirement: Requirement, path: &Path, line: u32, role: Role) {
        let stated = Stated { requirement, place: Place { file: relative_name(self.root, path), line } };
        match role {
            Role::Requirements => self.found.requirements.push(stated),
            Role::Constraints => self.found.constraints.push(stated),
        }
    }

    fn invalid(&mut self, path: &Path, line: u32, text: &str, reason: String) {
        let file = relative_name(self.root, path);
        self.invalid.push(InvalidLine { file, line, text: super::redacted(text), reason });
    }
}

/// `-r x`, `-rx`, `--requirement=x`, `--pre`.
fn option(text: &str) -> Option<(&str, &str)> {
    if !text.starts_with('-') {
        return None;
    }
    let end = if text.starts_with("--") {
        text.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(text.len())
    } else {
        text.char_indices().nth(2).map_or(text.len(), |(at, _)| at)
    };
    let (name, value) = text.split_at(end);
    let value = value.trim_start_matches('=').trim();
    Some((name, value.trim_matches(['"', '\''])))
}

/// Lines with their number, without comments and blank ones; a trailing backslash joins the next line.
fn logical_lines(text: &str) -> Vec<(u32, String)> {
    let mut lines = Vec::new();
    let mut pending: Option<(u32, String)> = None;
    for (number, raw) in (1..).zip(text.lines()) {
        let (start, mut joined) = pending.take().unwrap_or((number, String::new()));
        let is_comment = raw.trim_start().starts_with('#');
        match raw.trim_end().strip_suffix('\\') {
            Some(continued) if !is_comment => {
                joined.push_str(continued);
                pending = Some((start, joined));
            }
            _ => {
                if is_comment {
                    joined.push(' ');
                }
                joined.push_str(raw);
                lines.push((start, joined));
            }
        }
    }
    lines.extend(pending);
    lines
        .into_iter()
        .map(|(number, line)| (number, without_comment(&line).trim().to_owned()))
        .filter(|(_, line)| !line.is_empty())
        .collect()
}

/// A `#` begins a comment at the start or after white space; elsewhere it is a URL's fragment.
fn without_comment(line: &str) -> &str {
    let is_comment = |at: usize| line[..at].chars().next_back().is_none_or(char::is_whitespace);
    match line.match_indices('#').find(|(at, _)| is_comment(*at)) {
        Some((at, _)) => &line[..at],
        None => line,
    }
}

/// UTF-8 or, with a byte order mark, UTF-16 (what PowerShell's `pip freeze > requirements.txt` writes).
fn decoded(bytes: &[u8]) -> String {
    let utf16 = |units: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes[2..].chunks_exact(2).map(|pair| units([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xFF, 0xFE, ..] => utf16(u16::from_le_bytes),
        [0xFE, 0xFF, ..] => utf16(u16::from_be_bytes),
        _ => String::from_utf8_lossy(bytes).trim_start_matches('\u{feff}').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_continued_lines() {
        let check = |text: &str, expected: &[(u32, &str)]| {
            let lines = logical_lines(text);
            let lines: Vec<_> = lines.iter().map(|(number, line)| (*number, line.as_str())).collect();
            assert_eq!(lines, expected, "{text:?}");
        };
        check("a # b\r\n\r\n# c\r\n  d#e\r\n", &[(1, "a"), (4, "d#e")]);
        check("a \\\n  --hash=x \\\n  --hash=y\nb", &[(1, "a   --hash=x   --hash=y"), (4, "b")]);
        check("# c \\\na", &[(2, "a")]);
        check("a\\", &[(1, "a")]);
    }

    #[test]
    fn options_in_all_spellings() {
        for text in ["-r x.txt", "-rx.txt"] {
            assert_eq!(option(text), Some(("-r", "x.txt")));
        }
        assert_eq!(option("--requirement=x.txt"), Some(("--requirement", "x.txt")));
        assert_eq!(option("--index-url https://x/?a=b"), Some(("--index-url", "https://x/?a=b")));
        assert_eq!(option("--pre"), Some(("--pre", "")));
        assert_eq!(option("torch"), None);
    }

    #[test]
    fn utf16_with_a_mark_is_read() {
        let bytes: Vec<u8> = "\u{feff}torch\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(decoded(&bytes), "torch\r\n");
        assert_eq!(decoded(b"\xEF\xBB\xBFtorch"), "torch");
    }
}
