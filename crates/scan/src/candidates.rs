//! Which files can hold a deployed function, told from their texts: the others need not be parsed for it.
//!
//! A decorator of ours comes from the framework, by its own name or through modules of the project. So a file can use one
//! only if it has a decorator at all and its imports lead, over however many files, to one that names the framework.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::imports::{FileIndex, Located, Project, join, parent};
use crate::{mentions, parallel};

#[derive(Debug, Clone, Copy)]
struct Text {
    names_framework: bool,
    has_decorator: bool,
    is_candidate: bool,
}

/// In order. Files that name the framework or a decorator of it are always among them.
pub(crate) fn find(project: &Project<'_>) -> Vec<FileIndex> {
    let mut texts = parallel::map(project.files, |file| {
        let names_framework = mentions::names_framework(file.bytes());
        let has_decorator = mentions::has_decorator(file.bytes());
        let is_candidate = names_framework || (has_decorator && mentions::names_decorator(file.bytes()));
        Text { names_framework, has_decorator, is_candidate }
    });
    if texts.iter().any(|text| text.has_decorator && !text.is_candidate) {
        let sources: Vec<FileIndex> = (0..texts.len()).filter(|file| texts[*file].names_framework).collect();
        for (text, reaches) in texts.iter_mut().zip(reaching(project, &sources)) {
            text.is_candidate |= text.has_decorator && reaches;
        }
    }
    (0..texts.len()).filter(|file| texts[*file].is_candidate).collect()
}

/// The files that may import a file, or a module below a directory as an attribute of the directory.
#[derive(Debug)]
pub(crate) struct Importers<'a> {
    of_file: Vec<Vec<FileIndex>>,
    of_directory: FxHashMap<&'a str, Vec<FileIndex>>,
}

impl<'a> Importers<'a> {
    fn new(project: &Project<'a>) -> Self {
        let files: Vec<FileIndex> = (0..project.files.len()).collect();
        let imports = parallel::map(&files, |file| may_import(project, *file));
        let mut importers =
            Self { of_file: vec![Vec::new(); files.len()], of_directory: FxHashMap::default() };
        for (importer, imports) in imports.iter().enumerate() {
            imports.files.iter().for_each(|file| importers.of_file[*file].push(importer));
            for directory in &imports.directories {
                importers.of_directory.entry(directory).or_default().push(importer);
            }
        }
        importers
    }
}

/// Which files may import one of `targets`, directly or through others. Those are among them.
pub(crate) fn reaching(project: &Project<'_>, targets: &[FileIndex]) -> Vec<bool> {
    let importers = project.importers.get_or_init(|| Importers::new(project));
    let mut seen_directories: FxHashSet<&str> = FxHashSet::default();
    let mut reached = vec![false; project.files.len()];
    let mut open = targets.to_vec();
    targets.iter().for_each(|target| reached[*target] = true);
    while let Some(file) = open.pop() {
        let mut found = importers.of_file[file].clone();
        let mut directory = parent(project.files[file].path);
        while !directory.is_empty() && seen_directories.insert(directory) {
            found.extend(importers.of_directory.get(directory).into_iter().flatten());
            directory = parent(directory);
        }
        for importer in found {
            if !std::mem::replace(&mut reached[importer], true) {
                open.push(importer);
            }
        }
    }
    reached
}

#[derive(Debug, Default)]
struct MayImport<'a> {
    files: Vec<FileIndex>,
    /// Whose modules can be reached as attributes.
    directories: Vec<&'a str>,
}

impl<'a> MayImport<'a> {
    fn module(&mut self, project: &Project<'a>, path: &str) {
        self.files.extend(project.file_of_module(path));
        self.directories.extend(project.directory(path));
    }
}

fn may_import<'a>(project: &Project<'a>, file: FileIndex) -> MayImport<'a> {
    let mut found = MayImport::default();
    for import in mentions::imports(&project.files[file].text) {
        let Located::Project(path) = project.locate(file, import.level, &import.module) else { continue };
        if import.names.is_empty() {
            // `import a.b` binds `a`.
            let ancestors =
                std::iter::successors(Some(&*path), |path| (!path.is_empty()).then(|| parent(path)));
            ancestors.for_each(|ancestor| found.module(project, ancestor));
        } else {
            found.files.extend(project.files_on_the_way(&path));
            import.names.iter().for_each(|name| found.module(project, &join(&path, name)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SourceTree;
    use crate::parse::source_files;

    fn check(files: &[(&str, &str)], expect: &[&str]) {
        let mut tree = SourceTree::new("p");
        files.iter().for_each(|(path, text)| tree.insert(*path, text.as_bytes().to_vec()));
        let files = source_files(&tree);
        let project = Project::new(&files);
        let found: Vec<&str> = project.candidates().map(|(file, _)| files[file].path).collect();
        assert_eq!(found, expect);
        let parsed: Vec<&str> =
            files.iter().filter(|file| file.parsed().is_some()).map(|file| file.path).collect();
        assert_eq!(parsed, expect);
    }

    #[test]
    fn decorators_and_a_way_to_the_framework_make_a_candidate() {
        let decorated = |import: &str| format!("{import}\n@x.y\ndef f(): ...\n");
        check(
            &[
                ("a/__init__.py", "from .deep import *\n"),
                ("a/deep.py", "import tetra_rp as x\n"),
                ("b.py", &decorated("from a import x")),
                ("c.py", &decorated("if 1: import a as x")),
                ("d.py", &decorated("from b import f")),
                ("e.py", &decorated("import dataclasses as x")),
                ("f.py", "from a import x\nx.y()\n"),
                ("g.py", "def broken(:\n"),
                ("h.py", "@remote(gpu)\ndef f(): ...\n"),
            ],
            &["a/deep.py", "b.py", "c.py", "d.py", "h.py"],
        );
    }

    #[test]
    fn modules_are_reached_as_attributes_of_their_packages() {
        check(
            &[
                ("a/b/c.py", "from runpod_flash import remote\n"),
                ("d.py", "import a\n@a.b.c.remote(1)\ndef f(): ...\n"),
                ("e.py", "from a import b\n@b.c.remote(1)\ndef f(): ...\n"),
                ("g.py", "from a.x import y\n@y\ndef f(): ...\n"),
            ],
            &["a/b/c.py", "d.py", "e.py"],
        );
    }

    /// All projects of the scan tests, with their files taken together two by two, so that one's helpers meet the other's.
    #[test]
    fn nothing_is_found_in_other_files() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/projects");
        let mut cases: Vec<_> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
        cases.sort();
        for (index, case) in cases.iter().enumerate() {
            let mut tree = SourceTree::new("p");
            read(&case.join("project"), "", &mut tree);
            read(&cases[(index + 7) % cases.len()].join("project"), "", &mut tree);
            let found = |all: bool| {
                let files = source_files(&tree);
                let project = Project::new(&files);
                let project = if all { project.with_all_as_candidates() } else { project };
                let mut diagnostics = Vec::new();
                let uses = crate::decorators::remote_uses(&project, &mut diagnostics);
                let uses: Vec<_> = uses.iter().map(|found| (files[found.file].path, found.range)).collect();
                format!("{uses:?} {diagnostics:?}")
            };
            assert_eq!(found(false), found(true), "{}", case.display());
        }
    }

    fn read(folder: &std::path::Path, prefix: &str, tree: &mut SourceTree) {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
            match path.is_dir() {
                true => read(&path, &format!("{name}/"), tree),
                false => tree.insert(name, std::fs::read(&path).unwrap()),
            }
        }
    }
}
