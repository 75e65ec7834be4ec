//! Makes an environment and installs packages into it: with `uv` when it is there, else with `venv` and `pip`.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use flash_artifact::RequirementSet;
use flash_artifact::requirements::redacted;

use super::command::{self, Cancel};
use super::environment::{Error, Progress};
use super::interpreter::{Interpreter, on_search_path};

/// The first pip that installs into another environment (`--python`).
const PIP_VERSION_MIN: (u32, u32) = (22, 3);

pub(super) struct Installer<'a> {
    pub(super) interpreter: &'a Interpreter,
    pub(super) search_path: &'a OsStr,
    pub(super) environment: &'a Path,
    /// Held exclusively; see [`command::run`].
    pub(super) lock: &'a File,
    pub(super) cancel: &'a Cancel,
    pub(super) progress: &'a dyn Fn(Progress),
}

enum Tool {
    Uv(PathBuf),
    /// The interpreter's own pip, for which the environment needs none.
    InterpretersPip,
    EnvironmentsPip,
}

impl Installer<'_> {
    pub(super) fn install(&self, set: &RequirementSet) -> Result<(), Error> {
        (self.progress)(Progress::Creating);
        let tool = self.choose();
        self.run(self.create(&tool))?;

        // pip checks either all hashes of a run or none, so those that have one go first, on their own.
        let (hashed, plain): (Vec<&str>, Vec<&str>) =
            set.requirements.iter().map(String::as_str).partition(|line| line.contains(" --hash"));
        for lines in [hashed, plain] {
            if !lines.is_empty() {
                (self.progress)(Progress::Installing { count: lines.len() });
                self.install_lines(&tool, set, &lines)?;
            }
        }
        Ok(())
    }

    fn choose(&self) -> Tool {
        match on_search_path(OsStr::new("uv"), self.search_path) {
            Some(uv) => Tool::Uv(uv),
            None if self.pip_version().is_some_and(|version| version >= PIP_VERSION_MIN) => {
                Tool::InterpretersPip
            }
            None => Tool::EnvironmentsPip,
        }
    }

    fn pip_version(&self) -> Option<(u32, u32)> {
        pip_version(self.interpreter, self.lock, self.cancel)
    }

    fn create(&self, tool: &Tool) -> Command {
        let python = &self.interpreter.path;
        let mut command = match tool {
            Tool::Uv(uv) => {
                let mut command = Command::new(uv);
                command.args(["venv", "--quiet", "--no-project", "--python"]).arg(python);
                command
            }
            Tool::InterpretersPip => {
                let mut command = Command::new(python);
                command.args(["-I", "-m", "venv", "--without-pip"]);
                command
            }
            Tool::EnvironmentsPip => {
                let mut command = Command::new(python);
                command.args(["-I", "-m", "venv"]);
                command
            }
        };
        command.arg(self.environment);
        command
    }

    fn install_lines(&self, tool: &Tool, set: &RequirementSet, lines: &[&str]) -> Result<(), Error> {
        let constraints = PrivateFile::write(
            &self.environment.with_extension("constraints.txt"),
            &set.constraints.join("\n"),
        )?;
        let mut text = String::new();
        for line in set.options.iter().map(String::as_str).chain(lines.iter().copied()) {
            let _ = writeln!(text, "{line}");
        }
        let requirements = PrivateFile::write(&self.environment.with_extension("requirements.txt"), &text)?;

        let python = python_of(self.environment);
        let mut command = match tool {
            Tool::Uv(uv) => {
                let mut command = Command::new(uv);
                command.args(["pip", "install", "--python"]).arg(python);
                command
            }
            Tool::InterpretersPip => {
                let mut command = Command::new(&self.interpreter.path);
                command.args(["-m", "pip", "--python"]).arg(python).arg("install");
                quiet_pip(&mut command);
                command
            }
            Tool::EnvironmentsPip => {
                let mut command = Command::new(python);
                command.args(["-m", "pip", "install"]);
                quiet_pip(&mut command);
                command
            }
        };
        command.arg("-r").arg(&requirements.path);
        if !set.constraints.is_empty() {
            command.arg("-c").arg(&constraints.path);
        }
        self.run(command)
    }

    fn run(&self, command: Command) -> Result<(), Error> {
        let folder = self.environment.parent().unwrap_or(self.environment);
        run(command, folder, self.lock, self.cancel, self.progress)
    }
}

/// Runs an installer to its end, in `folder`: not where the user stands, as `python -m pip` would import that folder's
/// modules. `lock` is held exclusively; see [`command::run`].
pub(super) fn run(
    mut command: Command,
    folder: &Path,
    lock: &File,
    cancel: &Cancel,
    progress: &dyn Fn(Progress),
) -> Result<(), Error> {
    // They would put packages elsewhere, or take those of another place for installed. Index and proxy settings stay.
    for variable in ["PIP_PREFIX", "PIP_TARGET", "PIP_USER", "PYTHONHOME", "PYTHONPATH"] {
        command.env_remove(variable);
    }
    command.current_dir(folder);
    let shown = shown(&command);
    tracing::debug!(command = %shown, "running");
    let finished = command::run(command, lock, cancel, &|line| progress(Progress::Line(redacted(&line))))
        .map_err(|source| Error::CannotRun { command: shown.clone(), source })?;
    if finished.success() {
        return Ok(());
    }
    let status = match finished.status {
        Some(status) => status.to_string(),
        None => format!("no end after {} s", command::RUN_SECONDS_MAX),
    };
    Err(Error::InstallFailed { command: shown, status, output: redacted(&finished.output) })
}

pub(super) fn pip_version(interpreter: &Interpreter, lock: &File, cancel: &Cancel) -> Option<(u32, u32)> {
    let mut command = Command::new(&interpreter.path);
    command.args(["-I", "-c", "import pip; print(pip.__version__)"]);
    let finished = command::run(command, lock, cancel, &|_| {}).ok()?;
    let mut numbers = finished.output.lines().last()?.split('.').map(|number| number.parse().ok());
    finished.success().then_some((numbers.next()??, numbers.next()??))
}

pub(super) fn quiet_pip(command: &mut Command) {
    command.args([
        "--disable-pip-version-check",
        "--no-input",
        "--no-warn-script-location",
        "--progress-bar=off",
    ]);
}

pub(super) fn python_of(environment: &Path) -> PathBuf {
    environment.join("bin/python")
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Readable by this user only, and gone when dropped: index URLs may hold credentials.
pub(super) struct PrivateFile {
    pub(super) path: PathBuf,
}

impl PrivateFile {
    pub(super) fn write(path: &Path, text: &str) -> Result<Self, Error> {
        use fs_err::os::unix::fs::OpenOptionsExt as _;
        let mut options = fs_err::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
        let private = Self { path: path.to_owned() };
        file.write_all(text.as_bytes())?;
        Ok(private)
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        let _ = fs_err::remove_file(&self.path);
    }
}
