//! `flash build [PATH]`: the manifest and the artifact, in the project's `.flash`.

#[cfg(test)]
mod agreement;
mod comparison;
mod packages;
mod probe;
mod publish;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flash_artifact::requirements::Excluded;
use flash_artifact::{Include, Layout, PythonVersion, Selection, Target, layout, select, size};
use flash_model::{Code, Diagnostic, Manifest, Resource};
use flash_providers::local::python::Cancel;
use flash_scan::SourceTree;

use self::packages::Packed;
use super::interrupts::Interrupts;
use crate::args::BuildArgs;
use crate::error::Failure;
use crate::printer::Printer;
use crate::project::{CodeFrom, Project};
use crate::run_dir::RunDir;
use crate::view::{self, build::Built};

/// For installers to end once they are told to.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(3);
const LARGEST_SHOWN: usize = 5;

/// The work is done beside the wait for Ctrl+C: installers must be ended with us, and what is packed is not waited for.
pub(crate) fn build(args: &BuildArgs, printer: Printer) -> Result<(), Failure> {
    crate::log::to_stderr("warn", printer);
    let build = Build::prepare(args, printer)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::because("the async runtime cannot be started", &error))?;
    let result = runtime.block_on(async {
        let mut interrupted = Interrupts::new()?;
        let cancel = build.cancel.clone();
        let building = tokio::task::spawn_blocking(move || build.run());
        tokio::pin!(building);
        tokio::select! {
            built = &mut building => match built {
                Ok(result) => result,
                Err(panic) => std::panic::resume_unwind(panic.into_panic()),
            },
            () = interrupted.next() => {
                cancel.cancel();
                let _ = tokio::time::timeout(CANCEL_TIMEOUT, building).await;
                Err(Failure::new("interrupted; the previous artifact is as it was"))
            }
        }
    });
    runtime.shutdown_background();
    view::build::print(&result?, args.json, printer);
    Ok(())
}

struct Build {
    args: BuildArgs,
    project: Project,
    run_dir: RunDir,
    printer: Printer,
    cancel: Cancel,
    include: Include,
    excluded: Excluded,
    /// Absolute.
    archive: PathBuf,
}

impl Build {
    /// What was typed, understood.
    fn prepare(args: &BuildArgs, printer: Printer) -> Result<Self, Failure> {
        let project = Project::locate(&args.path)?;
        let run_dir = RunDir::of(&project.root);
        let include = Include::parse(args.include.iter().map(String::as_str))
            .map_err(|error| Failure::new(error.to_string()))?;
        let excluded = Excluded::parse(args.exclude.iter().map(String::as_str))
            .map_err(|text| Failure::new(format!("{text:?} is not the name of a package")))?;
        let archive = match &args.output {
            Some(output) => chosen(output)?,
            None => run_dir.archive_path(),
        };
        let (args, cancel) = (args.clone(), Cancel::default());
        Ok(Self { args, project, run_dir, printer, cancel, include, excluded, archive })
    }

    fn run(self) -> Result<Built, Failure> {
        self.run_dir.create()?;
        let _lock = self.run_dir.lock_build(|| {
            self.printer.notice("another build of this project runs; waiting for it …");
        })?;
        let selection = self.select()?;
        let sources = self.project.sources(&selection)?;
        let scan = self.project.read(&sources, CodeFrom::Artifact);
        let mut manifest = scan.manifest;
        let default_python = self.default_python()?;
        let (requirements, mut diagnostics) = self.requirements(&manifest, default_python)?;
        view::diagnostics::print(&scan.diagnostics, &sources, self.printer);
        view::diagnostics::print(&diagnostics, &self.shown(&diagnostics), self.printer);
        diagnostics.extend(scan.diagnostics);
        self.project.accept(&manifest, &diagnostics, "nothing was built")?;
        view::environment::note_ignored(&manifest, self.printer);

        for resource in manifest.resources.values_mut() {
            let target = self.target(resource, default_python);
            resource.spec_mut().python_version = Some(target.python.to_string());
        }
        if self.args.probe {
            let diagnostics = probe::probe(&self, &manifest, &requirements)?;
            view::diagnostics::print(&diagnostics, &sources, self.printer);
            self.project.accept(&manifest, &diagnostics, "nothing was built")?;
        }

        let mut layout = Layout::of_project(&selection, |path| sources.get(path));
        refuse_taken(&layout, &manifest)?;
        let packed = if self.args.no_deps {
            Packed::default()
        } else {
            packages::install(&self, &mut manifest, &requirements, default_python)?
        };
        for (place, folder) in packed.folders() {
            layout.add_packages(place, folder, &self.excluded).map_err(|error| unpackable(&error))?;
        }
        for resource in manifest.resources.values_mut() {
            resource.config_hash = resource
                .compute_config_hash()
                .map_err(|error| Failure::because("the manifest cannot be encoded", &error))?;
        }
        layout.add_generated(&manifest).map_err(|error| unpackable(&error))?;
        self.refuse_too_large(&layout, &packed)?;

        let artifact = publish::publish(&self, &layout, &manifest)?;
        Ok(Built {
            sizes: size::by_resource(&layout, &manifest),
            unpacked_bytes: layout.size_bytes(),
            manifest_path: self.run_dir.manifest_path(),
            build_tree: self.args.keep_build.then(|| self.run_dir.build_tree()),
            platform: self.args.platform,
            selection,
            manifest,
            artifact,
        })
    }

