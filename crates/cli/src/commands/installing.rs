//! Installing Python packages, side by side, with somebody watching; and how that fails.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use flash_artifact::RequirementSet;
use flash_artifact::requirements::{self, InvalidLine, redacted};
use flash_model::Code;
use flash_providers::local::python::{Progress, environment, interpreter};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::error::Failure;
use crate::printer::Printer;

/// Installers are busy with the network and the disk more than with a core.
const AT_ONCE_MAX: usize = 4;
const SPINNER_TICK: Duration = Duration::from_millis(100);
const LINE_SHOWN_CHARS_MAX: usize = 80;

type Install<'a> = Box<dyn FnOnce(&dyn Fn(Progress)) -> Result<(), environment::Error> + Send + 'a>;

/// One requirement set that is to be installed.
pub(super) struct Job<'a> {
    /// Its requirements, as shown.
    packages: String,
    install: Install<'a>,
}

impl<'a> Job<'a> {
    pub(super) fn new(
        set: &RequirementSet,
        install: impl FnOnce(&dyn Fn(Progress)) -> Result<(), environment::Error> + Send + 'a,
    ) -> Self {
        Self { packages: redacted(&set.requirements.join(", ")), install: Box::new(install) }
    }
}

/// Does all jobs, a few at a time, and returns what went wrong. `what` is what each of them makes.
pub(super) fn side_by_side(what: &str, jobs: Vec<Job<'_>>, printer: Printer) -> Vec<environment::Error> {
    let bars = MultiProgress::new();
    let workers = jobs.len().min(AT_ONCE_MAX);
    let queue = Mutex::new(jobs.into_iter());
    let errors = Mutex::new(Vec::new());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while let Some(Job { packages, install }) = next() {
                    let bar = printer.is_terminal().then(|| bars.add(spinner()));
                    let show = |progress: Progress| report(what, &progress, &packages, bar.as_ref(), printer);
                    if let Err(error) = install(&show) {
                        errors.lock().unwrap_or_else(PoisonError::into_inner).push(error);
                    }
                }
            });
        }
    });
    errors.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn spinner() -> ProgressBar {
    let style =
        ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    let bar = ProgressBar::new_spinner().with_style(style);
    bar.enable_steady_tick(SPINNER_TICK);
    bar
}

fn report(what: &str, progress: &Progress, packages: &str, bar: Option<&ProgressBar>, printer: Printer) {
    let message = match progress {
        Progress::Waiting => format!("{what}: another process is making it …"),
        Progress::Creating => format!("{what} for {packages} …"),
        Progress::Installing { count } => format!("installing {count} packages: {packages} …"),
        Progress::Line(line) => match bar {
            Some(_) => line.chars().take(LINE_SHOWN_CHARS_MAX).collect(),
            None => return,
        },
        Progress::Ready { seconds } => {
            if let Some(bar) = bar {
                bar.finish_and_clear();
            }
            return printer.notice(format_args!("{what} ready in {seconds:.1} s: {packages}"));
        }
    };
    match bar {
        Some(bar) => bar.set_message(message),
        None => printer.notice(message),
    }
}

pub(super) fn no_interpreter(error: interpreter::Error) -> Failure {
    let code = match &error {
        interpreter::Error::TooOld { .. } => Code::PythonTooOld,
        _ => Code::PythonNotFound,
    };
    Failure::coded(code, error.to_string())
        .hint("install Python 3.10 or newer, or name one with --python (or FLASH_PYTHON)")
}

pub(super) fn unreadable_requirements(error: requirements::Error) -> Failure {
    match error {
        requirements::Error::Invalid { invalid } => invalid_requirements(&invalid),
        error => Failure::because("the project's requirements cannot be read", &error),
    }
}

pub(super) fn invalid_requirements(invalid: &[InvalidLine]) -> Failure {
    let lines: Vec<String> = invalid.iter().map(ToString::to_string).collect();
    Failure::coded(Code::InvalidRequirement, lines.join("\n"))
        .hint("write requirements as pip reads them: name, version specifiers, marker; `flash explain FL120`")
}

pub(super) fn environment_failure(error: environment::Error) -> Failure {
    match error {
        environment::Error::InstallFailed { command, status, output } => {
            Failure::coded(Code::InstallFailed, format!("{command} failed ({status})")).output(output).hint(
                "check requirements.txt and dependencies=[…] for the package named above, and the network",
            )
        }
        error => Failure::because("the Python environment cannot be made", &error).code(Code::InstallFailed),
    }
}
