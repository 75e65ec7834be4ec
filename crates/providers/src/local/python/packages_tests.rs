use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use flash_artifact::{Platform, RequirementSet, Target};

use super::environment::{Error, Progress};
use super::packages::Packages;
use super::tests::{executable, options, search_path};

/// A machine with a Python and without uv, wherever this runs.
fn packages(root: &Path) -> Packages {
    let python = super::find(None, root, &search_path()).unwrap().path;
    let bin = root.join("bin");
    executable(&bin.join("python3"), &format!("#!/bin/sh\nexec '{}' \"$@\"\n", python.display()));
    Packages::new(root.join("packages"), root.to_owned(), bin.as_os_str())
}

fn target(python: &str, platform: Platform) -> Target {
    Target { python: python.parse().unwrap(), platform }
}

/// Wheels of `tiny-thing` whose module tells what they were made for, and `only-source` without any.
fn index(folder: &Path) -> Vec<String> {
    const SCRIPT: &str = "
import sys, zipfile, tarfile
info = 'tiny_thing-1.0.dist-info'
for tag in sys.argv[2:]:
    with zipfile.ZipFile(f'{sys.argv[1]}/tiny_thing-1.0-{tag}.whl', 'w') as wheel:
        wheel.writestr('tiny_thing.py', tag)
        wheel.writestr(info + '/METADATA', 'Metadata-Version: 2.1\\nName: tiny-thing\\nVersion: 1.0\\n')
        wheel.writestr(info + '/WHEEL', f'Wheel-Version: 1.0\\nRoot-Is-Purelib: false\\nTag: {tag}\\n')
        wheel.writestr(info + '/RECORD', '')
tarfile.open(f'{sys.argv[1]}/only_source-1.0.tar.gz', 'w:gz').close()
";
    const TAGS: [&str; 5] = [
        "cp310-cp310-manylinux_2_17_x86_64",
        "cp312-cp312-manylinux_2_27_x86_64",
        "cp312-cp312-manylinux_2_34_x86_64",
        "cp312-cp312-manylinux2014_aarch64",
        "cp311-abi3-macosx_11_0_arm64",
    ];
    let wheels = folder.join("wheels");
    std::fs::create_dir(&wheels).unwrap();
    let status = Command::new("python3").args(["-c", SCRIPT]).arg(&wheels).args(TAGS).status().unwrap();
    assert!(status.success());
    options(&["--no-index", &format!("--find-links {}", wheels.display())])
}

fn beside(packages: &Packages, key: &str) -> Vec<String> {
    let entries = std::fs::read_dir(packages.folder(key).parent().unwrap()).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn wheels_are_for_the_target_and_not_for_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let packages = packages(folder.path());
    let set = RequirementSet {
        requirements: options(&["tiny-thing"]),
        options: index(folder.path()),
        ..RequirementSet::default()
    };
    let installed = |key: &str, target: Target| -> PathBuf {
        packages.ensure(key, &set, target, &|_| {}).unwrap().join("tiny_thing.py")
    };
    for (key, python, platform, expected) in [
        ("a", "3.12", Platform::LinuxX86_64, "cp312-cp312-manylinux_2_27_x86_64"),
        ("b", "3.10", Platform::LinuxX86_64, "cp310-cp310-manylinux_2_17_x86_64"),
        ("c", "3.12", Platform::LinuxArm64, "cp312-cp312-manylinux2014_aarch64"),
    ] {
        let module = installed(key, target(python, platform));
        assert_eq!(std::fs::read_to_string(module).unwrap(), expected);
    }
    let again =
        packages.ensure("a", &set, target("3.12", Platform::LinuxX86_64), &|progress| panic!("{progress:?}"));
    again.unwrap();
    assert_eq!(beside(&packages, "a"), ["a", "a.lock", "b", "b.lock", "c", "c.lock"]);
}

#[test]
fn what_has_no_wheel_fails_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let packages = packages(folder.path());
    let links = index(folder.path());
    let failure = |requirement: &str| {
        let set = RequirementSet {
            requirements: options(&[requirement]),
            options: links.clone(),
            ..RequirementSet::default()
        };
        let seen = RefCell::new(Vec::new());
        let target = target("3.13", Platform::LinuxX86_64);
        let error =
            packages.ensure("k", &set, target, &|progress| seen.borrow_mut().push(progress)).unwrap_err();
        assert!(!packages.is_ready("k"));
        assert_eq!(beside(&packages, "k"), ["k.lock"]);
        assert!(!format!("{error:?}{seen:?}").contains("s3cret"), "{error:?} {seen:?}");
        let Error::InstallFailed { output, .. } = error else { panic!("{error:?}") };
        output
    };
    assert!(failure("only-source==1.0").contains("only-source"));
    assert!(failure("tiny-thing").contains("tiny-thing"));
    failure("other @ https://me:s3cret@127.0.0.1:1/other-1.0-py3-none-any.whl");
}

#[test]
fn builds_at_the_same_time_install_once_and_an_interrupted_one_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let packages = packages(folder.path());
    let leftover = packages.folder("k").with_extension("new").join("half.py");
    std::fs::create_dir_all(leftover.parent().unwrap()).unwrap();
    std::fs::write(&leftover, "").unwrap();
    let set = RequirementSet {
        requirements: options(&["tiny-thing"]),
        options: index(folder.path()),
        ..RequirementSet::default()
    };
    let installed = AtomicUsize::new(0);
    let build = || {
        let target = target("3.12", Platform::LinuxX86_64);
        packages.ensure("k", &set, target, &|progress| {
            if progress == Progress::Creating {
                installed.fetch_add(1, Ordering::SeqCst);
            }
        })
    };
    std::thread::scope(|scope| {
        let builders: Vec<_> = (0..3).map(|_| scope.spawn(build)).collect();
        builders.into_iter().for_each(|builder| drop(builder.join().unwrap().unwrap()));
    });
    assert_eq!(installed.into_inner(), 1);
    assert!(packages.folder("k").join("tiny_thing.py").is_file());
    assert!(!packages.folder("k").join("half.py").exists());
    assert_eq!(beside(&packages, "k"), ["k", "k.lock"]);
}

#[test]
fn uv_is_told_the_target_too() {
    let folder = tempfile::tempdir().unwrap();
    let (bin, log) = (folder.path().join("bin"), folder.path().join("log"));
    let packages = packages(folder.path());
    executable(&bin.join("uv"), &format!("#!/bin/sh\necho \"$@\" >> {}\n", log.display()));
    let set = RequirementSet { requirements: options(&["a"]), ..RequirementSet::default() };
    packages.ensure("k", &set, target("3.11", Platform::LinuxX86_64), &|_| {}).unwrap();
    let log = std::fs::read_to_string(log).unwrap();
    let expected = "pip install --only-binary :all: --python-platform x86_64-unknown-linux-gnu --python-version 3.11 --python ";
    assert!(log.starts_with(expected), "{log}");
    assert!(log.contains(&format!(" --target {}.new -r ", packages.folder("k").display())), "{log}");
}
