//! `[project].dependencies` of `pyproject.toml` (PEP 621).

use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::line::Requirement;
use super::project::{InvalidLine, ProjectRequirements};

pub(super) const FILE: &str = "pyproject.toml";

#[derive(Deserialize)]
struct Document {
    project: Option<Project>,
}

#[derive(Deserialize)]
struct Project {
    #[serde(default)]
    dependencies: Vec<Spanned<String>>,
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
            Ok(requirement) => found.requirements.push(requirement),
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
