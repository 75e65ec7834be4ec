//! Patterns that force files in, whatever left them out.

use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::Error;
use super::protected::OWN_FOLDER;

/// Patterns as in `.gitignore`, relative to the project's root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Include {
    patterns: Vec<String>,
}

impl Include {
    /// Each text may hold several patterns with commas between them. Refused are patterns that lead out of the project
    /// or take something away (`!…`).
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        let mut patterns = Vec::new();
        for pattern in texts.into_iter().flat_map(|text| text.split(',')).map(str::trim) {
            let pattern =
                pattern.strip_prefix("./").map_or_else(|| pattern.to_owned(), |rest| format!("/{rest}"));
            let refused =
                |reason| Err(Error::Pattern { pattern: pattern.clone(), reason: String::from(reason) });
            let mut segments = pattern.split('/').filter(|segment| !segment.is_empty());
            if pattern.is_empty() {
                continue;
            } else if pattern.starts_with(['!', '#']) {
                return refused("it must name what to pack");
            } else if segments.clone().any(|segment| segment == "..") {
                return refused("it must stay inside the project");
            } else if segments.next() == Some(OWN_FOLDER) {
                return refused("the project's .flash folder holds its tokens and the artifact itself");
            }
            patterns.push(pattern);
        }
        let include = Self { patterns };
        include.matcher(Path::new("/"))?;
        Ok(include)
    }

    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    pub(super) fn patterns(&self) -> &[String] {
        &self.patterns
    }

    pub(super) fn matcher(&self, root: &Path) -> Result<Gitignore, Error> {
        let mut builder = GitignoreBuilder::new(root);
        for pattern in &self.patterns {
            builder.add_line(None, pattern).map_err(|error| refused(pattern, &error))?;
        }
        builder.build().map_err(|error| refused(&self.patterns.join(","), &error))
    }

    /// Whether a pattern names this directory outright, wildcards aside: what is protected is entered only then.
    pub(super) fn names(&self, directory: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.split('/').any(|segment| segment == directory))
    }
}

fn refused(pattern: &str, error: &ignore::Error) -> Error {
    Error::Pattern { pattern: pattern.to_owned(), reason: error.to_string() }
}
