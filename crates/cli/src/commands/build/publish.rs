//! Puts what was built in its place. Whatever goes wrong before the last two renames leaves the previous build as it was.

use std::path::Path;

use flash_artifact::{Artifact, Layout, stage};
use flash_model::Manifest;
use fs_err as fs;

use super::Build;
use crate::error::Failure;

/// The archive holds its own manifest, and its rename comes last: until then the previous artifact is the artifact. The
/// manifest beside it is a copy for people and tools; only a crash between two renames can leave it one build ahead.
pub(super) fn publish(build: &Build, layout: &Layout<'_>, manifest: &Manifest) -> Result<Artifact, Failure> {
    let unwritable =
        |error: &dyn std::error::Error| Failure::because("the artifact cannot be written", error);
    let staged = stage(layout, &build.archive).map_err(|error| unwritable(&error))?;
    let json = manifest
        .to_json()
        .map_err(|error| Failure::because("the manifest cannot be written as JSON", &error))?;
    let path = build.run_dir.manifest_path();
    let temporary = path.with_extension("json.new");
    fs::write(&temporary, json)
        .map_err(|error| Failure::because("the manifest cannot be written", &error))?;
    let tree = build.run_dir.build_tree();
    renew(&tree, build.args.keep_build.then_some(layout))
        .map_err(|error| Failure::because("the build tree cannot be written", &error))?;

    fs::rename(&temporary, &path)
        .map_err(|error| Failure::because("the manifest cannot be written", &error))?;
    staged.publish().map_err(|error| unwritable(&error))
}

/// A tree of an earlier build goes in any case: it would be taken for this one's.
fn renew(tree: &Path, layout: Option<&Layout<'_>>) -> std::io::Result<()> {
    let unfinished = tree.with_extension("new");
    for folder in [tree, &unfinished] {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let Some(layout) = layout else { return Ok(()) };
    fs::create_dir(&unfinished)?;
    layout.write_to(&unfinished)?;
    fs::rename(&unfinished, tree)
}
