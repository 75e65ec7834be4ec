//! `flash plan [PATH] [--json] [-o FILE] [--exit-code]`.

use std::path::Path;
use std::process::ExitCode;

use flash_plan::PlanFile;
use fs_err as fs;

use super::block_on;
use super::planning::Observed;
use crate::args::PlanArgs;
use crate::error::Failure;
use crate::printer::Printer;
use crate::project::{CodeFrom, Project};
use crate::run_dir::RunDir;
use crate::state_store::StatePlace;
use crate::view;

/// What `--exit-code` says where there is something to do; 1 and 2 are failures.
const EXIT_CHANGES: u8 = 3;

pub(crate) fn plan(args: &PlanArgs, printer: Printer) -> Result<ExitCode, Failure> {
    crate::log::to_stderr("warn", printer);
    let project = Project::locate(&args.path)?;
    let scan = project.scan(&project.select()?, CodeFrom::Folder, printer)?;
    let (run_dir, scope) = (RunDir::of(&project.root), project.scope());
    let place = StatePlace::of(&args.state, &run_dir)?;
    let observed = block_on(Observed::of(&place, &run_dir, &scope))?;
    let file = observed.plan(scope, args.drift, scan.manifest);
    let json = file.to_json();
    let json = json.map_err(|error| Failure::because("the plan cannot be written as JSON", &error))?;
    if args.json {
        printer.data(json.trim_end());
    } else {
        printer.data(view::plan::text(&file));
    }
    if let Some(path) = &args.output {
        write(path, &json)?;
        let of_project = super::of_project(&args.path);
        printer.notice(format_args!(
            "written to {0}; `flash apply {0}{of_project}` does exactly this",
            path.display()
        ));
    }
    Ok(if args.exit_code && has_changes(&file) { ExitCode::from(EXIT_CHANGES) } else { ExitCode::SUCCESS })
}

/// What is not known well enough to act counts: "nothing to do" would be a promise.
fn has_changes(file: &PlanFile) -> bool {
    !file.plan.is_no_op() || !file.plan.deferred.is_empty()
}

/// Whole or not at all.
fn write(path: &Path, json: &str) -> Result<(), Failure> {
    let failed = |error: &dyn std::error::Error| {
        Failure::because(format!("the plan cannot be written to {}", path.display()), error)
    };
    let mut name = path.file_name().map(ToOwned::to_owned).unwrap_or_default();
    name.push(".new");
    let temporary = path.with_file_name(name);
    fs::write(&temporary, json).and_then(|()| fs::rename(&temporary, path)).map_err(|error| {
        let _ = fs::remove_file(&temporary);
        failed(&error)
    })
}
