//! Imports that look like the project's own but lead to no file of the tree. Whether such a file exists and was only left
//! out by an ignore rule is the caller's to say: scanning never looks at the disk.

use flash_model::{Code, Diagnostic, ResourceName, Span};

use crate::imports::{FileIndex, Located, Project, join};
use crate::standard_library;
use crate::survey::Import;

/// An import in a file that resources need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfoundImport {
    pub span: Span,
    /// As written, with leading dots.
    pub module: String,
    /// Relative paths with `/` that would satisfy it, the likeliest first.
    pub candidates: Vec<String>,
    /// Has leading dots, so that it can mean nothing outside the project.
    pub relative: bool,
    /// At module level, and no failure of it is caught.
    pub required: bool,
    /// A failure of it is caught.
    pub guarded: bool,
    /// Resources that need the importing file.
    pub resources: Vec<ResourceName>,
}

/// `exists` says whether there is a file at a path relative to the project's root, selected or not. An import of one that
/// exists is an error, for it would be missing from the artifact (FL125; a warning where the code can do without). A relative
/// import that leads nowhere at all is one too (FL126; a warning where the module can be imported even so).
pub fn unfound_diagnostics(unfound: &[UnfoundImport], exists: impl Fn(&str) -> bool) -> Vec<Diagnostic> {
    unfound.iter().filter_map(|import| diagnostic(import, &exists)).collect()
}

fn diagnostic(import: &UnfoundImport, exists: impl Fn(&str) -> bool) -> Option<Diagnostic> {
    let UnfoundImport { module, candidates, .. } = import;
    let severe = |severe: bool| if severe { Diagnostic::error } else { Diagnostic::warning };
    let names: Vec<String> = import.resources.iter().map(|name| format!("`{name}`")).collect();
    if let Some(left_out) = candidates.iter().find(|path| exists(path)) {
        let message =
            format!("`{left_out}` is needed by {}, but is left out by an ignore rule", names.join(", "));
        let hint = format!("add `!{left_out}` to .flashignore, or remove the import");
        return Some(
            severe(!import.guarded)(Code::LeftOutModule, message).at(import.span.clone()).hint(hint),
        );
    }
    if !import.relative {
        return None;
    }
    let (message, hint) = match candidates.first() {
        Some(path) => (
            format!("`{module}` leads nowhere: the project has no `{path}`"),
            format!("create `{path}`, or correct the import"),
        ),
        None => (
            format!("`{module}` leads out of the project"),
            "remove leading dots, or run `flash` in the folder that holds the whole package".to_owned(),
        ),
    };
    Some(severe(import.required)(Code::UnfoundModule, message).at(import.span.clone()).hint(hint))
}

/// The import as one to be looked for, if it should lead to a file of the project and does not.
pub(crate) fn look(
    project: &Project<'_>,
    file: FileIndex,
    import: &Import<'_>,
    located: &Located,
) -> Option<UnfoundImport> {
    let relative = import.level > 0;
    let candidates = match located {
        Located::Framework(_) => return None,
        Located::BeyondRoot => Vec::new(),
        Located::Project(path) => missing(project, path, import.name)?,
        Located::External(dotted) => {
            let first = dotted.split('.').next().unwrap_or_default();
            if first.is_empty() || standard_library::contains(first) {
                return None;
            }
            let path = dotted.replace('.', "/");
            let roots = project.import_roots(project.files[file].path);
            let mut candidates: Vec<String> = Vec::new();
            for root in roots {
                candidates.extend(files_of(&join(root, &path)));
                candidates.extend(
                    import.name.into_iter().flat_map(|name| files_of(&join(root, &join(&path, name)))),
                );
                candidates.extend(files_of(&join(root, first)));
            }
            let mut seen = std::collections::BTreeSet::new();
            candidates.retain(|candidate| seen.insert(candidate.clone()));
            candidates
        }
    };
    let dotted = format!("{}{}", ".".repeat(import.level as usize), import.module);
    let module = match import.name.filter(|_| import.module.is_empty()) {
        Some(name) => format!("{dotted}{name}"),
        None => dotted,
    };
    Some(UnfoundImport {
        span: project.files[file].span(import.range),
        module,
        candidates,
        relative,
        required: import.required(),
        guarded: import.guarded,
        resources: Vec::new(),
    })
}

/// Files that a module path of the project would need to have, and has not.
fn missing(project: &Project<'_>, path: &str, name: Option<&str>) -> Option<Vec<String>> {
    if !path.is_empty() && !project.is_module(path) {
        let mut candidates = files_of(path).to_vec();
        candidates.extend(name.into_iter().flat_map(|name| files_of(&join(path, name))));
        return Some(candidates);
    }
    let below = join(path, name?);
    if project.is_module(&below) {
        return None;
    }
    match project.file_of_module(path) {
        // What a module binds is looked for in its text: enough to tell a name that can come from nowhere.
        Some(file) => {
            let source = &project.files[file];
            let package = source.path.ends_with("__init__.py");
            let may_bind = ["import *", "__getattr__", "globals()", "exec(", name?]
                .iter()
                .any(|word| source.text.contains(word));
            (package && !may_bind).then(|| files_of(&below).to_vec())
        }
        None => Some(files_of(&below).to_vec()),
    }
}

fn files_of(module: &str) -> [String; 2] {
    [format!("{module}.py"), format!("{module}/__init__.py")]
}
