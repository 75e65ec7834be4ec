//! `--probe`: imports the project in processes of their own, which only record what is decorated, and compares.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use flash_artifact::{ProjectRequirements, RequirementSet, plan};
use flash_model::{Code, Diagnostic, Manifest, ResourceName};
use flash_providers::local::python::{Cancel, Environments, interpreter, question};
use serde_json::json;

use super::Build;
use super::comparison::{Recorded, compare};
use crate::commands::installing::{self, Job};
use crate::error::Failure;

const PROBE_MODULE: &str = "tetra_rp._probe";
const IMPORT_TIMEOUT: Duration = Duration::from_secs(60);

/// Each resource's modules are imported where its workers would import them: in the environment that `flash run` makes.
pub(super) fn probe(
    build: &Build,
    manifest: &Manifest,
    requirements: &ProjectRequirements,
) -> Result<Vec<Diagnostic>, Failure> {
    let root = &build.project.root;
    let search_path = crate::environment::search_path();
    let interpreter = interpreter::find(None, root, &search_path).map_err(installing::no_interpreter)?;
    let sdk = flash_artifact::sdk::materialize(&build.run_dir.sdk_dir())
        .map_err(|error| Failure::because("the Python SDK cannot be unpacked", &error))?;
    let parent = crate::environment::path(crate::environment::ENVS_DIR);
    let environments = Environments::new(
        parent.unwrap_or_else(|| build.run_dir.environments_dir()),
        interpreter,
        &search_path,
    )
    .cancelled_by(build.cancel.clone());

    let mut groups: BTreeMap<RequirementSet, BTreeSet<&ResourceName>> = BTreeMap::new();
    for (name, resource) in manifest.resources.iter().filter(|(_, resource)| !resource.functions.is_empty()) {
        groups.entry(plan(resource, requirements)).or_default().insert(name);
    }
    let missing = groups.keys().filter(|set| !environments.is_ready(set));
    let environments = &environments;
    let jobs = missing.map(|set| Job::new(set, move |progress| environments.ensure(set, progress).map(drop)));
    let errors = installing::side_by_side("python environment", jobs.collect(), build.printer);
    if let Some(error) = errors.into_iter().next() {
        return Err(installing::environment_failure(error));
    }

    let mut found = Vec::new();
    for (set, resources) in &groups {
        let mut command = Command::new(environments.python_for(set));
        command.args(["-m", PROBE_MODULE]).current_dir(root).env("PYTHONPATH", &sdk);
        // The project's folder is not ours to write byte code to.
        command.env("PYTHONDONTWRITEBYTECODE", "1").env_remove("PYTHONHOME");
        let question = question_for(build, manifest, resources);
        let recorded = ask(command, question, IMPORT_TIMEOUT, &build.cancel)?;
        found.extend(compare(manifest, resources, &recorded));
    }
    Diagnostic::sort(&mut found);
    found.dedup();
    Ok(found)
}

/// The modules that hold decorated functions; what else they need they import themselves.
fn question_for(build: &Build, manifest: &Manifest, resources: &BTreeSet<&ResourceName>) -> Vec<u8> {
    let resources = resources.iter().filter_map(|name| manifest.resources.get(*name));
    let modules: BTreeSet<(&str, &str)> = resources
        .flat_map(|resource| &resource.functions)
        .map(|function| (function.file.as_str(), function.module.as_str()))
        .collect();
    let modules: Vec<_> =
        modules.into_iter().map(|(file, module)| json!({"file": file, "module": module})).collect();
    json!({"root": build.project.root, "modules": modules}).to_string().into_bytes()
}

fn ask(command: Command, input: Vec<u8>, limit: Duration, cancel: &Cancel) -> Result<Recorded, Failure> {
    let failed = |message: String| Failure::coded(Code::ProbeDisagrees, message);
    let answer = question::ask(command, input, limit, cancel).map_err(|error| {
        Failure::because("the project cannot be imported", &error).code(Code::ProbeDisagrees)
    })?;
    let complaint = answer.stderr.trim_end();
    match answer.status {
        None => Err(failed(format!("importing the project took more than {} s", limit.as_secs()))
            .output(complaint)
            .hint("modules should only define things; move work into functions, or build without --probe")),
        Some(status) if !status.success() => Err(failed(format!(
            "the process that imports the project ended early ({status})"
        ))
        .output(complaint)
        .hint("a module ends the process or crashes it when imported; repair it, or build without --probe")),
        Some(_) => serde_json::from_slice(&answer.stdout).map_err(|error| {
            Failure::because("the process that imports the project gave no answer", &error)
                .code(Code::ProbeDisagrees)
                .output(complaint)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(script: &str, limit: Duration) -> Result<Recorded, String> {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        ask(command, b"{}".to_vec(), limit, &Cancel::default()).map_err(|failure| format!("{failure:?}"))
    }

    #[test]
    fn an_answer_is_understood_and_what_the_project_prints_is_no_part_of_it() {
        let document =
            r#"{"registrations": [], "failures": [{"file": "a.py", "module": "a", "error": "x"}], "new": 1}"#;
        let recorded =
            answer(&format!("cat >/dev/null; echo loading >&2; echo '{document}'"), IMPORT_TIMEOUT).unwrap();
        assert_eq!((recorded.registrations.len(), recorded.failures.len()), (0, 1));
    }

    #[test]
    fn a_process_that_gives_none_is_a_failure_in_its_own_words() {
        for (script, expected) in [
            ("echo broken >&2; exit 3", "ended early"),
            ("echo broken >&2; kill -9 $$", "ended early"),
            ("echo broken >&2; echo not json", "gave no answer"),
        ] {
            let failure = answer(script, IMPORT_TIMEOUT).unwrap_err();
            assert!(failure.contains(expected) && failure.contains("broken"), "{script}: {failure}");
        }
        let failure = answer("sleep 1000", Duration::from_millis(50)).unwrap_err();
        assert!(failure.contains("importing the project took more than"), "{failure}");
    }
}
