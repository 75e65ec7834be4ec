//! Which files of the project each resource needs, what these import from outside, and the digest of their code.

use std::collections::{BTreeMap, BTreeSet};

use flash_model::{Code, Diagnostic, Manifest, ResourceName, sha256_hex};

use crate::code_digest::{self, SaidElsewhere};
use crate::declared::Declared;
use crate::imports::{FileIndex, Located, Project, module_path};
use crate::parallel;
use crate::parse::{Parsed, SourceFile};
use crate::specification::Environment;
use crate::standard_library;
use crate::survey::{Survey, survey};
use crate::unfound::{self, UnfoundImport};

/// The files that a resource's functions, configuration or application are in, by resource.
pub(crate) type Roots = BTreeMap<ResourceName, BTreeSet<FileIndex>>;

/// Fills in `files`, `imports`, `code_digest` and `config_hash` of every resource, and returns the imports that lead to no
/// file of the tree but look as if they should.
///
/// A closure is the root files, the packages they are in, and everything that these import inside the project: at module
/// level, in bodies, and by calls with literal names; not what only type checkers or scripts see. Each file of a closure is
/// read once, whatever number of closures it is in.
///
/// `code_digest` is SHA-256 over, for each file in the order of paths, its path, NUL, its digest in hex (see
/// `code_digest.rs`) and a line feed; then for each variable of the environment in the order of names, its name, `=`, its
/// value, NUL, and for each inherited one its name, `<`, the variable it is read from, NUL.
pub(crate) fn close<'a>(
    project: &Project<'a>,
    roots: &Roots,
    declared: &Declared<'a>,
    environments: &BTreeMap<ResourceName, Environment>,
    manifest: &mut Manifest,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<UnfoundImport> {
    let facts = read_all(project, roots, declared);
    let mut needed_by: BTreeMap<FileIndex, Vec<ResourceName>> = BTreeMap::new();
    for (name, roots) in roots {
        let Some(resource) = manifest.resources.get_mut(name) else { continue };
        let files = closure(&facts, roots);
        let mut packages: BTreeSet<&str> = BTreeSet::new();
        let mut content = String::new();
        for file in &files {
            let path = project.files[*file].path;
            needed_by.entry(*file).or_default().push(name.clone());
            resource.files.push(path.to_owned());
            if let Some(facts) = &facts[*file] {
                packages.extend(facts.packages.iter().map(String::as_str));
                content.extend([path, "\0", &facts.digest, "\n"]);
            }
        }
        if let Some(environment) = environments.get(name) {
            for (variable, value) in &environment.values {
                content.extend([variable, "=", value, "\0"]);
            }
            for (variable, source) in &environment.inherited {
                content.extend([variable, "<", source, "\0"]);
            }
        }
        resource.imports = packages.into_iter().map(str::to_owned).collect();
        resource.code_digest = sha256_hex(content.as_bytes());
    }
    let mut unfound = Vec::new();
    for (file, facts) in facts.into_iter().enumerate() {
        let Some(facts) = facts else { continue };
        diagnostics.extend(facts.problems);
        let Some(resources) = needed_by.get(&file) else { continue };
        diagnostics.extend(facts.warnings);
        unfound.extend(
            facts.unfound.into_iter().map(|found| UnfoundImport { resources: resources.clone(), ..found }),
        );
    }
    unfound
}

/// The given files and everything that they import. File numbers follow paths, so the set is in the order of paths.
fn closure(facts: &[Option<Facts>], roots: &BTreeSet<FileIndex>) -> BTreeSet<FileIndex> {
    let mut closure = BTreeSet::new();
    let mut open: Vec<FileIndex> = roots.iter().copied().collect();
    while let Some(file) = open.pop() {
        if closure.insert(file) {
            open.extend(facts[file].iter().flat_map(|facts| &facts.imported));
        }
    }
    closure
}

/// What a file adds to the closures that it is in.
#[derive(Debug)]
struct Facts {
    /// Project files that it needs.
    imported: Vec<FileIndex>,
    /// Top-level modules that it cannot be imported without and that come from packages.
    packages: Vec<String>,
    digest: String,
    unfound: Vec<UnfoundImport>,
    warnings: Vec<Diagnostic>,
    /// Of a file that was parsed for its facts alone.
    problems: Vec<Diagnostic>,
}

