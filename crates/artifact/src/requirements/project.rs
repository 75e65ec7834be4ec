//! What the project's own files require: `requirements.txt` and `pyproject.toml`, together.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::Path;

use flash_model::{Code, Diagnostic, Span};

use super::file::{Reader, Role};
use super::line::Requirement;
use super::pyproject;

const REQUIREMENTS_FILE: &str = "requirements.txt";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {file}")]
    Read {
        file: String,
        #[source]
        source: io::Error,
    },
    /// All of them, in order of their place.
    #[error("{}", shown(invalid))]
    Invalid { invalid: Vec<InvalidLine> },
}

/// A line of a project's file, or a string in `dependencies=[…]`, that is not a requirement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidLine {
    /// Relative to the project root where it lies inside it.
    pub file: String,
    /// 1-based.
    pub line: u32,
    /// As written, without credentials.
    pub text: String,
    pub reason: String,
}

impl InvalidLine {
    /// The whole line.
    pub fn span(&self) -> Span {
        let columns = u32::try_from(self.text.chars().count()).unwrap_or(u32::MAX);
        Span {
            file: self.file.clone(),
            line: self.line,
            column: 1,
            end_line: self.line,
            end_column: columns.saturating_add(1),
        }
    }
}

impl InvalidLine {
    pub fn diagnostic(&self) -> Diagnostic {
        let message = format!("{:?} is not a requirement: {}", self.text, self.reason);
        Diagnostic::error(Code::InvalidRequirement, message)
            .at(self.span())
            .hint("write requirements as pip reads them: name, version specifiers, marker")
    }
}

impl fmt::Display for InvalidLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, text, reason } = self;
        write!(f, "{file}:{line}: {text:?} is not a requirement: {reason}")
    }
}

fn shown(invalid: &[InvalidLine]) -> String {
    invalid.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Where a requirement was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Relative to the project root where it lies inside it.
    pub file: String,
    /// 1-based.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A requirement and who said so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stated {
    pub requirement: Requirement,
    pub place: Place,
}

/// In the order of the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProjectRequirements {
    pub requirements: Vec<Stated>,
    /// From `-c` files: they limit versions and install nothing.
    pub constraints: Vec<Stated>,
    /// Option lines (`--index-url …`), as written. They may hold credentials.
    pub options: Vec<String>,
}

impl ProjectRequirements {
    /// A project without either file requires nothing.
    pub fn read(root: &Path) -> Result<Self, Error> {
        let (found, invalid) = Self::read_leniently(root)?;
        if invalid.is_empty() { Ok(found) } else { Err(Error::Invalid { invalid }) }
    }

    /// What can be read, and what cannot, so that other problems can be told with it.
    pub fn read_leniently(root: &Path) -> Result<(Self, Vec<InvalidLine>), Error> {
        let mut found = Self::default();
        let mut invalid = Vec::new();

        let file = root.join(REQUIREMENTS_FILE);
        if file.is_file() {
            Reader { root, visited: BTreeSet::new(), found: &mut found, invalid: &mut invalid }
                .read(&file, Role::Requirements)?;
        }
        let file = root.join(pyproject::FILE);
        if file.is_file() {
            let text = fs_err::read_to_string(&file)
                .map_err(|source| Error::Read { file: pyproject::FILE.to_owned(), source })?;
            pyproject::read(&text, root, &mut found, &mut invalid);
        }
        Ok((found, invalid))
    }
}

pub(super) fn relative_name(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/")
}
