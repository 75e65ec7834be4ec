//! What the source text says against what running it registered. A pure function of two documents.

use std::collections::BTreeSet;

use flash_model::{Code, Diagnostic, EndpointKind, Function, Manifest, Resource, ResourceName, Span};
use serde::Deserialize;
use serde_json::{Map, Value};

/// What the probe prints.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Recorded {
    #[serde(default)]
    pub(super) registrations: Vec<Registration>,
    #[serde(default)]
    pub(super) failures: Vec<ImportFailure>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Registration {
    function: String,
    file: String,
    #[serde(default)]
    is_class: bool,
    #[serde(default)]
    is_async: bool,
    resource: RegisteredResource,
    method: Option<String>,
    path: Option<String>,
    #[serde(default)]
    dependencies: Option<Vec<String>>,
    #[serde(default)]
    system_dependencies: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct RegisteredResource {
    name: String,
    kind: String,
    #[serde(default)]
    spec: Map<String, Value>,
}

/// A module that could not be imported.
#[derive(Debug, Deserialize)]
pub(super) struct ImportFailure {
    file: String,
    /// Type and message of the exception: the last line of its traceback.
    error: String,
}

/// Compares the functions of `resources`; the project's others may be registered too and do not count. Sorted by place.
pub(super) fn compare(
    manifest: &Manifest,
    resources: &BTreeSet<&ResourceName>,
    recorded: &Recorded,
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for failure in &recorded.failures {
        // A traceback's last lines may be a message of several.
        let reason = failure.error.trim().lines().next().unwrap_or("no reason given");
        let message = format!("{} cannot be imported: {reason}", failure.file);
        found.push(
            Diagnostic::warning(Code::ProbeDisagrees, message)
                .at(line(&failure.file, 1))
                .hint("its functions were not compared; workers import it the same way"),
        );
    }
    for name in resources {
        let Some(resource) = manifest.resources.get(*name) else { continue };
        for function in &resource.functions {
            of_function(name, resource, function, recorded, &mut found);
        }
    }
    let unread = recorded
        .registrations
        .iter()
        .filter(|registration| !manifest.function_registry.contains_key(registration.function.as_str()));
    found.extend(unread.map(|registration| {
        let message = format!(
            "running the module registers `{}` on resource `{}`, which the text does not show",
            registration.function, registration.resource.name
        );
        Diagnostic::error(Code::ProbeDisagrees, message)
            .at(line(&registration.file, 1))
            .hint("decorate functions at module level, each by its own decorator")
    }));
    Diagnostic::sort(&mut found);
    found.dedup();
    found
}

fn of_function(
    name: &ResourceName,
    resource: &Resource,
    function: &Function,
    recorded: &Recorded,
    found: &mut Vec<Diagnostic>,
) {
    let place = line(&function.file, function.line);
    let error = |message: String| Diagnostic::error(Code::ProbeDisagrees, message).at(place.clone());
    let same_name = |registration: &&Registration| registration.function == function.name.as_str();
    let mut registered = recorded.registrations.iter().filter(same_name);
    // Two functions of one name are an error of their own; here the one of this file counts.
    let Some(registration) = registered
        .clone()
        .find(|registration| registration.file == function.file)
        .or_else(|| registered.next())
    else {
        if !recorded.failures.iter().any(|failure| failure.file == function.file) {
            found.push(
                error(format!(
                    "the text decorates `{}`, but running the module registers no such function",
                    function.name
                ))
                .hint("decorate at module level, under no condition"),
            );
        }
        return;
    };
    let mut differs = |is_error: bool, what: &str, text: String, running: String| {
        if text != running {
            let message = format!("`{}`: {what} is {text} in the text and {running} when run", function.name);
            let diagnostic = if is_error {
                Diagnostic::error(Code::ProbeDisagrees, message)
            } else {
                Diagnostic::warning(Code::ProbeDisagrees, message)
            };
            found.push(diagnostic.at(place.clone()));
        }
    };
    let other = &registration.resource;
    differs(true, "the resource", format!("`{name}`"), format!("`{}`", other.name));
    differs(true, "the resource's kind", kind(resource.spec.kind).to_owned(), other.kind.replace('_', "-"));
    let method = function.http_method.map(|method| method.to_string());
    differs(true, "the method", shown(method.as_ref()), shown(registration.method.as_ref()));
    differs(true, "the path", shown(function.http_path.as_ref()), shown(registration.path.as_ref()));
    let form = |is_class, is_async| match (is_class, is_async) {
        (true, _) => "a class",
        (false, true) => "an async function",
        (false, false) => "a function",
    };
    let running = form(registration.is_class, registration.is_async).to_owned();
    differs(false, "it", form(function.is_class, function.is_async).to_owned(), running);
    if let Some(dependencies) = &registration.dependencies {
        differs(false, "dependencies", listed(&function.dependencies), listed(dependencies));
    }
    if let Some(dependencies) = &registration.system_dependencies {
        differs(false, "system_dependencies", listed(&function.system_dependencies), listed(dependencies));
    }
    if other.name == name.as_str() {
        let text = flat(resource);
        for (field, running) in &other.spec {
            // What one side does not know cannot differ.
            if let Some(text) = text.get(field) {
                differs(false, field, canonical(text), canonical(running));
            }
        }
    }
}

/// The resource's specification with the hardware's and the scaler's fields beside the others, as the probe says it.
fn flat(resource: &Resource) -> Map<String, Value> {
    let Ok(Value::Object(mut spec)) = serde_json::to_value(&resource.spec) else { return Map::new() };
    if let Some(Value::Object(hardware)) = spec.remove("hardware") {
        spec.extend(hardware.into_iter().filter(|(field, _)| field != "type"));
    }
    if let Some(Value::Object(scaler)) = spec.remove("scaler") {
        spec.extend(scaler.into_iter().map(|(field, value)| match field.as_str() {
            "type" => ("scalerType".to_owned(), value),
            _ => ("scalerValue".to_owned(), value),
        }));
    }
    // Empty lists are left out of documents, but are known.
    for field in ["env", "volumes", "locations"] {
        spec.entry(field).or_insert_with(|| Value::Array(Vec::new()));
    }
    spec
}

/// One text for equal values: numbers by value, objects by their name or id, lists of texts in order.
fn canonical(value: &Value) -> String {
    match value {
        Value::Number(number) => {
            number.as_f64().map_or_else(|| number.to_string(), |number| number.to_string())
        }
        Value::Array(items) => {
            let mut items: Vec<String> = items.iter().map(canonical).collect();
            items.sort();
            format!("[{}]", items.join(", "))
        }
        Value::Object(object) => {
            let name = object.get("name").or_else(|| object.get("id"));
            name.map_or_else(|| value.to_string(), canonical)
        }
        Value::String(text) => text.clone(),
        _ => value.to_string(),
    }
}

fn kind(kind: EndpointKind) -> &'static str {
    kind.label()
}

