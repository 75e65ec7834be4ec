//! Every project of `tests/projects` that scans without errors is also imported by Python, with the SDK recording what it
//! decorates: both must say the same.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flash_model::{Code, Diagnostic, ResourceName};
use flash_scan::{Scan, SourceTree, scan};
use serde_json::json;

use super::comparison::{Recorded, compare};

/// Cases whose modules import packages that this test does not install, or that fail when they run, as they should.
const NOT_IMPORTABLE_MAX: usize = 12;
const AGREEING_MIN: usize = 38;

#[test]
fn what_is_read_is_what_python_registers() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/projects").canonicalize().unwrap();
    let mut cases: Vec<PathBuf> = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|case| case.join("project").is_dir());
    cases.sort();
    let halves = cases.split_at(cases.len() / 2);
    let (left, right) = std::thread::scope(|scope| {
        let left = scope.spawn(|| halves.0.iter().filter_map(|case| check(case)).collect::<Vec<_>>());
        (halves.1.iter().filter_map(|case| check(case)).collect::<Vec<_>>(), left.join().unwrap())
    });
    let checked = [left, right].concat();
    let differences: Vec<&String> = checked.iter().flat_map(|checked| &checked.differences).collect();
    assert!(differences.is_empty(), "{differences:#?}");
    let not_importable: Vec<&String> =
        checked.iter().filter(|checked| !checked.is_importable).map(|checked| &checked.name).collect();
    assert!(not_importable.len() <= NOT_IMPORTABLE_MAX, "{not_importable:?}");
    let agreeing = checked.len() - not_importable.len();
    assert!(
        agreeing >= AGREEING_MIN,
        "only {agreeing} cases were compared; not importable: {not_importable:?}"
    );
}

#[derive(Clone)]
struct Checked {
    name: String,
    is_importable: bool,
    differences: Vec<String>,
}

/// `None` for a case that has errors or nothing to compare.
fn check(case: &Path) -> Option<Checked> {
    let name = case.file_name().unwrap().to_string_lossy().into_owned();
    let project = case.join("project");
    let mut tree = SourceTree::new(&*name);
    read_tree(&project, "", &mut tree);
    let scanned = scan(&tree);
    if scanned.diagnostics.iter().any(Diagnostic::is_error) || scanned.manifest.function_registry.is_empty() {
        return None;
    }
    let recorded = record(&project, &scanned);
    let place = |diagnostic: &Diagnostic| diagnostic.span.as_ref().map(|span| (span.file.clone(), span.line));
    // What the scan itself warns of: a function that is in the text, but that no import brings.
    let unreachable: Vec<_> = scanned
        .diagnostics
        .iter()
        .filter(|diagnostic| diagnostic.code == Code::UnreachableFunction)
        .map(place)
        .collect();
    let is_difference = |found: &&Diagnostic| {
        !found.message.contains("cannot be imported") && !unreachable.contains(&place(found))
    };
    let resources: BTreeSet<&ResourceName> = scanned.manifest.resources.keys().collect();
    let differences = compare(&scanned.manifest, &resources, &recorded)
        .iter()
        .filter(is_difference)
        .map(|found| format!("{name}: {:?}: {}", place(found), found.message))
        .collect();
    Some(Checked { name, is_importable: recorded.failures.is_empty(), differences })
}

fn record(project: &Path, scanned: &Scan) -> Recorded {
    let functions = scanned.manifest.resources.values().flat_map(|resource| &resource.functions);
    let modules: BTreeSet<(&str, &str)> =
        functions.map(|function| (function.file.as_str(), function.module.as_str())).collect();
    let modules: Vec<_> =
        modules.into_iter().map(|(file, module)| json!({"file": file, "module": module})).collect();
    let mut probe = Command::new("python3")
        .args(["-m", "tetra_rp._probe"])
        .current_dir(project)
        .env("PYTHONPATH", concat!(env!("CARGO_MANIFEST_DIR"), "/../../python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        // Variables that cases ask for without a default.
        .envs([("HF_TOKEN", "x"), ("SECRET", "x")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let question = json!({"root": project, "modules": modules}).to_string();
    probe.stdin.take().unwrap().write_all(question.as_bytes()).unwrap();
    let answer = probe.wait_with_output().unwrap();
    assert!(answer.status.success(), "{}: {}", project.display(), answer.status);
    serde_json::from_slice(&answer.stdout).unwrap()
}

fn read_tree(directory: &Path, prefix: &str, tree: &mut SourceTree) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() {
            read_tree(&path, &format!("{prefix}{name}/"), tree);
        } else {
            tree.insert(format!("{prefix}{name}"), fs::read(&path).unwrap());
        }
    }
}
