//! Every folder of `tests/projects/` holds a Python project (`project/`) and what scanning it gives: `manifest.json`,
//! `diagnostics.txt`, `environment.txt`. A missing file means "nothing to expect": no diagnostics, no environment, and no
//! look at the manifest. Files below `left_out/` are on disk, but no part of the scanned tree. `UPDATE_EXPECT=1 cargo test -p flash-scan` rewrites them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use flash_model::{Diagnostic, Manifest, ResourceName, Severity, Span, openapi};
use flash_scan::{Scan, SourceTree, scan, unfound_diagnostics};
use serde_json::Value;

const CASES_MIN: usize = 85;

#[test]
fn every_project_scans_as_expected() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/projects");
    let mut cases: Vec<PathBuf> = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|case| case.join("project").is_dir());
    cases.sort();
    assert!(cases.len() >= CASES_MIN, "only {} cases below {}", cases.len(), root.display());
    let failures: Vec<String> = cases.iter().flat_map(|case| check(case)).collect();
    assert!(failures.is_empty(), "{}\n(UPDATE_EXPECT=1 rewrites)", failures.join("\n"));
}

#[test]
fn every_example_scans_without_a_word() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
    let mut examples = 0;
    for entry in fs::read_dir(&root).unwrap() {
        let example = entry.unwrap().path();
        if !example.is_dir() {
            continue;
        }
        let mut tree = SourceTree::new("example");
        read_tree(&example, "", &mut tree);
        let scanned = scan(&tree);
        assert_eq!(render_all(&scanned.diagnostics), "", "{}", example.display());
        assert!(!scanned.manifest.function_registry.is_empty(), "{}", example.display());
        examples += 1;
    }
    assert!(examples > 0);
}

fn check(case: &Path) -> Vec<String> {
    let mut tree = SourceTree::new(case.file_name().unwrap().to_string_lossy());
    read_tree(&case.join("project"), "", &mut tree);
    let scanned = scan(&tree);
    let manifest = scanned.manifest.to_json().unwrap();
    assert_eq!(Manifest::from_json(&manifest).unwrap(), scanned.manifest, "{}", case.display());
    let left_out = case.join("left_out");
    let mut diagnostics = scanned.diagnostics.clone();
    diagnostics.extend(unfound_diagnostics(&scanned.unfound, |path| left_out.join(path).is_file()));
    let errors = diagnostics.iter().any(Diagnostic::is_error);
    [
        // What a broken project's manifest says is not promised.
        compare(&case.join("manifest.json"), if errors { String::new() } else { manifest }),
        compare(&case.join("diagnostics.txt"), render_all(&diagnostics)),
        compare(&case.join("environment.txt"), render_environment(&scanned)),
        compare(&case.join("openapi.json"), if errors { String::new() } else { documents(case, &scanned) }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// OpenAPI documents of all load-balanced resources, for the cases about schemas. Those of others only have to be sound.
fn documents(case: &Path, scanned: &Scan) -> String {
    let project = &scanned.manifest.project_name;
    let served = scanned.manifest.resources.iter().filter(|(_, resource)| resource.is_load_balanced);
    let mut documents: BTreeMap<&ResourceName, Value> =
        served.map(|(name, resource)| (name, openapi::document(project, name, resource))).collect();
    for (name, document) in &mut documents {
        assert_sound(document, &format!("{} {name}", case.display()));
        // Follows the specification and the code, which are another matter.
        document["info"]["version"] = Value::from("-");
    }
    let is_about_schemas = case.file_name().unwrap().to_string_lossy().starts_with("schema_");
    if is_about_schemas { format!("{:#}\n", serde_json::to_value(documents).unwrap()) } else { String::new() }
}

/// Every reference leads somewhere, and every parameter of a path is declared.
pub(crate) fn assert_sound(document: &Value, which: &str) {
    fn references<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str));
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    references(document, &mut found);
    for reference in found {
        assert!(document.pointer(&reference[1..]).is_some(), "{which}: {reference}");
    }
    for (path, operations) in document["paths"].as_object().unwrap() {
        let named: BTreeSet<&str> =
            path.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)).collect();
        for operation in operations.as_object().unwrap().values() {
            let parameters = operation.get("parameters").and_then(Value::as_array).into_iter().flatten();
            let declared: BTreeSet<&str> = parameters
                .filter(|parameter| parameter["in"] == "path")
                .filter_map(|parameter| parameter["name"].as_str())
                .collect();
            assert_eq!(declared, named, "{which}: {path}");
        }
    }
}

fn compare(file: &Path, found: String) -> Option<String> {
    let expected = fs::read_to_string(file).unwrap_or_default();
    if expected == found {
        return None;
    }
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        match found.is_empty() {
            true => fs::remove_file(file).unwrap(),
            false => fs::write(file, found).unwrap(),
        }
        return None;
    }
    Some(format!("--- {} differs; found:\n{found}", file.display()))
}

fn read_tree(directory: &Path, prefix: &str, tree: &mut SourceTree) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        // Made by running an example: environments, caches.
        if matches!(name, ".flash" | ".venv" | "__pycache__") {
            continue;
        }
        if path.is_dir() {
            read_tree(&path, &format!("{prefix}{name}/"), tree);
        } else {
            tree.insert(format!("{prefix}{name}"), fs::read(&path).unwrap());
        }
    }
}

fn render_all(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(render).collect()
}

fn render(diagnostic: &Diagnostic) -> String {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let place = diagnostic.span.as_ref().map_or("-".to_owned(), position);
    let mut text = format!("{severity}[{}] {place}: {}\n", diagnostic.code, diagnostic.message);
    for related in &diagnostic.related {
        writeln!(text, "  related: {}: {}", position(&related.span), related.message).unwrap();
    }
    if let Some(hint) = &diagnostic.hint {
        writeln!(text, "  hint: {hint}").unwrap();
    }
    text
}

fn position(span: &Span) -> String {
    format!("{}:{}:{}-{}:{}", span.file, span.line, span.column, span.end_line, span.end_column)
}

fn render_environment(scanned: &Scan) -> String {
    let mut text = String::new();
    for (resource, variables) in &scanned.environment {
        for (name, value) in variables {
            writeln!(text, "{resource}: {name} = {value}").unwrap();
        }
    }
    for (resource, variables) in &scanned.inherited {
        for (name, variable) in variables {
            writeln!(text, "{resource}: {name} from {variable}").unwrap();
        }
    }
    text
}
