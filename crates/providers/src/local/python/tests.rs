use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use flash_artifact::RequirementSet;

use super::environment::{Environments, Error, Progress};
use super::interpreter::{self, Interpreter, find};

/// Written by another process: a script that this one had open for writing could not be run for a moment.
pub(super) fn executable(path: &Path, script: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut child = Command::new("/bin/sh")
        .args(["-c", "cat > \"$0\" && chmod 755 \"$0\""])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

fn fake_python(path: &Path, version: &str) {
    executable(path, &format!("#!/bin/sh\nprintf '{version}\\nlinux x cpython\\n%s\\n' \"$0\"\n"));
}

#[expect(clippy::disallowed_methods, reason = "the test's stand-in for the command line's settings")]
pub(super) fn search_path() -> OsString {
    std::env::var_os("PATH").unwrap_or_default()
}

/// Without uv, so that every machine runs the same commands.
fn environments(root: &Path) -> Environments {
    let interpreter = find(None, root, &search_path()).unwrap();
    Environments::new(root.join("envs"), interpreter, OsStr::new(""))
}

pub(super) fn options(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

#[test]
fn python3_on_the_search_path_comes_before_others() {
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("bin");
    fake_python(&bin.join("python3.13"), "3.13.1");
    fake_python(&bin.join("python3"), "3.12.4");
    let found = find(None, folder.path(), bin.as_os_str()).unwrap();
    let platform = "linux x cpython".to_owned();
    assert_eq!(found, Interpreter { path: bin.join("python3"), version: (3, 12, 4), platform });
}

#[test]
fn the_projects_own_environment_comes_first_if_it_works() {
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("bin");
    let own = folder.path().join(".venv/bin/python");
    fake_python(&bin.join("python3"), "3.12.4");
    fake_python(&own, "3.11.0");
    assert_eq!(find(None, folder.path(), bin.as_os_str()).unwrap().path, own);
    executable(&own, "#!/bin/sh\nexit 1\n");
    assert_eq!(find(None, folder.path(), bin.as_os_str()).unwrap().path, bin.join("python3"));
}

#[test]
fn a_shim_without_a_python_behind_it_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("bin");
    executable(&bin.join("python3"), "#!/bin/sh\necho not here >&2\nexit 127\n");
    executable(&bin.join("python3.13"), "#!/bin/sh\necho nonsense\n");
    fake_python(&bin.join("python3.10"), "3.10.0");
    assert_eq!(find(None, folder.path(), bin.as_os_str()).unwrap().version, (3, 10, 0));
}

#[test]
fn an_old_python_is_named_when_there_is_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("bin");
    fake_python(&bin.join("python3"), "3.9.18");
    let error = find(None, folder.path(), bin.as_os_str()).unwrap_err();
    assert!(
        matches!(&error, interpreter::Error::TooOld { path, found } if *path == bin.join("python3") && found == "3.9.18")
    );
    assert!(error.to_string().ends_with("is Python 3.9.18; 3.10 or newer is needed"), "{error}");
    fake_python(&bin.join("python3.11"), "3.11.2");
    assert_eq!(find(None, folder.path(), bin.as_os_str()).unwrap().version, (3, 11, 2));
}

#[test]
fn an_explicit_python_is_the_only_one_asked() {
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("bin");
    fake_python(&bin.join("python3"), "3.12.4");
    fake_python(&bin.join("mine"), "3.13.0");
    executable(&bin.join("broken"), "#!/bin/sh\nexit 3\n");
    let ask = |wanted: &Path| find(Some(wanted), folder.path(), bin.as_os_str());
    assert_eq!(ask(Path::new("mine")).unwrap().path, bin.join("mine"));
    assert_eq!(ask(&bin.join("mine")).unwrap().version, (3, 13, 0));
    assert_eq!(ask(Path::new("bin/mine")).unwrap().version, (3, 13, 0));
    assert!(matches!(ask(Path::new("broken")), Err(interpreter::Error::Unusable { .. })));
    assert!(matches!(ask(Path::new("absent")), Err(interpreter::Error::NotFound { .. })));
    assert!(matches!(ask(Path::new("/nowhere/python")), Err(interpreter::Error::NotFound { .. })));
}