    fn select(&self) -> Result<Selection, Failure> {
        let mut selection = self.project.select_with(&self.include)?;
        // An archive beside the sources is not packed into its successors, nor is what an interrupted build left of one.
        selection.files.retain(|file| {
            let name = file.path.rsplit('/').next().unwrap_or_default();
            let is_unfinished = name.starts_with(".incomplete-") && name.ends_with(".tar.gz");
            let is_earlier = || {
                [".gz", ".tgz"].iter().any(|ending| name.ends_with(ending))
                    && flash_artifact::is_artifact(&file.absolute)
            };
            file.absolute != self.archive && !is_unfinished && !is_earlier()
        });
        for forced in &selection.forced {
            let why = match forced.overrides {
                Some(select::Protection::Secret) => {
                    "usually holds secrets; whoever has the artifact can read it"
                }
                Some(select::Protection::Clutter) => "is left out otherwise",
                None => continue,
            };
            self.printer.notice(format_args!("warning: packing {}, which {why} (--include)", forced.path));
        }
        for pattern in &selection.unmatched {
            self.printer.notice(format_args!("warning: --include {pattern}: no file matches"));
        }
        if !selection.secrets.is_empty() {
            let secrets = selection.secrets.join(", ");
            self.printer.notice(format_args!("note: left out as secrets: {secrets} (--include packs them)"));
        }
        Ok(selection)
    }

    fn default_python(&self) -> Result<PythonVersion, Failure> {
        match self.args.python {
            Some(python) => Ok(python),
            None => PythonVersion::of_project(&self.project.root).map_err(|error| {
                Failure::coded(Code::UnsupportedPython, error.to_string())
                    .hint("choose one with --python; `flash explain FL135` says how it is found")
            }),
        }
    }

    /// What a resource asks for itself gives way to what was typed only.
    fn target(&self, resource: &Resource, default_python: PythonVersion) -> Target {
        let own = resource.spec.python_version.as_deref().and_then(|text| text.parse().ok());
        let python = self.args.python.or(own).unwrap_or(default_python);
        Target { python, platform: self.args.platform }
    }

    /// The files that diagnostics of requirements point to, for their lines to be shown.
    fn shown(&self, diagnostics: &[Diagnostic]) -> SourceTree {
        let mut tree = SourceTree::new(&self.project.name);
        let spans = diagnostics.iter().flat_map(|diagnostic| {
            diagnostic.span.iter().chain(diagnostic.related.iter().map(|related| &related.span))
        });
        let files: BTreeSet<&str> = spans.map(|span| span.file.as_str()).collect();
        for file in files {
            if let Ok(text) = fs_err::read_to_string(self.project.root.join(file)) {
                // Lines of requirements may hold passwords.
                tree.insert(file, flash_artifact::requirements::redacted(&text).into_bytes());
            }
        }
        tree
    }

    fn refuse_too_large(&self, layout: &Layout<'_>, packed: &Packed) -> Result<(), Failure> {
        let (size_bytes, max_bytes) = (layout.size_bytes(), self.args.max_size.0);
        if size_bytes <= max_bytes {
            return Ok(());
        }
        let folders: Vec<&Path> = packed.folders().map(|(_, folder)| folder).collect();
        let largest = size::largest(layout, folders, &self.excluded, LARGEST_SHOWN);
        let lines =
            largest.iter().map(|part| format!("  {:>10}  {}", view::bytes(part.size_bytes), part.name));
        let message = format!(
            "the artifact would unpack to {}, and {} is the limit; the largest parts:\n{}",
            view::bytes(size_bytes),
            view::bytes(max_bytes),
            lines.collect::<Vec<_>>().join("\n")
        );
        Err(Failure::coded(Code::ArtifactTooLarge, message).hint(
            "leave out what the image has (--exclude NAME), name files in .flashignore, or raise --max-size",
        ))
    }
}

fn chosen(output: &Path) -> Result<PathBuf, Failure> {
    let archive = std::path::absolute(output)
        .map_err(|error| Failure::because(format!("{} is no place", output.display()), &error))?;
    flash_artifact::check_destination(&archive)
        .map_err(|error| Failure::because("the artifact cannot be written", &error))?;
    Ok(archive)
}

fn refuse_taken(layout: &Layout<'_>, manifest: &Manifest) -> Result<(), Failure> {
    const NAMED_MAX: usize = 5;
    let taken = layout.taken(manifest);
    if taken.is_empty() {
        return Ok(());
    }
    let named: Vec<&str> = taken.iter().copied().take(NAMED_MAX).collect();
    let more = if taken.len() > NAMED_MAX { " …" } else { "" };
    let message = format!("the build puts its own files where the project has {}{more}", named.join(", "));
    Err(Failure::coded(Code::ReservedFile, message)
        .hint("rename them or name them in .flashignore; the build packs the SDK and the handlers itself"))
}

fn unpackable(error: &layout::Error) -> Failure {
    Failure::because("not everything can be packed", error).code(Code::FileNotPacked)
}
