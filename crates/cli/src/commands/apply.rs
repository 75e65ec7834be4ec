//! `flash apply FILE [PATH]`: exactly what a plan file says, or nothing.

use std::path::Path;

use flash_model::{Code, Manifest, Resource};
use flash_plan::{PLAN_FILE_BYTES_MAX, PlanFile, field_changes};
use fs_err as fs;

use super::boot::Boot;
use super::steering::{Change, carry_out};
use crate::args::ApplyArgs;
use crate::error::Failure;
use crate::printer::Printer;
use crate::project::CodeFrom;

pub(crate) fn apply(args: &ApplyArgs, printer: Printer) -> Result<(), Failure> {
    super::log("error", printer);
    let boot = Boot::new(&args.path, &args.state, args.python.clone(), printer)?;
    let file = read(&args.file)?;
    let scope = boot.project.scope();
    if file.scope != scope {
        let why = format!("it is a plan for {}, and the project here is {scope}", file.scope);
        return Err(unusable(&args.file, why));
    }
    let scan = boot.project.scan(&boot.project.select()?, CodeFrom::Folder, printer)?;
    if file.manifest.resources.is_empty() {
        return Err(Failure::coded(Code::NoFunctions, "the plan wants no resource at all"));
    }
    let moved = moved(&file.manifest, &scan.manifest);
    if !moved.is_empty() {
        return Err(Failure::coded(
            Code::StateConflict,
            format!("the project's files have changed since the plan was made: {}", moved.join("; ")),
        )
        .hint("plan again: `flash plan -o FILE`"));
    }
    carry_out(&boot, &scan, &Change { file, rollback: None, purpose: "flash apply" }, args.json)
}

fn read(path: &Path) -> Result<PlanFile, Failure> {
    let failed = |error: &dyn std::error::Error| {
        Failure::because(format!("{} cannot be applied", path.display()), error)
            .code(Code::InvalidPlanFile)
            .hint("have it written by `flash plan -o FILE`")
    };
    let length = fs::metadata(path).map_err(|error| failed(&error))?.len();
    if length > PLAN_FILE_BYTES_MAX as u64 {
        return Err(unusable(
            path,
            format!("it is {length} bytes long, and a plan file {PLAN_FILE_BYTES_MAX} at most"),
        ));
    }
    let text = fs::read_to_string(path).map_err(|error| failed(&error))?;
    PlanFile::from_json(&text).map_err(|error| failed(&error))
}

fn unusable(path: &Path, why: String) -> Failure {
    Failure::coded(Code::InvalidPlanFile, format!("{} cannot be applied: {why}", path.display()))
        .hint("have it written by `flash plan -o FILE`")
}

/// What the files say now that they did not say when the plan was made.
fn moved(planned: &Manifest, now: &Manifest) -> Vec<String> {
    let names = planned.resources.keys().chain(now.resources.keys());
    let names: std::collections::BTreeSet<_> = names.collect();
    names
        .into_iter()
        .filter_map(|name| match (planned.resources.get(name), now.resources.get(name)) {
            (Some(_), None) => Some(format!("{name} is gone")),
            (None, Some(_)) => Some(format!("{name} is new")),
            (Some(planned), Some(now)) if planned != now => {
                Some(format!("{name}: {}", difference(planned, now)))
            }
            _ => None,
        })
        .collect()
}

fn difference(planned: &Resource, now: &Resource) -> String {
    let mut parts: Vec<String> = field_changes(&planned.spec, &now.spec)
        .into_iter()
        .map(|change| format!("{} {} → {}", change.field, change.old, change.new))
        .collect();
    if planned.code_digest != now.code_digest {
        parts.push("code".to_owned());
    }
    if parts.is_empty() {
        parts.push("functions".to_owned());
    }
    parts.join(", ")
}