#[test]
fn no_python_at_all_says_where_it_looked() {
    let folder = tempfile::tempdir().unwrap();
    let error = find(None, folder.path(), folder.path().as_os_str()).unwrap_err().to_string();
    assert!(error.contains(".venv/bin/python, python3, python3.13"), "{error}");
}

#[test]
fn processes_that_want_one_environment_build_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let environments = environments(folder.path());
    let set = RequirementSet::default();
    assert!(!environments.is_ready(&set));
    let created = AtomicUsize::new(0);
    let build = || {
        environments
            .ensure(&set, &|progress| {
                if progress == Progress::Creating {
                    created.fetch_add(1, Ordering::SeqCst);
                }
            })
            .unwrap()
    };
    let pythons: Vec<PathBuf> = std::thread::scope(|scope| {
        let builders: Vec<_> = (0..4).map(|_| scope.spawn(build)).collect();
        builders.into_iter().map(|builder| builder.join().unwrap()).collect()
    });
    assert_eq!(created.into_inner(), 1);
    assert!(environments.is_ready(&set));
    assert!(pythons.iter().all(|python| *python == environments.python_for(&set)));
    let prefix = Command::new(&pythons[0]).args(["-c", "import sys; print(sys.prefix)"]).output().unwrap();
    let prefix = String::from_utf8(prefix.stdout).unwrap();
    assert!(prefix.contains("/envs/"), "{prefix}");
}

#[test]
fn what_an_interrupted_build_left_is_rebuilt() {
    let folder = tempfile::tempdir().unwrap();
    let environments = environments(folder.path());
    let set = RequirementSet::default();
    let python = environments.python_for(&set);
    let leftover = python.parent().unwrap().join("leftover");
    std::fs::create_dir_all(python.parent().unwrap()).unwrap();
    std::fs::write(&leftover, "").unwrap();
    environments.ensure(&set, &|_| {}).unwrap();
    assert!(environments.is_ready(&set) && !leftover.exists());
}

#[test]
fn a_failing_installation_gives_its_own_words() {
    let folder = tempfile::tempdir().unwrap();
    let environments = environments(folder.path());
    let set = RequirementSet {
        requirements: options(&["no-such-package-here==1.0"]),
        options: options(&["--no-index"]),
        ..RequirementSet::default()
    };
    let seen = RefCell::new(Vec::new());
    let error = environments.ensure(&set, &|progress| seen.borrow_mut().push(progress)).unwrap_err();
    let Error::InstallFailed { command, status, output } = &error else { panic!("{error:?}") };
    assert!(command.contains("install") && command.contains("requirements.txt"), "{command}");
    assert!(status.contains("exit status") && output.contains("no-such-package-here"), "{status}: {output}");
    assert_eq!(seen.borrow()[..2], [Progress::Creating, Progress::Installing { count: 1 }]);
    assert!(seen.borrow().iter().any(|progress| matches!(progress, Progress::Line(_))));
    assert!(!environments.is_ready(&set));
}

#[test]
fn passwords_reach_neither_arguments_nor_messages_nor_files() {
    let folder = tempfile::tempdir().unwrap();
    let environments = environments(folder.path());
    let set = RequirementSet {
        requirements: options(&["other @ file://me:s3cret@h/other.whl"]),
        options: options(&["--no-index"]),
        ..RequirementSet::default()
    };
    let seen = RefCell::new(Vec::new());
    let error = environments.ensure(&set, &|progress| seen.borrow_mut().push(progress)).unwrap_err();
    assert!(matches!(error, Error::InstallFailed { .. }), "{error:?}");
    assert!(!format!("{error:?}{seen:?}").contains("s3cret"), "{error:?} {seen:?}");
    assert_eq!(files_beside(&environments, &set), ["lock"]);
}

