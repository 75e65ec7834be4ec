//! Packages for another machine: one folder per requirement set and target, of wheels only, installed once and kept.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use flash_artifact::{Platform, RequirementSet, Target};

use super::command::Cancel;
use super::environment::{Error, Progress, locked};
use super::install::{self, PrivateFile, python_of, quiet_pip};
use super::interpreter::{Interpreter, find, on_search_path};

/// The glibc of the oldest image that runs artifacts, and the oldest that wheels are made for.
const GLIBC_MINOR_MAX: u32 = 28;
const GLIBC_MINOR_MIN: u32 = 5;

const SHEBANG_BYTES_MAX: u64 = 512;

#[derive(Debug, Clone)]
pub struct Packages {
    root: PathBuf,
    project_root: PathBuf,
    search_path: OsString,
    cancel: Cancel,
}

enum Tool {
    Uv(PathBuf),
    Pip(PathBuf),
}

impl Packages {
    /// `root` is where the folders lie (`.flash/packages`), absolute. `uv` and Pythons are looked for on `search_path`
    /// and in the project.
    pub fn new(root: PathBuf, project_root: PathBuf, search_path: &OsStr) -> Self {
        Self { root, project_root, search_path: search_path.to_owned(), cancel: Cancel::default() }
    }

    /// Installations end when `cancel` says so.
    #[must_use]
    pub fn cancelled_by(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self
    }

    /// Of what [`RequirementSet::packages_key`] names, whether it is there or not.
    pub fn folder(&self, key: &str) -> PathBuf {
        self.root.join(key)
    }

    /// The folder appears complete or not at all, so one that is there is ready.
    pub fn is_ready(&self, key: &str) -> bool {
        self.folder(key).is_dir()
    }

    /// Installs `set` for `target` unless that was done, and returns the folder. Of several processes that want the same
    /// one, one installs and the others wait for it.
    pub fn ensure(
        &self,
        key: &str,
        set: &RequirementSet,
        target: Target,
        progress: &dyn Fn(Progress),
    ) -> Result<PathBuf, Error> {
        let folder = self.folder(key);
        if self.is_ready(key) {
            return Ok(folder);
        }
        let start = std::time::Instant::now();
        fs_err::create_dir_all(&self.root)?;
        let lock = locked(&folder.with_extension("lock"), progress)?;
        if !self.is_ready(key) {
            progress(Progress::Creating);
            let installation =
                Installation { packages: self, folder: &folder, target, lock: &lock, progress };
            installation.run(set)?;
        }
        progress(Progress::Ready { seconds: start.elapsed().as_secs_f64() });
        Ok(folder)
    }
}

/// One folder's, while its lock is held.
struct Installation<'a> {
    packages: &'a Packages,
    folder: &'a Path,
    target: Target,
    lock: &'a File,
    progress: &'a dyn Fn(Progress),
}

