//! Which parts of the code declare resources and deploy functions: what they say is in the manifest, so that digests of
//! code leave them out.

use ruff_python_ast::Expr;
use ruff_text_size::{Ranged, TextRange};
use rustc_hash::FxHashSet;

use crate::imports::{FileIndex, Located, Project};
use crate::resources::Symbol;
use crate::survey::{Binding, Bound};

/// Re-exports followed before a circle is assumed.
const HOPS_MAX: usize = 16;

#[derive(Debug)]
pub(crate) struct Declared<'a> {
    /// Expressions of decorators that deploy a function.
    pub(crate) decorators: FxHashSet<(FileIndex, TextRange)>,
    /// Constructor calls of resources and of the objects that they are made of.
    pub(crate) resources: FxHashSet<(FileIndex, TextRange)>,
    /// Names that modules bind such calls to.
    names: FxHashSet<(FileIndex, &'a str)>,
}

impl<'a> Declared<'a> {
    /// From the decorators and the constructor calls that functions are deployed with. Constructor calls that no function
    /// uses are found besides, where a candidate file binds them to a name.
    pub(crate) fn new(
        project: &Project<'a>,
        decorators: impl IntoIterator<Item = (FileIndex, TextRange)>,
        resources: impl IntoIterator<Item = (FileIndex, TextRange)>,
    ) -> Self {
        let mut declared = Self {
            decorators: decorators.into_iter().collect(),
            resources: resources.into_iter().collect(),
            names: FxHashSet::default(),
        };
        let mut files: Vec<FileIndex> = project.candidates().map(|(file, _)| file).collect();
        files.extend(declared.resources.iter().map(|(file, _)| *file));
        files.sort_unstable();
        files.dedup();
        for file in files {
            for (name, bindings) in &project.surveys[file].bindings {
                for bound in bindings {
                    let Some(Expr::Call(call)) = bound.binding.value() else { continue };
                    let place = (file, call.range());
                    let is_declaration = declared.resources.contains(&place)
                        || matches!(
                            project.symbol(file, &call.func),
                            Some(Symbol::Resource(_) | Symbol::Nested(_) | Symbol::Endpoint)
                        );
                    if is_declaration {
                        declared.resources.insert(place);
                        declared.names.insert((file, name));
                    }
                }
            }
        }
        declared
    }

    /// Whether `from module import name`, written in `file`, brings in a name of a resource, perhaps over re-exports.
    pub(crate) fn is_resource_alias(
        &self,
        project: &Project<'_>,
        file: FileIndex,
        level: u32,
        module: &str,
        name: &str,
    ) -> bool {
        !self.names.is_empty() && self.leads_to_resource(project, file, level, module, name, 0)
    }

    fn leads_to_resource(
        &self,
        project: &Project<'_>,
        file: FileIndex,
        level: u32,
        module: &str,
        name: &str,
        hops: usize,
    ) -> bool {
        if hops > HOPS_MAX {
            return false;
        }
        let Located::Project(path) = project.locate(file, level, module) else { return false };
        let Some(target) = project.file_of_module(&path) else { return false };
        if self.names.contains(&(target, name)) {
            return true;
        }
        // A file that nobody had to parse to find the resources is no station on the way to one.
        if project.files[target].parsed().is_none() {
            return false;
        }
        let survey = &project.surveys[target];
        match survey.bindings.get(name).and_then(|bindings| bindings.last()) {
            Some(Bound { binding: Binding::From(from), .. }) => {
                self.leads_to_resource(project, target, from.level, from.module, from.name, hops + 1)
            }
            Some(_) => false,
            None => survey
                .stars
                .iter()
                .any(|star| self.leads_to_resource(project, target, star.level, star.module, name, hops + 1)),
        }
    }
}