/// Of all files that are in any closure, by file number. Files are read in waves: the roots, what they import, and so on.
fn read_all<'a>(project: &Project<'a>, roots: &Roots, declared: &Declared<'a>) -> Vec<Option<Facts>> {
    let mut all: Vec<Option<Facts>> = project.files.iter().map(|_| None).collect();
    let mut wave: BTreeSet<FileIndex> = roots.values().flatten().copied().collect();
    while !wave.is_empty() {
        let files: Vec<FileIndex> = std::mem::take(&mut wave).into_iter().collect();
        let read = parallel::map(&files, |file| read(project, declared, *file));
        for (file, facts) in files.into_iter().zip(read) {
            wave.extend(&facts.imported);
            all[file] = Some(facts);
        }
        wave.retain(|file| all[*file].is_none());
    }
    all
}

/// Trees that were needed for more than this are there; others are made and dropped, so that only few are held at a time.
fn read<'a>(project: &Project<'a>, declared: &Declared<'a>, file: FileIndex) -> Facts {
    let source = &project.files[file];
    match source.parsed() {
        Some(parsed) => facts(project, declared, file, parsed, &project.surveys[file]),
        None => {
            let mut parsed = source.parse();
            let mut facts = facts(project, declared, file, &parsed, &survey(&source.text, &parsed.syntax));
            facts.problems = std::mem::take(&mut parsed.problems);
            facts
        }
    }
}

fn facts<'a>(
    project: &Project<'a>,
    declared: &Declared<'a>,
    file: FileIndex,
    parsed: &Parsed,
    survey: &Survey<'_>,
) -> Facts {
    let source = &project.files[file];
    let mut imported = project.files_on_the_way(module_path(source.path));
    let mut packages = BTreeSet::new();
    let mut unfound = Vec::new();
    for import in &survey.imports {
        let located = project.locate(file, import.level, &import.module);
        match &located {
            Located::Project(path) => imported.extend(project.files_of_import(path, import.name)),
            Located::External(dotted) if import.required() => {
                let top_level = dotted.split('.').next().unwrap_or_default();
                if !top_level.is_empty() && !standard_library::contains(top_level) {
                    packages.insert(top_level.to_owned());
                }
            }
            Located::External(_) | Located::Framework(_) | Located::BeyondRoot => {}
        }
        unfound.extend(unfound::look(project, file, import, &located));
    }
    // Several names of one module that is not there are one problem.
    let mut known = BTreeSet::new();
    unfound.retain(|import: &UnfoundImport| {
        known.insert((import.module.clone(), import.candidates.first().cloned()))
    });
    imported.sort_unstable();
    imported.dedup();
    let digest = match parsed.broken {
        true => code_digest::of_text(source.bytes()),
        false => code_digest::of_syntax(&parsed.syntax, &InFile { project, declared, file }),
    };
    let warnings = match parsed.broken {
        true => Vec::new(),
        false => survey.unknown_imports.iter().map(|range| unknown_import(source, *range)).collect(),
    };
    Facts {
        imported,
        packages: packages.into_iter().collect(),
        digest,
        unfound,
        warnings,
        problems: Vec::new(),
    }
}

fn unknown_import(source: &SourceFile<'_>, range: ruff_text_size::TextRange) -> Diagnostic {
    Diagnostic::warning(
        Code::UnresolvedValue,
        "the module that this imports is known only when the code runs",
    )
    .at(source.span(range))
    .hint("if it is a file of the project, import it by name too, else changes to it go unnoticed")
}

struct InFile<'p, 'a> {
    project: &'p Project<'a>,
    declared: &'p Declared<'a>,
    file: FileIndex,
}

impl SaidElsewhere for InFile<'_, '_> {
    fn is_deploying_decorator(&self, range: ruff_text_size::TextRange) -> bool {
        self.declared.decorators.contains(&(self.file, range))
    }

    fn is_resource(&self, range: ruff_text_size::TextRange) -> bool {
        self.declared.resources.contains(&(self.file, range))
    }

    fn is_resource_alias(&self, level: u32, module: &str, name: &str) -> bool {
        self.declared.is_resource_alias(self.project, self.file, level, module, name)
    }
}
