//! Hot reload: when a file of the project changes, the project is read again and becomes the desired state. What did
//! not change is not touched; a project with problems changes nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flash_artifact::Selection;
use flash_mothership::{Desired, Handle};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::super::boot::{blocking, desired};
use crate::error::Failure;
use crate::printer::Printer;
use crate::project::{CodeFrom, Project};

/// Editors write a file in several steps, and people save several files.
const QUIET: Duration = Duration::from_millis(120);
const EVENTS_BUFFERED_MAX: usize = 64;

pub(super) struct Reload {
    project: Project,
    handle: Handle,
    printer: Printer,
    last: Desired,
}

impl Reload {
    pub(super) fn new(project: Project, handle: Handle, printer: Printer, last: Desired) -> Self {
        Self { project, handle, printer, last }
    }

    /// Ends only if watching is not possible on this machine, which costs the reload and nothing else.
    pub(super) async fn run(mut self) {
        let (changed, mut changes) = mpsc::channel(EVENTS_BUFFERED_MAX);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // A full channel already says that something changed.
            if event.is_ok_and(|event| matters(&event)) {
                let _ = changed.try_send(());
            }
        });
        let mut watcher = match watcher {
            Ok(watcher) => watcher,
            Err(error) => return self.cannot_watch(&error),
        };
        let mut watched = BTreeSet::new();
        if let Err(error) = self.watch(&mut watcher, &mut watched) {
            return self.cannot_watch(&*error);
        }
        while changes.recv().await.is_some() {
            while matches!(timeout(QUIET, changes.recv()).await, Ok(Some(()))) {}
            self.reread().await;
            if let Err(error) = self.watch(&mut watcher, &mut watched) {
                return self.cannot_watch(&*error);
            }
        }
    }

    async fn reread(&mut self) {
        let (project, printer) = (self.project.clone(), self.printer);
        match blocking(move || project.scan(&project.select()?, CodeFrom::Folder, printer)).await {
            Ok(scan) => {
                let next = desired(scan);
                if next != self.last {
                    self.printer.notice("the project changed");
                    self.handle.set_desired(next.clone());
                    self.last = next;
                }
            }
            Err(failure) => {
                failure.print(self.printer);
                self.printer.notice("what runs goes on as it was");
            }
        }
    }

    /// Only folders that hold files of the project: environments and ignored folders cost nothing.
    fn watch(
        &self,
        watcher: &mut RecommendedWatcher,
        watched: &mut BTreeSet<PathBuf>,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let selection = flash_artifact::select(&self.project.root)?;
        let folders = folders(&self.project.root, &selection);
        for folder in folders.difference(watched) {
            watcher.watch(folder, RecursiveMode::NonRecursive)?;
        }
        *watched = folders;
        Ok(())
    }

    fn cannot_watch(&self, error: &dyn std::error::Error) {
        Failure::because("changes to the project cannot be noticed; restart `flash run` after them", error)
            .print(self.printer);
    }
}

fn folders(root: &Path, selection: &Selection) -> BTreeSet<PathBuf> {
    let parents = selection.files.iter().filter_map(|file| file.absolute.parent().map(Path::to_path_buf));
    parents.chain([root.to_path_buf()]).collect()
}

/// Reading a file is no change, and neither is what we write ourselves.
fn matters(event: &notify::Event) -> bool {
    let is_ours = |path: &PathBuf| {
        path.components().any(|part| part.as_os_str() == ".flash" || part.as_os_str() == "__pycache__")
    };
    !matches!(event.kind, EventKind::Access(_)) && !event.paths.iter().all(is_ours)
}
