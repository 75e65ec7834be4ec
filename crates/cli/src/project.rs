//! A project on disk: where it is, what it is called, what is in it.

use std::path::{Path, PathBuf};

use flash_artifact::{Include, Selection};
use flash_model::{AppName, Code, Diagnostic, EnvironmentName, Manifest, Scope};
use flash_scan::{Scan, SourceTree, unfound_diagnostics};

use crate::error::Failure;
use crate::printer::Printer;
use crate::view;

/// What `flash run` calls the environment it serves.
const ENVIRONMENT: &str = "dev";

#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub(crate) root: PathBuf,
    pub(crate) name: String,
}

/// Where workers will find the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CodeFrom {
    /// The folder as it is, with what ignore rules leave out.
    Folder,
    Artifact,
}

impl Project {
    pub(crate) fn locate(path: &Path) -> Result<Self, Failure> {
        let root = path.canonicalize().map_err(|error| {
            Failure::because(format!("there is no project at {}", path.display()), &error)
                .code(Code::ProjectNotFound)
                .hint("give the folder that holds your Python files")
        })?;
        if !root.is_dir() {
            return Err(Failure::coded(Code::ProjectNotFound, format!("{} is not a folder", path.display()))
                .hint("give the folder that holds your Python files, not one of them"));
        }
        let name =
            root.file_name().map_or_else(|| "project".to_owned(), |name| name.to_string_lossy().into_owned());
        Ok(Self { root, name })
    }

    /// The folder's name made into a label.
    pub(crate) fn app(&self) -> AppName {
        let label: String = self
            .name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' })
            .take(64)
            .collect();
        AppName::new(label.trim_start_matches(['-', '.']))
            .or_else(|_| AppName::new("app"))
            .unwrap_or_else(|_| unreachable!("`app` is a label"))
    }

    /// What its mothership on this machine acts for.
    pub(crate) fn scope(&self) -> Scope {
        let environment =
            EnvironmentName::new(ENVIRONMENT).unwrap_or_else(|_| unreachable!("`dev` is a label"));
        Scope { app: self.app(), environment }
    }

    pub(crate) fn select(&self) -> Result<Selection, Failure> {
        self.select_with(&Include::default())
    }

    pub(crate) fn select_with(&self, include: &Include) -> Result<Selection, Failure> {
        flash_artifact::select_with(&self.root, include)
            .map_err(|error| Failure::because("the project cannot be read", &error).code(Code::FileNotPacked))
    }

    /// Reads the whole project without importing it. Prints every diagnostic; errors among them are a failure.
    pub(crate) fn scan(
        &self,
        selection: &Selection,
        code_from: CodeFrom,
        printer: Printer,
    ) -> Result<Scan, Failure> {
        let tree = self.sources(selection)?;
        let scan = self.read(&tree, code_from);
        view::diagnostics::print(&scan.diagnostics, &tree, printer);
        self.accept(&scan.manifest, &scan.diagnostics, "nothing was started")?;
        view::environment::note_ignored(&scan.manifest, printer);
        Ok(scan)
    }

    /// The scan, with imports that would lead nowhere for the workers among its diagnostics.
    pub(crate) fn read(&self, sources: &SourceTree, code_from: CodeFrom) -> Scan {
        let mut scan = flash_scan::scan(sources);
        let is_there = |path: &str| self.root.join(path).is_file();
        if code_from == CodeFrom::Folder {
            scan.unfound.retain(|import| !import.candidates.iter().any(|path| is_there(path)));
        }
        scan.diagnostics.extend(unfound_diagnostics(&scan.unfound, is_there));
        Diagnostic::sort(&mut scan.diagnostics);
        scan
    }

    pub(crate) fn sources(&self, selection: &Selection) -> Result<SourceTree, Failure> {
        let sources = selection.python_sources().map_err(|error| {
            Failure::because("the project's files cannot be read", &error).code(Code::FileNotPacked)
        })?;
        let mut tree = SourceTree::new(&self.name);
        for (path, bytes) in sources {
            tree.insert(path, bytes);
        }
        Ok(tree)
    }

    /// Whether a project is fit for use; `outcome` says what has not happened if it is not.
    pub(crate) fn accept(
        &self,
        manifest: &Manifest,
        diagnostics: &[Diagnostic],
        outcome: &str,
    ) -> Result<(), Failure> {
        match diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count() {
            0 if manifest.resources.is_empty() => Err(Failure::coded(
                Code::NoFunctions,
                format!("no decorated functions in {}", self.root.display()),
            )
            .hint("decorate a function with @remote(resource); `flash explain FL118` shows how")),
            0 => Ok(()),
            1 => Err(Failure::new(format!("1 problem in the project; {outcome}"))),
            many => Err(Failure::new(format!("{many} problems in the project; {outcome}"))),
        }
    }
}