#[test]
fn uv_is_used_where_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let bin = folder.path().join("bin");
    let log = folder.path().join("log");
    executable(
        &bin.join("uv"),
        &format!(
            "#!/bin/sh\necho \"$@\" >> {log}\nfor last; do :; done\n\
             case $1 in venv) mkdir -p $last/bin; : > $last/bin/python;; *) cat $6 $8 >> {log};; esac\n",
            log = log.display()
        ),
    );
    let interpreter = find(None, folder.path(), &search_path()).unwrap();
    let environments = Environments::new(folder.path().join("envs"), interpreter.clone(), bin.as_os_str());
    let set = RequirementSet {
        requirements: options(&["a==1 --hash=sha256:00", "b"]),
        constraints: options(&["c<2"]),
        options: options(&["--pre"]),
    };
    let python = environments.ensure(&set, &|_| {}).unwrap();
    let environment = python.parent().unwrap().parent().unwrap();
    let install = format!(
        "pip install --python {} -r {e}.requirements.txt -c {e}.constraints.txt\n--pre\n",
        python.display(),
        e = environment.display()
    );
    let expected = format!(
        "venv --quiet --no-project --python {} {}\n{install}a==1 --hash=sha256:00\nc<2{install}b\nc<2",
        interpreter.path.display(),
        environment.display()
    );
    assert_eq!(std::fs::read_to_string(log).unwrap(), expected);
    assert_eq!(files_beside(&environments, &set), ["lock"]);
}

/// Extensions of the files that belong to an environment but lie beside its folder.
fn files_beside(environments: &Environments, set: &RequirementSet) -> Vec<String> {
    let folder = environments.python_for(set).parent().unwrap().parent().unwrap().to_owned();
    std::fs::read_dir(folder.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| path.extension().unwrap().to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_package_from_a_folder_is_installed_without_an_index() {
    let folder = tempfile::tempdir().unwrap();
    let wheels = folder.path().join("wheels");
    std::fs::create_dir(&wheels).unwrap();
    let environments = environments(folder.path());
    wheel(&environments.interpreter().path, &wheels);
    let set = RequirementSet {
        requirements: options(&["tiny-thing"]),
        constraints: options(&["tiny-thing==1.0"]),
        options: options(&["--no-index", &format!("--find-links {}", wheels.display())]),
    };
    let python = environments.ensure(&set, &|_| {}).unwrap();
    let answer =
        Command::new(python).args(["-c", "import tiny_thing; print(tiny_thing.ANSWER)"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&answer.stdout).trim(), "42");
    environments.ensure(&set, &|progress| panic!("{progress:?}")).unwrap();
}

/// A wheel is a zip file, which Python itself can write.
fn wheel(python: &Path, folder: &Path) {
    const SCRIPT: &str = "
import sys, zipfile
for version in ('1.0', '2.0'):
    info = f'tiny_thing-{version}.dist-info'
    with zipfile.ZipFile(f'{sys.argv[1]}/tiny_thing-{version}-py3-none-any.whl', 'w') as wheel:
        wheel.writestr('tiny_thing.py', 'ANSWER = 42' if version == '1.0' else 'ANSWER = 0')
        wheel.writestr(info + '/METADATA', f'Metadata-Version: 2.1\\nName: tiny-thing\\nVersion: {version}\\n')
        wheel.writestr(info + '/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
        wheel.writestr(info + '/RECORD', '')
";
    assert!(Command::new(python).args(["-c", SCRIPT]).arg(folder).status().unwrap().success());
}

#[test]
fn another_interpreter_or_set_is_another_environment() {
    let interpreter = |version, platform: &str| Interpreter {
        path: PathBuf::from("/usr/bin/python3"),
        version,
        platform: platform.to_owned(),
    };
    let environments = |interpreter| Environments::new(PathBuf::from("/envs"), interpreter, OsStr::new(""));
    let empty = RequirementSet::default();
    let full = RequirementSet { requirements: options(&["x"]), ..RequirementSet::default() };
    let base = environments(interpreter((3, 12, 4), "linux")).python_for(&empty);
    assert_ne!(base, environments(interpreter((3, 12, 5), "linux")).python_for(&empty));
    assert_ne!(base, environments(interpreter((3, 12, 4), "darwin")).python_for(&empty));
    assert_ne!(base, environments(interpreter((3, 12, 4), "linux")).python_for(&full));
    assert_eq!(base, environments(interpreter((3, 12, 4), "linux")).python_for(&empty));
}
