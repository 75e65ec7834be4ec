//! Puts what was built in its place. Whatever goes wrong before the last two renames leaves the previous build as it was.

use std::path::Path;

use flash_artifact::write::Error;
use flash_artifact::{Artifact, Layout, stage};
use flash_model::{Code, Manifest};
use fs_err as fs;

use super::Build;
use crate::error::Failure;

/// The archive holds its own manifest, and its rename comes last: until then the previous artifact is the artifact. The
/// manifest beside it is a copy for people and tools; only a crash between two renames can leave it one build ahead.
pub(super) fn publish(build: &Build, layout: &Layout<'_>, manifest: &Manifest) -> Result<Artifact, Failure> {
    let staged = stage(layout, &build.archive).map_err(|error| not_staged(&error))?;
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
    staged.publish().map_err(|error| not_staged(&error))
}

fn not_staged(error: &Error) -> Failure {
    match error {
        Error::Pack { .. } | Error::Changed { .. } => Failure::because("not everything can be packed", error)
            .code(Code::FileNotPacked)
            .hint("name it in .flashignore if it does not belong to the project"),
        _ => Failure::because("the artifact cannot be written", error),
    }
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

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_file_that_cannot_be_read_has_a_code_and_the_place_of_the_archive_has_none() {
        let check = |error: Error, expected: bool| {
            let failure = format!("{:?}", not_staged(&error));
            assert_eq!(failure.contains("FileNotPacked"), expected, "{failure}");
        };
        let source = || io::Error::from(io::ErrorKind::PermissionDenied);
        check(Error::Pack { path: "a.bin".to_owned(), source: source() }, true);
        check(Error::Changed { path: "a.bin".to_owned() }, true);
        check(Error::Destination { path: "out".into(), source: source() }, false);
    }
}
