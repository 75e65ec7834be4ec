//! Where an import leads: into the framework, to another file of the project, or outside.

use std::ops::Index;
use std::sync::OnceLock;
use std::sync::atomic::AtomicUsize;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::candidates::Importers;
use crate::parse::SourceFile;
use crate::resources::FRAMEWORK_PACKAGES;
use crate::survey::{Binding, Survey, survey};
use crate::{candidates, parallel};

/// Number of a file in [`Project::files`].
pub(crate) type FileIndex = usize;

/// All files of a project, what one walk over each of those that matter found, and the map from module paths to files.
#[derive(Debug)]
pub(crate) struct Project<'a> {
    pub(crate) files: &'a [SourceFile<'a>],
    pub(crate) surveys: Surveys<'a>,
    /// Files that can hold a deployed function, in order.
    candidates: Vec<FileIndex>,
    /// `workers/gpu` → `workers/gpu.py` or `workers/gpu/__init__.py`.
    modules: FxHashMap<&'a str, FileIndex>,
    /// Directories that hold Python files at any depth: packages, with or without `__init__.py`.
    directories: FxHashSet<&'a str>,
    /// Last segments of `modules` and `directories`: what is not among them is not the project's.
    segments: FxHashSet<&'a str>,
    /// Conditions being worked out at this moment.
    pub(crate) open_conditions: AtomicUsize,
    /// Who may import whom, told from the texts when it is first asked for.
    pub(crate) importers: OnceLock<Importers<'a>>,
    /// Which files may import one that holds a deployed function, once those are known.
    leads_to_deployed: OnceLock<Vec<bool>>,
}

/// A survey of each file, made from its tree when it is first asked for.
#[derive(Debug)]
pub(crate) struct Surveys<'a> {
    files: &'a [SourceFile<'a>],
    surveys: Vec<OnceLock<Survey<'a>>>,
}

impl<'a> Index<FileIndex> for Surveys<'a> {
    type Output = Survey<'a>;

    fn index(&self, file: FileIndex) -> &Survey<'a> {
        let source = &self.files[file];
        self.surveys[file].get_or_init(|| survey(&source.text, source.syntax()))
    }
}

/// What a dotted module name means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Located {
    /// The framework; segments after its package name.
    Framework(Vec<String>),
    /// A module or directory of the project, as a path without suffix.
    Project(String),
    /// Python's own or a third party's, dotted.
    External(String),
    /// More leading dots than the file has parents.
    BeyondRoot,
}

impl<'a> Project<'a> {
    pub(crate) fn new(files: &'a [SourceFile<'a>]) -> Self {
        let mut modules = FxHashMap::default();
        let mut directories = FxHashSet::default();
        for (index, file) in files.iter().enumerate() {
            let path = module_path(file.path);
            // A package wins over a module of the same name, as in Python.
            if file.path.ends_with("/__init__.py") || !modules.contains_key(path) {
                modules.insert(path, index);
            }
            let mut directory = parent(file.path);
            while !directory.is_empty() && directories.insert(directory) {
                directory = parent(directory);
            }
        }
        let last_segment = |path: &&'a str| path.rsplit('/').next().unwrap_or_default();
        let segments = modules.keys().chain(&directories).map(last_segment).collect();
        let surveys = Surveys { files, surveys: files.iter().map(|_| OnceLock::new()).collect() };
        let (candidates, open_conditions) = (Vec::new(), AtomicUsize::new(0));
        let (importers, leads_to_deployed) = (OnceLock::new(), OnceLock::new());
        let mut project = Self {
            files,
            surveys,
            candidates,
            modules,
            directories,
            segments,
            open_conditions,
            importers,
            leads_to_deployed,
        };
        project.candidates = candidates::find(&project);
        parallel::map(&project.candidates, |file| {
            let _ = &project.surveys[*file];
        });
        project
    }

    /// As if nothing could be told from texts.
    #[cfg(test)]
    pub(crate) fn with_all_as_candidates(mut self) -> Self {
        self.candidates = (0..self.files.len()).collect();
        self
    }

    /// Files that can hold a deployed function, with their surveys, in the order of paths. No other file has to be parsed
    /// to find them all.
    pub(crate) fn candidates(&self) -> impl Iterator<Item = (FileIndex, &Survey<'a>)> {
        self.candidates.iter().map(|file| (*file, &self.surveys[*file]))
    }

    /// Files that hold deployed functions.
    pub(crate) fn deployed_from(&self, files: &[FileIndex]) {
        self.leads_to_deployed.get_or_init(|| candidates::reaching(self, files));
    }

    /// Whether what a file imports in this way may call a deployed function. Told without parsing what is imported.
    pub(crate) fn may_call_deployed(&self, file: FileIndex, binding: &Binding<'_>) -> bool {
        let (Binding::From(from), Some(leads)) = (binding, self.leads_to_deployed.get()) else { return true };
        let Located::Project(path) = self.locate(file, from.level, from.module) else { return true };
        let modules = [self.file_of_module(&path), self.file_of_module(&join(&path, from.name))];
        modules.iter().flatten().any(|module| leads[*module]) || modules.iter().all(Option::is_none)
    }

    /// The directory of this path, if it holds Python files.
    pub(crate) fn directory(&self, path: &str) -> Option<&'a str> {
        self.directories.get(path).copied()
    }

    pub(crate) fn file_of_module(&self, path: &str) -> Option<FileIndex> {
        self.modules.get(path).copied()
    }

    pub(crate) fn is_module(&self, path: &str) -> bool {
        self.modules.contains_key(path) || self.directories.contains(path)
    }

    /// `level` leading dots and a dotted name, as written in `from`.
    pub(crate) fn locate(&self, from: FileIndex, level: u32, dotted: &str) -> Located {
        let path = self.files[from].path;
        if level > 0 {
            let mut base = path;
            for _ in 0..level {
                base = parent(base);
                // The root is where Python looks for modules, no package itself.
                if base.is_empty() {
                    return Located::BeyondRoot;
                }
            }
            return Located::Project(join(base, &dotted.replace('.', "/")));
        }
        let (first, rest) = dotted.split_once('.').unwrap_or((dotted, ""));
        // The worker's code may have a copy of the package beside it; the name means the framework all the same.
        if FRAMEWORK_PACKAGES.contains(&first) {
            return Located::Framework(
                rest.split('.').filter(|part| !part.is_empty()).map(str::to_owned).collect(),
            );
        }
        if !self.segments.contains(first) {
            return Located::External(dotted.to_owned());
        }
        match self.import_roots(path).find(|root| self.is_module(&join(root, first))) {
            Some(root) => Located::Project(join(root, &dotted.replace('.', "/"))),
            None => Located::External(dotted.to_owned()),
        }
    }

    /// Directories that absolute imports of a file are looked up in: the root, `src`, then the file's own parents from the
    /// nearest up, so that projects within a project find their modules.
    pub(crate) fn import_roots(&self, path: &'a str) -> impl Iterator<Item = &'a str> + use<'a> {
        let parents = std::iter::successors(Some(parent(path)), |directory| {
            (!directory.is_empty()).then(|| parent(directory))
        });
        ["", "src"].into_iter().chain(parents)
    }

    /// Files that importing the module at `path`, and taking `name` from it, runs.
    pub(crate) fn files_of_import(&self, path: &str, name: Option<&str>) -> Vec<FileIndex> {
        let mut files = self.files_on_the_way(path);
        files.extend(name.and_then(|name| self.file_of_module(&join(path, name))));
        files
    }

    /// The module's own file and the `__init__.py` of every package above it.
    pub(crate) fn files_on_the_way(&self, path: &str) -> Vec<FileIndex> {
        let ancestors = std::iter::successors(Some(path), |path| (!path.is_empty()).then(|| parent(path)));
        let is_package = |file: &FileIndex| self.files[*file].path.ends_with("__init__.py");
        ancestors
            .filter_map(|ancestor| Some((ancestor, self.file_of_module(ancestor)?)))
            .filter(|(ancestor, file)| *ancestor == path || is_package(file))
            .map(|(_, file)| file)
            .collect()
    }
}

