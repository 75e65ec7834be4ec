//! `[project].dependencies` and `requires-python` of `pyproject.toml` (PEP 621).

use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::line::Requirement;
use super::project::{InvalidLine, Place, ProjectRequirements, Stated};

pub(super) const FILE: &str = "pyproject.toml";

#[derive(Deserialize)]
struct Document {
    project: Option<Project>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Project {
    #[serde(default)]
    dependencies: Vec<Spanned<String>>,
    requires_python: Option<String>,
}

/// What the project says of itself; nothing if it has no such file, or one that cannot be read.
pub(crate) fn requires_python(root: &Path) -> Option<String> {
    let text = fs_err::read_to_string(root.join(FILE)).ok()?;
    toml::from_str::<Document>(&text).ok()?.project?.requires_python
}

pub(super) fn read(text: &str, root: &Path, found: &mut ProjectRequirements, invalid: &mut Vec<InvalidLine>) {
    let document: Document = match toml::from_str(text) {
        Ok(document) => document,
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start);
            let line = line_at(text, at);
            let shown = text.lines().nth(line as usize - 1).unwrap_or_default();
            let (text, reason) = (super::redacted(shown.trim()), error.message().to_owned());
            invalid.push(InvalidLine { file: FILE.to_owned(), line, text, reason });
            return;
        }
    };
    for dependency in document.project.into_iter().flat_map(|project| project.dependencies) {
        let line = line_at(text, dependency.span().start);
        match Requirement::parse(dependency.get_ref(), root) {
            Ok(requirement) => {
                let place = Place { file: FILE.to_owned(), line };
                found.requirements.push(Stated { requirement, place });
            }
            Err(reason) => {
                let text = super::redacted(dependency.get_ref());
                invalid.push(InvalidLine { file: FILE.to_owned(), line, text, reason });
            }
        }
    }
}

/// 1-based.
fn line_at(text: &str, offset: usize) -> u32 {
    let newlines = text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
    u32::try_from(newlines).unwrap_or(u32::MAX).saturating_add(1)
}
