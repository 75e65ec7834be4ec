use std::os::unix::fs::PermissionsExt as _;

use flash_artifact::select::{Forced, Protection};
use flash_artifact::{Include, select, select_with};

use crate::project::Project;

fn check(files: &[&str], ignores: &[(&str, &str)], expected: &[&str]) {
    let project = Project::new(ignores);
    for file in files {
        project.write(file, "x");
    }
    let selected: Vec<String> = project.selected();
    let shown: Vec<&str> =
        selected.iter().map(String::as_str).filter(|path| !path.ends_with("ignore")).collect();
    assert_eq!(shown, expected);
}

#[test]
fn files_come_sorted_with_slashes() {
    check(
        &["b.py", "a/z.py", "a.py", "01_a/x y.py", "é.py"],
        &[],
        &["01_a/x y.py", "a.py", "a/z.py", "b.py", "é.py"],
    );
}

#[test]
fn ignore_files_work_without_a_git_repository_nested_and_negated() {
    check(
        &["a.log", "keep.log", "build/x.py", "sub/a.tmp", "sub/b.py", "data/big.bin", "deep/data/big.bin"],
        &[(".gitignore", "*.log\n!keep.log\nbuild/\n/data/\n"), ("sub/.gitignore", "*.tmp\n")],
        &["deep/data/big.bin", "keep.log", "sub/b.py"],
    );
}

#[test]
fn flashignore_has_the_last_word() {
    check(
        &["model.bin", "notes.md", "tests/test_a.py"],
        &[(".gitignore", "model.bin\n"), (".flashignore", "!model.bin\ntests/\n*.md\n")],
        &["model.bin"],
    );
}

#[test]
fn ignore_files_outside_the_project_do_not_count() {
    let outer = Project::new(&[(".gitignore", "*.py\n"), ("inner/a.py", "")]);
    let selection = select(&outer.path("inner")).unwrap();
    assert_eq!(selection.files.len(), 1);
}

#[test]
fn secrets_caches_and_environments_never_travel_even_if_asked_for() {
    check(
        &[
            ".env",
            ".env.example",
            ".env.local",
            ".envrc",
            ".flash/archive.tar.gz",
            ".git/config",
            ".python-version",
            ".runpod/x",
            ".tetra/x",
            ".venv/bin/python",
            "__pycache__/a.pyc",
            "a.pyc",
            ".npmrc",
            ".ssh/config",
            "certs/server.PEM",
            "deploy.key",
            "environment.py",
            "id_rsa",
            "id_rsa.pub",
            "id_rsa_reader.py",
            "myenv/pyvenv.cfg",
            "myenv/lib/x.py",
            "node_modules/x.js",
            "sub/.env.production",
            "sub/__pycache__/b.py",
        ],
        &[(".flashignore", "!.env\n!*.pem\n!__pycache__/\n")],
        &[".python-version", "environment.py", "id_rsa_reader.py"],
    );
}

#[test]
fn secrets_that_no_ignore_file_names_are_told() {
    let project = Project::new(&[
        (".gitignore", "ignored.key\n"),
        (".env", "s"),
        ("ignored.key", "s"),
        ("certs/ca.pem", "s"),
        (".ssh/id_rsa", "s"),
        (".venv/x.pem", "s"),
        ("a.pyc", ""),
    ]);
    let selection = select(project.root()).unwrap();
    assert_eq!(selection.secrets, [".env", ".ssh", "certs/ca.pem"]);
}

#[test]
fn nested_ignore_files_with_negation_and_pruned_folders() {
    check(
        &[
            "a/keep/x.py",
            "a/x.py",
            "b/x.py",
            "b/deep/y.py",
            "c/d/e.py",
            "f1.txt",
            "f2.txt",
            "#odd",
            " spaced.py",
        ],
        &[
            (".gitignore", "a/*\n!a/keep/\nb/\n**/d\nf[0-9].txt\n!f2.txt\n\\#odd\n"),
            // A folder that is left out is not entered, so nothing in it comes back.
            ("b/.gitignore", "!x.py\n"),
            (".flashignore", "!b/deep/y.py\n"),
        ],
        &[" spaced.py", "a/keep/x.py", "f2.txt"],
    );
}

#[test]
fn included_files_are_taken_whatever_left_them_out() {
    let files = [
        ".env",
        ".flash/run/token",
        ".git/config",
        ".venv/pyvenv.cfg",
        ".venv/lib/x.bin",
        "a.py",
        "certs/ca.pem",
        "certs/server.key",
        "data/w.bin",
        "sub/.env",
    ];
    let project = Project::new(&[(".gitignore", "*.bin\n.env\n")]);
    for file in files {
        project.write(file, "x");
    }
    let check = |patterns: &[&str], expected: &[(&str, Option<Protection>)], unmatched: &[&str]| {
        let include = Include::parse(patterns.iter().copied()).unwrap();
        let selection = select_with(project.root(), &include).unwrap();
        let forced =
            |(path, overrides): &(&str, _)| Forced { path: (*path).to_owned(), overrides: *overrides };
        assert_eq!(selection.forced, expected.iter().map(forced).collect::<Vec<_>>());
        assert_eq!(selection.unmatched, unmatched);
        assert!(selection.files.is_sorted_by(|left, right| left.path < right.path));
        for forced in &selection.forced {
            assert!(selection.contains(&forced.path) && !selection.left_out(&forced.path));
        }
        selection
    };
    let secret = Some(Protection::Secret);
    check(&["data/*.bin"], &[("data/w.bin", None)], &[]);
    check(&["*.bin"], &[("data/w.bin", None)], &[]);
    check(&["./.env"], &[(".env", secret)], &[]);
    let selection = check(
        &["certs/ , a.py", "*.nothing"],
        &[("certs/ca.pem", secret), ("certs/server.key", secret)],
        &["*.nothing"],
    );
    assert_eq!(selection.secrets, [""; 0]);
    check(&[".git/**"], &[(".git/config", Some(Protection::Clutter))], &[]);
    check(&["**/.flash/**", "token"], &[], &["**/.flash/**", "token"]);
    for refused in ["!a.py", "../x", ".flash/run/token", "#x", "/.flash"] {
        assert!(Include::parse([refused]).is_err(), "{refused}");
    }
    assert!(Include::parse([",", ""]).unwrap().is_empty());
}

