//! Python, the SDK and the worker environments: everything that must be there before an endpoint can be.

use std::collections::BTreeMap;
use std::time::Duration;

use flash_artifact::requirements::{self, InvalidLine};
use flash_artifact::{ProjectRequirements, RequirementSet};
use flash_model::Code;
use flash_providers::LocalProvider;
use flash_providers::local::LocalSettings;
use flash_providers::local::python::{Cancel, Environments, Progress, environment, interpreter};
use flash_scan::Scan;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::blocking;
use crate::args::RunArgs;
use crate::error::Failure;
use crate::printer::Printer;
use crate::project::Project;
use crate::run_dir::RunDir;

const SPINNER_TICK: Duration = Duration::from_millis(100);
const LINE_SHOWN_CHARS_MAX: usize = 80;

pub(super) async fn provider(
    args: &RunArgs,
    project: &Project,
    run_dir: &RunDir,
    printer: Printer,
    scan: &Scan,
    cancel: Cancel,
) -> Result<LocalProvider, Failure> {
    let (python, project, run_dir) = (args.python.clone(), project.clone(), run_dir.clone());
    let envs_dir = crate::environment::path(crate::environment::ENVS_DIR);
    let resources: Vec<_> = scan.manifest.resources.values().cloned().collect();
    blocking(move || {
        let search_path = crate::environment::search_path();
        let interpreter =
            interpreter::find(python.as_deref(), &project.root, &search_path).map_err(no_interpreter)?;
        let requirements = ProjectRequirements::read(&project.root).map_err(unreadable_requirements)?;
        let invalid: Vec<InvalidLine> =
            resources.iter().flat_map(requirements::invalid_dependencies).collect();
        if !invalid.is_empty() {
            return Err(invalid_requirements(&invalid));
        }
        let sdk_path = flash_artifact::sdk::materialize(&run_dir.sdk_dir())
            .map_err(|error| Failure::because("the Python SDK cannot be unpacked", &error))?;
        let flash = std::env::current_exe()
            .map_err(|error| Failure::because("this program cannot find itself", &error))?;
        let provider = LocalProvider::new(LocalSettings {
            flash,
            endpoints_dir: run_dir.endpoints_dir(),
            import_root: project.root.clone(),
            sdk_path,
            environments: Environments::new(
                envs_dir.unwrap_or_else(|| run_dir.environments_dir()),
                interpreter,
                &search_path,
            )
            .cancelled_by(cancel),
            requirements,
        });
        let sets: BTreeMap<String, RequirementSet> = resources
            .iter()
            .map(|resource| provider.requirement_set(resource))
            .map(|set| (set.digest(), set))
            .collect();
        install(provider.environments(), &sets.into_values().collect::<Vec<_>>(), printer)?;
        Ok(provider)
    })
    .await
}

/// Independent environments side by side. What is there already costs nothing and says nothing.
fn install(environments: &Environments, sets: &[RequirementSet], printer: Printer) -> Result<(), Failure> {
    let missing: Vec<&RequirementSet> = sets.iter().filter(|set| !environments.is_ready(set)).collect();
    let bars = MultiProgress::new();
    std::thread::scope(|scope| {
        let installations: Vec<_> = missing
            .into_iter()
            .map(|set| {
                let bar = printer.is_terminal().then(|| bars.add(spinner()));
                scope.spawn(move || {
                    let show = |progress: Progress| report(&progress, set, bar.as_ref(), printer);
                    environments.ensure(set, &show).map(drop)
                })
            })
            .collect();
        let results: Vec<_> = installations.into_iter().map(|installation| installation.join()).collect();
        results.into_iter().try_for_each(|result| match result {
            Ok(result) => result.map_err(not_installed),
            Err(_) => Err(Failure::new("the installation ended unexpectedly")),
        })
    })
}

fn spinner() -> ProgressBar {
    let style =
        ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::new_spinner().with_style(style);
    bar.enable_steady_tick(SPINNER_TICK);
    bar
}

fn report(progress: &Progress, set: &RequirementSet, bar: Option<&ProgressBar>, printer: Printer) {
    let packages = set.requirements.join(", ");
    let message = match progress {
        Progress::Waiting => "python environment: another process is making it …".to_owned(),
        Progress::Creating => format!("python environment for {packages} …"),
        Progress::Installing { count } => format!("installing {count} packages: {packages} …"),
        Progress::Line(line) => match bar {
            Some(_) => line.chars().take(LINE_SHOWN_CHARS_MAX).collect(),
            None => return,
        },
        Progress::Ready { seconds } => {
            if let Some(bar) = bar {
                bar.finish_and_clear();
            }
            return printer.notice(format_args!("python environment ready in {seconds:.1} s: {packages}"));
        }
    };
    match bar {
        Some(bar) => bar.set_message(message),
        None => printer.notice(message),
    }
}

fn no_interpreter(error: interpreter::Error) -> Failure {
    let code = match &error {
        interpreter::Error::TooOld { .. } => Code::PythonTooOld,
        _ => Code::PythonNotFound,
    };
    Failure::coded(code, error.to_string())
        .hint("install Python 3.10 or newer, or name one with --python (or FLASH_PYTHON)")
}

fn unreadable_requirements(error: requirements::Error) -> Failure {
    match error {
        requirements::Error::Invalid { invalid } => invalid_requirements(&invalid),
        error => Failure::because("the project's requirements cannot be read", &error),
    }
}

fn invalid_requirements(invalid: &[InvalidLine]) -> Failure {
    let lines: Vec<String> = invalid.iter().map(ToString::to_string).collect();
    Failure::coded(Code::InvalidRequirement, lines.join("\n"))
        .hint("write requirements as pip reads them: name, version specifiers, marker; `flash explain FL120`")
}

fn not_installed(error: environment::Error) -> Failure {
    match error {
        environment::Error::InstallFailed { command, status, output } => {
            Failure::coded(Code::InstallFailed, format!("{command} failed ({status})")).output(output).hint(
                "check requirements.txt and dependencies=[…] for the package named above, and the network",
            )
        }
        error => Failure::because("the Python environment cannot be made", &error).code(Code::InstallFailed),
    }
}
