//! `flash build [PATH]`: the manifest and the artifact, in the project's `.flash`.

use fs_err as fs;
use serde_json::json;

use crate::args::BuildArgs;
use crate::error::Failure;
use crate::printer::Printer;
use crate::project::Project;
use crate::run_dir::RunDir;

pub(crate) fn build(args: &BuildArgs, printer: Printer) -> Result<(), Failure> {
    let project = Project::locate(&args.path)?;
    let selection = project.select()?;
    let scan = project.scan(&selection, printer)?;
    let run_dir = RunDir::of(&project.root);
    run_dir.create()?;
    let artifact = flash_artifact::write(&selection, &scan.manifest, &run_dir.archive_path())
        .map_err(|error| Failure::because("the artifact cannot be written", &error))?;
    let json = scan
        .manifest
        .to_json()
        .map_err(|error| Failure::because("the manifest cannot be written as JSON", &error))?;
    let (path, temporary) = (run_dir.manifest_path(), run_dir.manifest_path().with_extension("json.new"));
    fs::write(&temporary, json)
        .and_then(|()| fs::rename(&temporary, &path))
        .map_err(|error| Failure::because("the manifest cannot be written", &error))?;
    if args.json {
        printer.data(json!({
            "manifest": path, "archive": artifact.path, "digest": artifact.digest,
            "size_bytes": artifact.size_bytes, "files": artifact.files,
            "resources": scan.manifest.resources.len(), "functions": scan.manifest.function_registry.len(),
        }));
        return Ok(());
    }
    printer.data(format_args!("manifest  {}", path.display()));
    printer.data(format_args!(
        "artifact  {} ({} files, {:.1} kB, sha256 {})",
        artifact.path.display(),
        artifact.files,
        artifact.size_bytes as f64 / 1000.0,
        &artifact.digest[..16]
    ));
    Ok(())
}
