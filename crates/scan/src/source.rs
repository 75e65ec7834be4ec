//! The project as a value: paths and bytes. Reading the disk and honouring ignore files is the caller's work.

use std::collections::BTreeMap;

/// Relative path with `/` → bytes. Ordered by path, so the order of insertion never shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceTree {
    project_name: String,
    files: BTreeMap<String, Vec<u8>>,
}

impl SourceTree {
    pub fn new(project_name: impl Into<String>) -> Self {
        Self { project_name: project_name.into(), files: BTreeMap::new() }
    }

    /// A leading `./` is dropped; a path that is there already is replaced.
    pub fn insert(&mut self, path: impl Into<String>, bytes: Vec<u8>) {
        let mut path = path.into();
        while path.starts_with("./") {
            path.drain(..2);
        }
        self.files.insert(path, bytes);
    }

    pub fn get(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// All paths, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    pub fn project_name(&self) -> &str {
        &self.project_name
    }

    /// Python files, sorted by path.
    pub(crate) fn python_files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files
            .iter()
            .filter(|(path, _)| path.ends_with(".py"))
            .map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_sorted_and_normalised() {
        let mut tree = SourceTree::new("p");
        tree.insert("b.py", b"2".to_vec());
        tree.insert("./a.py", b"1".to_vec());
        assert_eq!(tree.paths().collect::<Vec<_>>(), ["a.py", "b.py"]);
        assert_eq!(tree.get("a.py"), Some(&b"1"[..]));
    }
}