/// `workers/gpu/__init__.py` → `workers/gpu`; `a/b.py` → `a/b`. The root's `__init__.py` is the empty path.
pub(crate) fn module_path(path: &str) -> &str {
    match path.strip_suffix("/__init__.py") {
        Some(package) => package,
        None if path == "__init__.py" => "",
        None => path.strip_suffix(".py").unwrap_or(path),
    }
}

pub(crate) fn join(directory: &str, name: &str) -> String {
    match (directory, name) {
        ("", name) => name.to_owned(),
        (directory, "") => directory.to_owned(),
        (directory, name) => format!("{directory}/{name}"),
    }
}

pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SourceTree, parse::parse};

    fn check(from: &str, level: u32, module: &str, expect: Located) {
        let mut tree = SourceTree::new("p");
        for path in [
            "main.py",
            "config.py",
            "workers/__init__.py",
            "workers/gpu/__init__.py",
            "workers/gpu/endpoint.py",
            "src/lib/core.py",
            "01_app/tools.py",
            "01_app/main.py",
        ] {
            tree.insert(path, Vec::new());
        }
        let files = parse(&tree, &mut Vec::new());
        let project = Project::new(&files);
        let index = files.iter().position(|file| file.path == from).unwrap();
        assert_eq!(project.locate(index, level, module), expect, "{from} {level} {module}");
    }

    #[test]
    fn imports_lead_where_python_would_go() {
        let project = |path: &str| Located::Project(path.to_owned());
        check("main.py", 0, "workers.gpu", project("workers/gpu"));
        check("main.py", 0, "workers.nothing", project("workers/nothing"));
        check("workers/gpu/endpoint.py", 1, "", project("workers/gpu"));
        check("workers/gpu/endpoint.py", 2, "", project("workers"));
        check("workers/gpu/__init__.py", 1, "endpoint", project("workers/gpu/endpoint"));
        check("workers/gpu/endpoint.py", 3, "config", Located::BeyondRoot);
        check("main.py", 1, "config", Located::BeyondRoot);
        check("main.py", 0, "lib.core", project("src/lib/core"));
        check("01_app/main.py", 0, "tools", project("01_app/tools"));
        check("main.py", 0, "tools", Located::External("tools".to_owned()));
        check("main.py", 0, "torch.nn", Located::External("torch.nn".to_owned()));
        check("main.py", 0, "tetra_rp", Located::Framework(vec![]));
        check("main.py", 0, "runpod_flash.core", Located::Framework(vec!["core".to_owned()]));
    }
}