fn shown(text: Option<&String>) -> String {
    text.map_or_else(|| "none".to_owned(), |text| format!("`{text}`"))
}

fn listed(texts: &[String]) -> String {
    let texts: BTreeSet<&str> = texts.iter().map(String::as_str).collect();
    format!("[{}]", texts.into_iter().collect::<Vec<_>>().join(", "))
}

fn line(file: &str, line: u32) -> Span {
    Span { file: file.to_owned(), line, column: 1, end_line: line, end_column: u32::MAX }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PROJECT: &str = "
from tetra_rp import CpuLiveServerless, LiveLoadBalancer, remote

jobs = CpuLiveServerless(name=\"jobs\", workersMax=3, env={\"KEY\": \"x\"})
api = LiveLoadBalancer(name=\"api\")

@remote(jobs, dependencies=[\"numpy\"])
def work(x: int) -> int:
    return x

@remote(api, method=\"POST\", path=\"/go\")
async def go(x: int) -> int:
    return x
";

    fn manifest() -> Manifest {
        let mut tree = flash_scan::SourceTree::new("p");
        tree.insert("main.py", PROJECT.as_bytes().to_vec());
        let scan = flash_scan::scan(&tree);
        assert!(!scan.diagnostics.iter().any(Diagnostic::is_error), "{:?}", scan.diagnostics);
        scan.manifest
    }

    fn agreeing() -> Value {
        json!({"registrations": [
            {"function": "work", "module": "main", "file": "main.py", "is_class": false, "is_async": false,
             "resource": {"name": "jobs", "class": "CpuLiveServerless", "kind": "queue",
                          "spec": {"workersMax": 3.0, "workersMin": 0, "scalerType": "QUEUE_DELAY", "scalerValue": 4, "env": ["KEY"], "volumes": [], "later": 1}},
             "method": null, "path": null, "dependencies": ["numpy"], "system_dependencies": []},
            {"function": "go", "module": "main", "file": "main.py", "is_class": false, "is_async": true,
             "resource": {"name": "api", "class": "LiveLoadBalancer", "kind": "load_balanced", "spec": {}},
             "method": "POST", "path": "/go", "dependencies": [], "system_dependencies": []},
        ], "failures": []})
    }

    fn check(change: impl FnOnce(&mut Value), expected: &[&str]) {
        let mut document = agreeing();
        change(&mut document);
        let manifest = manifest();
        let all = manifest.resources.keys().collect();
        let found = compare(&manifest, &all, &serde_json::from_value(document).unwrap());
        let shown = found.iter().map(|diagnostic| {
            let span = diagnostic.span.as_ref().unwrap();
            let severity = if diagnostic.is_error() { "error" } else { "warning" };
            format!("{severity} {}:{} {}", span.file, span.line, diagnostic.message)
        });
        assert_eq!(shown.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_agrees_says_nothing() {
        check(|_| {}, &[]);
    }

    #[test]
    fn functions_that_only_one_side_knows() {
        check(
            |document| document["registrations"][0]["function"] = "made".into(),
            &[
                "error main.py:1 running the module registers `made` on resource `jobs`, which the text does not show",
                "error main.py:8 the text decorates `work`, but running the module registers no such function",
            ],
        );
    }

    #[test]
    fn resource_kind_and_route() {
        check(
            |document| {
                document["registrations"][0]["resource"]["name"] = "other".into();
                let go = &mut document["registrations"][1];
                go["resource"]["kind"] = "queue".into();
                go["method"] = "GET".into();
                go["path"] = Value::Null;
            },
            &[
                "error main.py:8 `work`: the resource is `jobs` in the text and `other` when run",
                "error main.py:12 `go`: the method is `POST` in the text and `GET` when run",
                "error main.py:12 `go`: the path is `/go` in the text and none when run",
                "error main.py:12 `go`: the resource's kind is load-balanced in the text and queue when run",
            ],
        );
    }

    #[test]
    fn values_are_warnings_because_this_machine_may_differ() {
        check(
            |document| {
                let work = &mut document["registrations"][0];
                work["resource"]["spec"]["workersMax"] = 5.into();
                work["resource"]["spec"]["env"] = json!(["KEY", "MORE"]);
                work["dependencies"] = json!(["numpy", "torch"]);
                work["is_async"] = true.into();
            },
            &[
                "warning main.py:8 `work`: dependencies is [numpy] in the text and [numpy, torch] when run",
                "warning main.py:8 `work`: env is [KEY] in the text and [KEY, MORE] when run",
                "warning main.py:8 `work`: it is a function in the text and an async function when run",
                "warning main.py:8 `work`: workersMax is 3 in the text and 5 when run",
            ],
        );
    }

    #[test]
    fn a_module_that_cannot_be_imported_is_told_once() {
        check(
            |document| {
                *document = json!({"failures": [
                    {"file": "main.py", "module": "main", "error": "ModuleNotFoundError: No module named 'torch'\nmore",
                     "traceback": "Traceback\nModuleNotFoundError: No module named 'torch'\n"},
                ]});
            },
            &["warning main.py:1 main.py cannot be imported: ModuleNotFoundError: No module named 'torch'"],
        );
    }

    #[test]
    fn functions_of_other_resources_do_not_count() {
        let manifest = manifest();
        let jobs = ResourceName::new("jobs").unwrap();
        let mut document = agreeing();
        document["registrations"].as_array_mut().unwrap().truncate(1);
        let recorded: Recorded = serde_json::from_value(document).unwrap();
        assert_eq!(compare(&manifest, &BTreeSet::from([&jobs]), &recorded), []);
    }
}
