//! `flash build` and `flash manifest`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Project, flash, is_alive, signal, text};

const MAIN: &str = "
from tetra_rp import CpuLiveServerless, LiveLoadBalancer, remote

jobs = CpuLiveServerless(name=\"jobs\")
more = CpuLiveServerless(name=\"more\")
api = LiveLoadBalancer(name=\"api\")

@remote(jobs)
def work(x: int) -> int:
    return x

@remote(more)
def work_more(x: int) -> int:
    return x

@remote(api, method=\"POST\", path=\"/go\", dependencies=[\"tiny-thing\"])
async def go(x: int) -> int:
    return x
";

/// Packages come from a folder of wheels in the project, never from the network.
fn with_wheels() -> Project {
    const SCRIPT: &str = "
import sys, zipfile
for name in ('tiny_thing', 'cloudpickle'):
    info = f'{name}-4.0.dist-info'
    with zipfile.ZipFile(f'{sys.argv[1]}/{name}-4.0-py3-none-any.whl', 'w') as wheel:
        wheel.writestr(name + '.py', 'ANSWER = 42')
        wheel.writestr(info + '/METADATA', f'Metadata-Version: 2.1\\nName: {name}\\nVersion: 4.0\\n')
        wheel.writestr(info + '/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
        wheel.writestr(info + '/RECORD', '')
";
    let project = Project::of(&[
        ("main.py", MAIN),
        ("requirements.txt", "--no-index\n--find-links wheels\n"),
        (".flashignore", "wheels/\n"),
        ("wheels/readme.txt", ""),
    ]);
    let wheels = project.root().join("wheels");
    assert!(Command::new("python3").args(["-c", SCRIPT]).arg(wheels).status().unwrap().success());
    project
}

fn built(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn unpacked(project: &Project, result: &Value) -> PathBuf {
    let digest = result["digest"].as_str().unwrap();
    let folder = project.root().parent().unwrap().join(digest);
    flash_artifact::unpack(Path::new(result["archive"].as_str().unwrap()), digest, &folder).unwrap()
}

fn refused(project: &Project, arguments: &[&str], expected: &[&str]) {
    let output = project.flash(&[&["build"], arguments].concat());
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    for expected in expected {
        assert!(stderr.contains(expected), "{expected} in\n{stderr}");
    }
}

#[test]
fn the_same_tree_gives_the_same_bytes_and_no_secret_is_packed() {
    let mut digests = Vec::new();
    for _ in 0..2 {
        let project = Project::example("pipeline");
        project.write(".env", "API_KEY=very-secret\n");
        project.write("server.key", "very-secret\n");
        let output = project.flash(&["build", "--no-deps", "--json"]);
        assert!(
            text(&output.stderr).contains("note: left out as secrets: server.key "),
            "{}",
            text(&output.stderr)
        );
        let result = built(&output);
        digests.push(result["digest"].as_str().unwrap().to_owned());
        let unpacked = unpacked(&project, &result);
        let manifest = fs::read_to_string(project.root().join(".flash/flash_manifest.json")).unwrap();
        assert_eq!(fs::read_to_string(unpacked.join("flash_manifest.json")).unwrap(), manifest);
        for file in ["api.py", "handler_api.py", "tetra_rp/__init__.py", "runpod_flash/__init__.py"] {
            assert!(unpacked.join(file).is_file(), "{file}");
        }
        assert!(
            !unpacked.join(".env").exists()
                && !unpacked.join("server.key").exists()
                && !unpacked.join("packages").exists()
        );
        // What is built differs from what the text says by the target only.
        let mut built: Value = serde_json::from_str(&manifest).unwrap();
        let mut read: Value = serde_json::from_slice(&project.flash(&["manifest"]).stdout).unwrap();
        for (name, resource) in read["resources"].as_object_mut().unwrap() {
            let built = &mut built["resources"][name];
            assert_eq!(built["spec"]["pythonVersion"], "3.12");
            assert_ne!(built["config_hash"], resource["config_hash"]);
            resource["spec"]["pythonVersion"] = "3.12".into();
            resource["config_hash"] = built["config_hash"].clone();
        }
        assert_eq!(built, read);
    }
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn packages_lie_once_per_requirement_set_and_are_installed_once() {
    let project = with_wheels();
    let first = project.flash(&["build", "--json", "--python", "3.11"]);
    let result = built(&first);
    let places: Vec<&str> = ["jobs", "more", "api"]
        .iter()
        .map(|name| result["sizes"][name]["packages"].as_str().unwrap())
        .collect();
    assert!(places[0] == places[1] && places[0] != places[2], "{places:?}");
    let code = unpacked(&project, &result);
    let modules = |place: &str| {
        ["cloudpickle.py", "tiny_thing.py"].map(|module| code.join(place).join(module).is_file())
    };
    assert_eq!((modules(places[0]), modules(places[2])), ([true, false], [true, true]));
    let handler = fs::read_to_string(code.join("handler_api.py")).unwrap();
    assert!(handler.contains(places[2]), "{handler}");
    let manifest: Value =
        serde_json::from_slice(&fs::read(code.join("flash_manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["resources"]["api"]["packages"], places[2]);
    assert_eq!(manifest["resources"]["api"]["spec"]["pythonVersion"], "3.11");

    assert!(text(&first.stderr).contains("installing"), "{}", text(&first.stderr));
    let again = project.flash(&["build", "--json", "--python", "3.11"]);
    assert_eq!(text(&again.stderr), "");
    assert_eq!(built(&again)["digest"], result["digest"]);

    let less = project.flash(&["build", "--json", "--exclude", "Tiny_Thing,absent"]);
    let stderr = text(&less.stderr);
    assert!(stderr.contains("--exclude absent: no such package is required"), "{stderr}");
    assert!(!stderr.contains("tiny-thing: no such"), "{stderr}");
    let result = built(&less);
    assert_eq!(result["sizes"]["api"]["packages"], result["sizes"]["jobs"]["packages"]);
}

#[test]
fn a_failed_build_leaves_the_previous_artifact_untouched() {
    let project = with_wheels();
    built(&project.flash(&["build", "--json"]));
    let folder = project.root().join(".flash");
    let state = || {
        let mut names: Vec<_> =
            fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        let read = |name: &str| fs::read(folder.join(name)).unwrap();
        (names, read("archive.tar.gz"), read("flash_manifest.json"))
    };
    let before = state();

    project.write("broken.py", "import tetra_rp\ndef f(:\n");
    refused(&project, &[], &["FL101", "2 problems in the project; nothing was built"]);
    project.write("broken.py", "");

    refused(&project, &["--max-size", "1KiB"], &["FL131", "and 1.0 KiB is the limit", "tetra_rp"]);

    project.write("requirements.txt", "--no-index\n--find-links wheels\ntiny-thing==4.0\ntiny-thing<4\n");
    refused(&project, &[], &["FL130", "requirements.txt:3", "requirements.txt", "`api`", "`jobs`"]);

    project.write("requirements.txt", "--no-index\n--find-links wheels\nabsent-thing==1.0\n");
    refused(&project, &[], &["FL132", "no wheel of absent-thing", "only wheels are packed"]);
    project.write("requirements.txt", "--no-index\n./absent.whl\n");
    refused(&project, &[], &["FL132", "the installer failed", "hint: check the requirement that it names"]);
    project.write("requirements.txt", "not a requirement\n");
    refused(&project, &[], &["FL120", "requirements.txt:1"]);
    project.write("requirements.txt", "");

    project.write("handler_api.py", "");
    project.write("tetra_rp/__init__.py", "");
    refused(&project, &["--no-deps"], &["FL134", "handler_api.py", "tetra_rp/__init__.py"]);
    fs::remove_file(project.root().join("handler_api.py")).unwrap();
    fs::remove_dir_all(project.root().join("tetra_rp")).unwrap();

    project.write(".python-version", "3.9\n");
    refused(&project, &["--no-deps"], &["FL135", ".python-version"]);
    fs::remove_file(project.root().join(".python-version")).unwrap();

    refused(&project, &["--no-deps", "--output", ".flash"], &["cannot be written", "which is a folder"]);
    refused(&project, &["--no-deps", "--output", "main.py"], &["main.py, which is no archive"]);
    assert_eq!(fs::read_to_string(project.root().join("main.py")).unwrap(), MAIN);
    let socket = project.root().join("socket");
    let _bound = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    refused(&project, &["--no-deps", "--output", "socket"], &["socket, which is no regular file"]);
    assert_eq!(state(), before);
    for (option, value, expected) in [
        ("--python", "2.7", "use 3.10, 3.11, 3.12 or 3.13"),
        ("--max-size", "much", "write 500MiB or 1.5GB"),
        ("--max-size", "-1", "write 500MiB or 1.5GB"),
        ("--include", "../secret", "it must stay inside the project"),
        ("--exclude", "a b", "is not the name of a package"),
    ] {
        let output = project.flash(&["build", option, value]);
        assert_eq!(output.status.code(), Some(2), "{option} {value}");
        assert!(text(&output.stderr).contains(expected), "{}", text(&output.stderr));
    }
}

#[test]
fn output_goes_where_it_is_told_and_is_not_packed_into_its_successor() {
    let project = Project::example("hello");
    project.write("data.bin", "weights");
    project.write(".gitignore", "*.bin\n");
    project.write("server.pem", "key");
    let arguments = [
        "build",
        "--no-deps",
        "--json",
        "-o",
        "out/mine.tar.gz",
        "--include",
        "data.bin,*.pem",
        "--include",
        "no.thing",
    ];
    let first = project.flash(&arguments);
    let stderr = text(&first.stderr);
    assert!(stderr.contains("warning: packing server.pem"), "{stderr}");
    assert!(stderr.contains("warning: --include no.thing: no file matches"), "{stderr}");
    let result = built(&first);
    assert_eq!(result["archive"], project.root().join("out/mine.tar.gz").to_str().unwrap());
    assert_eq!(result["included"], serde_json::json!(["data.bin", "server.pem"]));
    project.write("out/.incomplete-x.tar.gz", "left by a build that was killed");
    fs::copy(project.root().join("out/mine.tar.gz"), project.root().join("earlier.tgz")).unwrap();
    let second = built(&project.flash(&[&arguments[..], &["--keep-build"]].concat()));
    assert_eq!(second["digest"], result["digest"]);

    let tree = project.root().join(".flash/.build");
    assert_eq!(second["build_tree"], tree.to_str().unwrap());
    let layout = flash_artifact::Layout::of_folder(&tree).unwrap();
    let again = flash_artifact::write(&layout, &project.root().join(".flash/again.tar.gz")).unwrap();
    assert_eq!(again.digest, second["digest"].as_str().unwrap());
    built(&project.flash(&["build", "--no-deps", "--json"]));
    assert!(!tree.exists(), "the tree of an earlier build would be taken for this one's");
}

#[test]
fn data_that_cannot_be_written_is_a_failure() {
    let project = Project::example("hello");
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    for arguments in [&["manifest"][..], &["build", "--no-deps", "--json"], &["explain", "FL101"]] {
        let output = flash(&project.root()).args(arguments).stdout(full()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(text(&output.stderr).contains("standard output cannot be written"), "{arguments:?}");
    }
}

#[test]
fn the_projects_own_application_has_a_handler_too() {
    let project = Project::example("webapp");
    let result = built(&project.flash(&["build", "--no-deps", "--json"]));
    let code = unpacked(&project, &result);
    let manifest: Value =
        serde_json::from_slice(&fs::read(code.join("flash_manifest.json")).unwrap()).unwrap();
    for resource in manifest["resources"].as_object().unwrap().values() {
        let handler = fs::read_to_string(code.join(resource["handler_file"].as_str().unwrap())).unwrap();
        let is_application = resource["spec"]["kind"] == "asgi";
        assert_eq!(handler.contains("import_module(\"main\")"), is_application, "{handler}");
    }
}

#[test]
fn a_person_reads_sizes_and_where_it_went() {
    let project = Project::of(&[("main.py", MAIN), (".python-version", "3.13.1\n")]);
    let output = project.flash(&["build", "--no-deps"]);
    let stdout = text(&output.stdout);
    let lines: Vec<&str> = stdout.lines().map(str::trim_end).collect();
    assert_eq!(
        lines[0].split_whitespace().collect::<Vec<_>>(),
        ["RESOURCE", "KIND", "CODE", "PACKAGES", "TOTAL"]
    );
    let api: Vec<&str> = lines[1].split_whitespace().collect();
    let size = format!("{}", MAIN.len());
    assert_eq!(api, ["api", "load-balanced", &size, "B", "–", &size, "B"], "{stdout}");
    for (line, start) in lines[5..].iter().zip(["manifest", "artifact", "target", "size", "sha256"]) {
        assert!(line.starts_with(start), "{stdout}");
    }
    assert!(stdout.contains("Python 3.13, linux/amd64"), "{stdout}");
}

/// `uv` that says who it is and then never ends.
fn endless_installer(project: &Project) -> PathBuf {
    let bin = project.root().parent().unwrap().join("bin");
    fs::create_dir_all(&bin).unwrap();
    let uv = bin.join("uv");
    let script = "#!/bin/sh\necho $$ > \"$0.pid.new\"; mv \"$0.pid.new\" \"$0.pid\"; exec sleep 1000\n";
    // Written by another process: one that this process has open could not be run for a moment.
    let mut shell = Command::new("sh");
    shell.args(["-c", "printf '%s' \"$1\" > \"$0\" && chmod 755 \"$0\""]).arg(&uv).arg(script);
    assert!(shell.status().unwrap().success());
    uv
}

#[test]
fn an_interrupted_build_ends_its_installer_and_changes_nothing() {
    for interruption in [Signal::INT, Signal::KILL] {
        let project = with_wheels();
        // One requirement set, so that there is one installer to end.
        project.write("main.py", &MAIN.replace(", dependencies=[\"tiny-thing\"]", ""));
        let before = built(&project.flash(&["build", "--json", "--no-deps"]));
        let uv = endless_installer(&project);
        #[allow(clippy::disallowed_methods, reason = "the installer comes before what the machine has")]
        let path = std::env::var("PATH").unwrap();
        let mut child = flash(&project.root())
            .arg("build")
            .env("PATH", format!("{}:{path}", uv.parent().unwrap().display()))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let pid_file = uv.with_extension("pid");
        let installer = loop {
            if let Ok(pid) = fs::read_to_string(&pid_file) {
                break pid.trim().parse().unwrap();
            }
            assert!(child.try_wait().unwrap().is_none(), "ended before it installed anything");
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        signal(child.id(), interruption);
        let ended = child.wait_with_output().unwrap();
        assert!(!ended.status.success());
        if interruption == Signal::INT {
            assert!(text(&ended.stderr).contains("interrupted; the previous artifact is as it was"));
            assert!(!is_alive(installer));
        } else {
            signal(installer, Signal::KILL);
        }
        let archive = project.root().join(".flash/archive.tar.gz");
        flash_artifact::verify(&archive, before["digest"].as_str().unwrap()).unwrap();
        // Whatever was left behind is in nobody's way.
        let after = built(&project.flash(&["build", "--json"]));
        assert_ne!(after["digest"], before["digest"]);
    }
}

#[test]
fn what_a_killed_build_left_goes_with_the_next() {
    let project = Project::example("hello");
    project.write(".flash/.incomplete-abc.tar.gz", "half");
    project.write(".flash/.build.new/x.py", "half");
    built(&project.flash(&["build", "--no-deps", "--json"]));
    assert!(!project.root().join(".flash/.incomplete-abc.tar.gz").exists());
    assert!(!project.root().join(".flash/.build.new").exists());
}
