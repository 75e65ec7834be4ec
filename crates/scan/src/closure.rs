//! Which files of the project a resource needs, what these import from outside, and the digest of their contents.

use std::cell::OnceCell;
use std::collections::BTreeSet;

use flash_model::sha256_hex;

use crate::imports::{FileIndex, Located, Project, module_path};
use crate::source::SourceTree;
use crate::standard_library;

/// Follows imports at module level and inside bodies. Each file's own imports are resolved once.
#[derive(Debug)]
pub(crate) struct Closures<'p, 'a> {
    project: &'p Project<'a>,
    imported: Vec<OnceCell<Vec<FileIndex>>>,
}

impl<'p, 'a> Closures<'p, 'a> {
    pub(crate) fn new(project: &'p Project<'a>) -> Self {
        Self { project, imported: project.files.iter().map(|_| OnceCell::new()).collect() }
    }

    /// The given files, the packages they are in, and everything that these import inside the project. File numbers
    /// follow paths, so the set is in the order of paths.
    pub(crate) fn of(&self, roots: impl IntoIterator<Item = FileIndex>) -> BTreeSet<FileIndex> {
        let mut closure = BTreeSet::new();
        let mut open: Vec<FileIndex> = roots.into_iter().collect();
        while let Some(file) = open.pop() {
            if closure.insert(file) {
                open.extend(self.imported[file].get_or_init(|| self.imported_by(file)));
            }
        }
        closure
    }

    fn imported_by(&self, file: FileIndex) -> Vec<FileIndex> {
        let mut files = self.project.files_on_the_way(module_path(self.project.files[file].path));
        for import in &self.project.surveys[file].imports {
            files.extend(self.project.files_of_import(file, import));
        }
        files.sort_unstable();
        files.dedup();
        files
    }

    /// Top-level modules that the files cannot be imported without and that come from packages. Sorted.
    pub(crate) fn packages(&self, files: &BTreeSet<FileIndex>) -> Vec<String> {
        let mut packages = BTreeSet::new();
        for file in files {
            for import in self.project.surveys[*file].imports.iter().filter(|import| import.required) {
                if let Located::External(dotted) = self.project.locate(*file, import.level, import.module) {
                    let top_level = dotted.split('.').next().unwrap_or_default();
                    if !top_level.is_empty() && !standard_library::contains(top_level) {
                        packages.insert(top_level.to_owned());
                    }
                }
            }
        }
        packages.into_iter().collect()
    }

    pub(crate) fn paths(&self, files: &BTreeSet<FileIndex>) -> Vec<String> {
        files.iter().map(|file| self.project.files[*file].path.to_owned()).collect()
    }

    /// SHA-256 over `path`, NUL, length in decimal, NUL, bytes of each file in the order of paths.
    pub(crate) fn digest(&self, tree: &SourceTree, files: &BTreeSet<FileIndex>) -> String {
        let mut content = Vec::new();
        for file in files {
            let path = self.project.files[*file].path;
            let bytes = tree.get(path).unwrap_or_default();
            content.extend_from_slice(path.as_bytes());
            content.extend_from_slice(format!("\0{}\0", bytes.len()).as_bytes());
            content.extend_from_slice(bytes);
        }
        sha256_hex(&content)
    }
}