#[test]
fn a_file_that_was_left_out_is_known() {
    let project = Project::new(&[(".gitignore", "gen/\n"), ("a.py", ""), ("gen/x.py", "")]);
    let selection = select(project.root()).unwrap();
    for (path, expected) in
        [("gen/x.py", true), ("a.py", false), ("absent.py", false), ("gen", false), ("../x", false)]
    {
        assert_eq!(selection.left_out(path), expected, "{path}");
    }
}

#[test]
fn names_that_are_not_utf8_and_folders_that_cannot_be_read_are_errors() {
    use std::os::unix::ffi::OsStrExt as _;
    let project = Project::new(&[("a.py", ""), ("closed/b.py", "")]);
    let odd = project.root().join(std::ffi::OsStr::from_bytes(b"\xff.py"));
    std::fs::write(&odd, "").unwrap();
    let error = select(project.root()).unwrap_err().to_string();
    assert!(error.contains("not UTF-8"), "{error}");
    std::fs::remove_file(odd).unwrap();
    let set_mode = |mode| {
        std::fs::set_permissions(project.path("closed"), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    set_mode(0o000);
    let result = select(project.root());
    let is_root = std::fs::read_dir(project.path("closed")).is_ok();
    set_mode(0o755);
    // Who may read everything has no unreadable folders.
    assert!(is_root || result.unwrap_err().to_string().contains("closed"));
    std::os::unix::net::UnixListener::bind(project.path("socket")).unwrap();
    assert_eq!(project.selected(), ["a.py", "closed/b.py"]);
}

#[test]
fn an_environment_made_in_the_project_folder_itself() {
    check(&["pyvenv.cfg", "main.py", "lib/python3.12/site-packages/x.py"], &[], &["main.py"]);
}

#[test]
fn links_lead_inside_the_project_only_and_never_loop() {
    let outside = Project::new(&[("secret.txt", "s"), ("folder/x.py", "")]);
    let project = Project::new(&[("real/a.py", "a"), (".env", "s"), ("x/x.py", ""), ("y/y.py", "")]);
    project.link("real/a.py", "alias.py");
    project.link("real", "shared");
    project.link(outside.path("secret.txt").to_str().unwrap(), "secret.txt");
    project.link(outside.path("folder").to_str().unwrap(), "folder");
    project.link(".env", "settings.txt");
    project.link("absent", "dangling.py");
    project.link("..", "real/loop");
    project.link(".", "self");
    project.link("../y", "x/to_y");
    project.link("../x", "y/to_x");
    assert_eq!(
        project.selected(),
        ["alias.py", "real/a.py", "shared/a.py", "x/to_y/y.py", "x/x.py", "y/to_x/x.py", "y/y.py"]
    );
}

#[test]
fn a_git_folder_behind_a_link_stays_behind() {
    let project = Project::new(&[(".git/config", "token"), ("a.py", "")]);
    project.link(".git", "history");
    project.link(".git/config", "config");
    assert_eq!(project.selected(), ["a.py"]);
}

#[test]
fn size_and_executable_bit_are_told() {
    let project = Project::new(&[("run.sh", "echo"), ("a.py", "")]);
    std::fs::set_permissions(project.path("run.sh"), std::fs::Permissions::from_mode(0o700)).unwrap();
    let selection = select(project.root()).unwrap();
    let told: Vec<_> =
        selection.files.iter().map(|file| (file.path.as_str(), file.executable, file.size_bytes)).collect();
    assert_eq!(told, [("a.py", false, 0), ("run.sh", true, 4)]);
}

#[test]
fn python_sources_are_bytes_as_they_are() {
    let project = Project::new(&[("b.py", "b"), ("a.txt", "")]);
    std::fs::write(project.path("a.py"), b"\xff\xfe").unwrap();
    let sources = select(project.root()).unwrap().python_sources().unwrap();
    assert_eq!(sources, [("a.py".to_owned(), b"\xff\xfe".to_vec()), ("b.py".to_owned(), b"b".to_vec())]);
}

#[test]
fn a_root_that_is_not_a_folder_is_an_error() {
    let project = Project::new(&[("a.py", "")]);
    assert!(matches!(
        select(&project.path("a.py")),
        Err(flash_artifact::select::Error::NotADirectory { .. })
    ));
    assert!(matches!(select(&project.path("absent")), Err(flash_artifact::select::Error::Unreadable { .. })));
}
