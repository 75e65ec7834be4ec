//! Python source text → manifest and diagnostics.
//!
//! `scan` reads a project without importing it: it parses the Python files that matter to some resource, each once and on
//! all cores, follows names through the project's own imports, folds constants, and lowers what `@remote` says into a
//! [`flash_model::Manifest`]. It never fails: whatever is wrong becomes a [`Diagnostic`] with its place and what to write
//! instead, and the rest is still read.
//!
//! It knows nothing of files, clocks, tokio or HTTP, and never runs user code. The same tree gives the same bytes, in
//! whatever order its files were inserted.
//!
//! Start with [`scan`] below, which names the steps; the modules are listed in their order.

mod source;
// One file at a time.
mod dynamic_imports;
mod mentions;
mod nesting;
mod parallel;
mod parse;
mod survey;
// Across files.
mod candidates;
mod imports;
mod resolve;
// Values.
mod arguments;
mod conditions;
mod enumerations;
mod factories;
mod fold;
mod methods;
mod value;
// What the framework's names mean.
mod decorators;
mod fields;
mod nested;
mod resources;
mod specification;
mod stray;
mod suggest;
mod validate;
// The manifest.
mod application;
mod calls;
mod classes;
mod closure;
mod code_digest;
mod declared;
mod grouping;
mod lower;
mod neighbours;
mod reach;
mod routing;
mod schema;
mod signature;
mod standard_library;
mod unfound;

use std::collections::BTreeMap;

use flash_model::{Code, Diagnostic, Manifest, ResourceName, Span};
use ruff_text_size::Ranged;

pub use source::SourceTree;
pub use unfound::{UnfoundImport, unfound_diagnostics};

/// What a project declares, and what is wrong with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scan {
    /// Everything that could be read, also when there are errors. Serve it only if there are none.
    pub manifest: Manifest,
    /// Values of `env={...}` by resource. Never part of the manifest, and not to be logged.
    pub environment: BTreeMap<ResourceName, BTreeMap<String, String>>,
    /// Variables of `env={...}` that are read from the environment of whoever deploys (`os.environ["X"]`): resource →
    /// variable → the variable to read. One with a default is in `environment` too.
    pub inherited: BTreeMap<ResourceName, BTreeMap<String, String>>,
    /// Imports that look like the project's own but lead to no file of the tree, in the order of files: for
    /// [`unfound_diagnostics`].
    pub unfound: Vec<UnfoundImport>,
    /// Sorted by file, line and column.
    pub diagnostics: Vec<Diagnostic>,
    /// Python files of the tree. Those that no resource needs are not parsed, and what is wrong in them is not reported.
    pub files: usize,
}

impl Scan {
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Reads the whole project. Total: any bytes give a result.
pub fn scan(tree: &SourceTree) -> Scan {
    let files = parse::source_files(tree);
    let scan = read(tree, &files);
    parallel::discard(files);
    scan
}

fn read(tree: &SourceTree, files: &[parse::SourceFile<'_>]) -> Scan {
    let mut diagnostics = Vec::new();
    let project = imports::Project::new(files);
    let uses = decorators::remote_uses(&project, &mut diagnostics);
    let mut lowered = lower::lower(tree, &project, &uses, &mut diagnostics);
    calls::trace(&project, &uses, &mut lowered.manifest, &mut diagnostics);
    schema::describe(&project, &uses, &mut lowered.manifest);
    routing::check(&project, &uses, &lowered.manifest, &mut diagnostics);
    reach::check(&project, &uses, &lowered.manifest, &mut diagnostics);
    application::add_application(&project, &mut lowered);
    let declared = declared::Declared::new(
        &project,
        uses.iter().map(|used| (used.file, used.range)),
        uses.iter().map(|used| (used.resource.file, used.resource.call.range())),
    );
    let lower::Lowered { manifest, environments, roots } = &mut lowered;
    let unfound = closure::close(&project, roots, &declared, environments, manifest, &mut diagnostics);
    neighbours::share_dependencies(manifest);
    lower::finish(manifest);
    let mut environment = BTreeMap::new();
    let mut inherited = BTreeMap::new();
    for (resource, variables) in lowered.environments {
        if !variables.values.is_empty() {
            environment.insert(resource.clone(), variables.values);
        }
        if !variables.inherited.is_empty() {
            inherited.insert(resource, variables.inherited);
        }
    }
    Scan {
        manifest: lowered.manifest,
        environment,
        inherited,
        unfound,
        diagnostics: presentable(files, diagnostics),
        files: tree.python_files().count(),
    }
}

/// In the order of the source, each problem once, and nothing but syntax errors for files that do not parse.
fn presentable(files: &[parse::SourceFile<'_>], mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics
        .extend(files.iter().filter_map(|file| file.parsed()).flat_map(|parsed| parsed.problems.clone()));
    let is_broken = |path: &str| {
        files.binary_search_by(|file| file.path.cmp(path)).is_ok_and(|index| files[index].broken())
    };
    diagnostics.retain(|diagnostic| {
        matches!(diagnostic.code, Code::SyntaxError | Code::UnreadableFile)
            || !diagnostic.span.as_ref().is_some_and(|span| is_broken(&span.file))
    });
    Diagnostic::sort(&mut diagnostics);
    diagnostics.dedup_by(|later, first| {
        later.code == first.code && later.span == first.span && later.message == first.message
    });
    once_per_cause(diagnostics)
}

/// A value that many places use and that cannot be read is one problem: it is reported where it is used first.
fn once_per_cause(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut seen: Vec<(Code, String, Span)> = Vec::new();
    diagnostics.retain(|diagnostic| {
        let is_unresolved = matches!(diagnostic.code, Code::UnresolvedResource | Code::UnresolvedValue);
        let Some(cause) = diagnostic.related.first().filter(|_| is_unresolved) else { return true };
        let key = (diagnostic.code, diagnostic.message.clone(), cause.span.clone());
        let is_new = !seen.contains(&key);
        if is_new {
            seen.push(key);
        }
        is_new
    });
    diagnostics
}