impl Installation<'_> {
    fn run(&self, set: &RequirementSet) -> Result<(), Error> {
        // What an interrupted build left.
        let unfinished = self.folder.with_extension("new");
        remove(&unfinished)?;
        fs_err::create_dir(&unfinished)?;
        let result = self.install(set, &unfinished);
        if result.is_ok() {
            fs_err::rename(&unfinished, self.folder)?;
        } else {
            remove(&unfinished)?;
        }
        remove(&self.pip_folder())?;
        result
    }

    fn install(&self, set: &RequirementSet, destination: &Path) -> Result<(), Error> {
        let interpreter = self.interpreter()?;
        let tool = self.choose(&interpreter)?;
        // pip checks either all hashes of a run or none, so those that have one go first, on their own.
        let (hashed, plain): (Vec<&str>, Vec<&str>) =
            set.requirements.iter().map(String::as_str).partition(|line| line.contains(" --hash"));
        for lines in [hashed, plain] {
            if !lines.is_empty() {
                (self.progress)(Progress::Installing { count: lines.len() });
                self.install_lines(&tool, &interpreter, set, &lines, destination)?;
            }
        }
        // uv leaves one.
        let _ = fs_err::remove_file(destination.join(".lock"));
        remove_scripts(&destination.join("bin"));
        Ok(())
    }

    /// The target's own version if there is one: pip judges conditions of packages' requirements by the Python that it
    /// runs in.
    fn interpreter(&self) -> Result<Interpreter, Error> {
        let Packages { project_root, search_path, .. } = self.packages;
        let same = format!("python{}", self.target.python);
        find(Some(Path::new(&same)), project_root, search_path)
            .or_else(|_| find(None, project_root, search_path))
            .map_err(Error::NoInterpreter)
    }

    fn choose(&self, interpreter: &Interpreter) -> Result<Tool, Error> {
        if let Some(uv) = on_search_path(OsStr::new("uv"), &self.packages.search_path) {
            return Ok(Tool::Uv(uv));
        }
        if install::pip_version(interpreter, self.lock, &self.packages.cancel).is_some() {
            return Ok(Tool::Pip(interpreter.path.clone()));
        }
        let environment = self.pip_folder();
        remove(&environment)?;
        let mut command = Command::new(&interpreter.path);
        command.args(["-I", "-m", "venv"]).arg(&environment);
        self.run_command(command)?;
        Ok(Tool::Pip(python_of(&environment)))
    }

    /// For an interpreter without pip.
    fn pip_folder(&self) -> PathBuf {
        self.folder.with_extension("pip")
    }

    fn install_lines(
        &self,
        tool: &Tool,
        interpreter: &Interpreter,
        set: &RequirementSet,
        lines: &[&str],
        destination: &Path,
    ) -> Result<(), Error> {
        let constraints =
            PrivateFile::write(&self.folder.with_extension("constraints.txt"), &set.constraints.join("\n"))?;
        let mut text = String::new();
        for line in set.options.iter().map(String::as_str).chain(lines.iter().copied()) {
            let _ = writeln!(text, "{line}");
        }
        let requirements = PrivateFile::write(&self.folder.with_extension("requirements.txt"), &text)?;

        let mut command = match tool {
            Tool::Uv(uv) => self.uv(uv, interpreter),
            Tool::Pip(python) => self.pip(python),
        };
        command.arg("--target").arg(destination).arg("-r").arg(&requirements.path);
        if !set.constraints.is_empty() {
            command.arg("-c").arg(&constraints.path);
        }
        self.run_command(command)
    }

    fn uv(&self, uv: &Path, interpreter: &Interpreter) -> Command {
        let platform = match self.target.platform {
            Platform::LinuxX86_64 => "x86_64-unknown-linux-gnu",
            Platform::LinuxArm64 => "aarch64-unknown-linux-gnu",
        };
        let mut command = Command::new(uv);
        command
            .args(["pip", "install", "--only-binary", ":all:", "--python-platform", platform])
            .args(["--python-version", &self.target.python.to_string(), "--python"])
            .arg(&interpreter.path);
        command
    }

    fn pip(&self, python: &Path) -> Command {
        let (major, minor) = self.target.python.parts();
        let machine = self.target.platform.machine();
        let mut command = Command::new(python);
        command.args(["-m", "pip", "install"]);
        quiet_pip(&mut command);
        command.args(["--only-binary=:all:", "--implementation", "cp", "--no-compile"]).args([
            "--abi",
            &format!("cp{major}{minor}"),
            "--python-version",
            &format!("{major}.{minor}"),
        ]);
        // pip takes a name for what it says: an older glibc must be named too. The best first.
        for glibc in (GLIBC_MINOR_MIN..=GLIBC_MINOR_MAX).rev() {
            command.args(["--platform", &format!("manylinux_2_{glibc}_{machine}")]);
        }
        for name in ["manylinux2014", "manylinux2010", "manylinux1", "linux"] {
            command.args(["--platform", &format!("{name}_{machine}")]);
        }
        command
    }

    fn run_command(&self, command: Command) -> Result<(), Error> {
        install::run(command, &self.packages.root, self.lock, &self.packages.cancel, self.progress)
    }
}

/// Starters of commands name this machine's Python: of no use on another, and a reason for other bytes. Programs and
/// scripts for a shell stay.
fn remove_scripts(folder: &Path) {
    for entry in fs_err::read_dir(folder).into_iter().flatten().flatten() {
        let mut start = Vec::new();
        let read = fs_err::File::open(entry.path())
            .and_then(|file| file.take(SHEBANG_BYTES_MAX).read_to_end(&mut start));
        let first_line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let names_python = first_line.starts_with(b"#!/")
            && !first_line.starts_with(b"#!/usr/bin/env")
            && String::from_utf8_lossy(first_line).contains("python");
        if read.is_ok() && names_python {
            let _ = fs_err::remove_file(entry.path());
        }
    }
}

fn remove(folder: &Path) -> std::io::Result<()> {
    match fs_err::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
