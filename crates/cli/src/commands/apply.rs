//! `flash apply FILE [PATH]`: exactly what a plan file says, or nothing.

use std::io::ErrorKind;
use std::path::Path;

use flash_model::{Code, Manifest, Resource};
use flash_plan::{PLAN_FILE_BYTES_MAX, PlanFile, field_changes};
use fs_err as fs;

use super::boot::Boot;
use super::of_project;
use super::steering::{Change, carry_out};
use crate::args::ApplyArgs;
use crate::error::Failure;
use crate::printer::Printer;
use crate::project::CodeFrom;

pub(crate) fn apply(args: &ApplyArgs, printer: Printer) -> Result<(), Failure> {
    crate::log::to_stderr("error", printer);
    let file = read(args)?;
    let boot = Boot::new(&args.path, &args.state, args.python.clone(), printer)?;
    let scope = boot.project.scope();
    if file.scope != scope {
        let why = format!("it is a plan for {}, and the project here is {scope}", file.scope);
        let plan = planning(&args.path, "FILE");
        let hint = format!("name the folder of the project that it is for, or plan this one with {plan}");
        return Err(unusable(&args.file, why).hint(hint));
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

fn read(args: &ApplyArgs) -> Result<PlanFile, Failure> {
    let path = &args.file;
    let hint = || format!("write one with {}", planning(&args.path, "FILE"));
    let failed = |error: &dyn std::error::Error| {
        Failure::because(format!("{} cannot be applied", path.display()), error)
            .code(Code::InvalidPlanFile)
            .hint(hint())
    };
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => missing(args),
        _ => failed(&error),
    })?;
    if metadata.is_dir() {
        return Err(a_folder(args));
    }
    let length = metadata.len();
    if length > PLAN_FILE_BYTES_MAX as u64 {
        let why = format!("it is {length} bytes long, and a plan file {PLAN_FILE_BYTES_MAX} at most");
        return Err(unusable(path, why).hint(hint()));
    }
    let text = fs::read_to_string(path).map_err(|error| failed(&error))?;
    PlanFile::from_json(&text).map_err(|error| failed(&error))
}

fn missing(args: &ApplyArgs) -> Failure {
    let path = &args.file;
    let in_project = args.path.join(path);
    let hint = if in_project.is_file() {
        format!("there is one in the project's folder: {}", in_project.display())
    } else {
        format!("write it with {}", planning(&args.path, &path.display().to_string()))
    };
    Failure::coded(Code::InvalidPlanFile, format!("there is no plan file {}", path.display())).hint(hint)
}

/// The project's, most likely.
fn a_folder(args: &ApplyArgs) -> Failure {
    let (folder, other) = (&args.file, &args.path);
    let hint = if other.is_file() {
        format!("the plan file comes first: `flash apply {}{}`", other.display(), of_project(folder))
    } else {
        let plan = planning(folder, "FILE");
        format!("write a plan file with {plan} and apply that: `flash apply FILE{}`", of_project(folder))
    };
    unusable(folder, "it is a folder, and no plan file".to_owned()).hint(hint)
}

fn unusable(path: &Path, why: String) -> Failure {
    Failure::coded(Code::InvalidPlanFile, format!("{} cannot be applied: {why}", path.display()))
}

/// The command that writes what this one applies.
fn planning(project: &Path, file: &str) -> String {
    format!("`flash plan{} -o {file}`", of_project(project))
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
