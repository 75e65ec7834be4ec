//! A project on disk: where it is, what it is called, what is in it.

use std::path::{Path, PathBuf};

use flash_artifact::Selection;
use flash_model::{AppName, Code};
use flash_scan::{Scan, SourceTree};

use crate::error::Failure;
use crate::printer::Printer;
use crate::view;

#[derive(Debug, Clone)]
pub(crate) struct Project {
    pub(crate) root: PathBuf,
    pub(crate) name: String,
}

impl Project {
    pub(crate) fn locate(path: &Path) -> Result<Self, Failure> {
        let root = path.canonicalize().map_err(|error| {
            Failure::because(format!("there is no project at {}", path.display()), &error)
                .code(Code::ProjectNotFound)
                .hint("give the folder that holds your Python files: flash run path/to/project")
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

    pub(crate) fn select(&self) -> Result<Selection, Failure> {
        flash_artifact::select(&self.root)
            .map_err(|error| Failure::because("the project cannot be read", &error))
    }

    /// Reads the whole project without importing it. Prints every diagnostic; errors among them are a failure.
    pub(crate) fn scan(&self, selection: &Selection, printer: Printer) -> Result<Scan, Failure> {
        let sources = selection
            .python_sources()
            .map_err(|error| Failure::because("the project's files cannot be read", &error))?;
        let mut tree = SourceTree::new(&self.name);
        for (path, bytes) in sources {
            tree.insert(path, bytes);
        }
        let scan = flash_scan::scan(&tree);
        view::diagnostics::print(&scan.diagnostics, &tree, printer);
        let errors = scan.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
        match errors {
            0 if scan.manifest.resources.is_empty() => Err(Failure::coded(
                Code::NoFunctions,
                format!("no decorated functions in {}", self.root.display()),
            )
            .hint("decorate a function with @remote(resource); `flash explain FL118` shows how")),
            0 => Ok(scan),
            1 => Err(Failure::new("1 problem in the project; nothing was started")),
            many => Err(Failure::new(format!("{many} problems in the project; nothing was started"))),
        }
    }
}
