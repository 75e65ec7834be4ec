//! `flash build` and `flash manifest`.

use std::fs;

use serde_json::Value;

use crate::support::{Project, text};

#[test]
fn the_same_tree_gives_the_same_bytes_and_no_secret_is_packed() {
    let mut digests = Vec::new();
    for _ in 0..2 {
        let project = Project::example("pipeline");
        project.write(".env", "API_KEY=very-secret\n");
        let output = project.flash(&["build", "--json"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        digests.push(result["digest"].as_str().unwrap().to_owned());
        let manifest = fs::read_to_string(project.root().join(".flash/flash_manifest.json")).unwrap();
        assert_eq!(manifest, text(&project.flash(&["manifest"]).stdout));
        let unpacked = project.root().parent().unwrap().join("unpacked");
        flash_artifact::unpack(&project.root().join(".flash/archive.tar.gz"), &digests[0], &unpacked)
            .unwrap();
        assert_eq!(fs::read_to_string(unpacked.join("flash_manifest.json")).unwrap(), manifest);
        assert!(unpacked.join("api.py").exists() && !unpacked.join(".env").exists());
    }
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn a_failed_build_leaves_the_previous_artifact_untouched() {
    let project = Project::example("hello");
    assert_eq!(project.flash(&["build"]).status.code(), Some(0));
    let archive = project.root().join(".flash/archive.tar.gz");
    let before = fs::read(&archive).unwrap();
    project.write("broken.py", "def f(:\n");
    assert_eq!(project.flash(&["build"]).status.code(), Some(1));
    assert_eq!(fs::read(&archive).unwrap(), before);
}
