//! What an artifact is built for: the Python and the platform of the machine that will run it.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use pep508_rs::pep440_rs::{Version, VersionSpecifiers};
use pep508_rs::{MarkerEnvironment, MarkerEnvironmentBuilder};

use crate::requirements::requires_python;

/// What worker images have, the preferred one first.
const SUPPORTED: [PythonVersion; 4] = [
    PythonVersion { minor: 12 },
    PythonVersion { minor: 13 },
    PythonVersion { minor: 11 },
    PythonVersion { minor: 10 },
];

const VERSION_FILE: &str = ".python-version";

/// `requires-python` may name patch releases, of which the target has some, so both ends count.
const PATCH_NEWEST: u64 = 99;

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("Python {text:?} is not supported as a target; use 3.10, 3.11, 3.12 or 3.13")]
    Version { text: String },
    #[error(
        "{VERSION_FILE} names Python {text:?}, which is not supported as a target; use 3.10, 3.11, 3.12 or 3.13"
    )]
    VersionFile { text: String },
    #[error(
        "requires-python = {text:?} in pyproject.toml admits no supported target; use 3.10, 3.11, 3.12 or 3.13"
    )]
    RequiresPython { text: String },
    #[error("{text:?} is not a supported platform; use linux/amd64 or linux/arm64")]
    Platform { text: String },
}

/// 3.10 to 3.13.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PythonVersion {
    minor: u32,
}

impl PythonVersion {
    /// Major and minor.
    pub fn parts(self) -> (u32, u32) {
        (3, self.minor)
    }

    /// What a project is built for unless the user says otherwise: `.python-version`, else the best supported version
    /// that `requires-python` admits, else 3.12. Files that cannot be understood are passed over; whoever reads them
    /// for their own sake says so.
    pub fn of_project(root: &Path) -> Result<Self, Error> {
        if let Some(text) = version_file(root) {
            return Self::from_str(&text).map_err(|_| Error::VersionFile { text });
        }
        let Some(text) = requires_python(root) else { return Ok(SUPPORTED[0]) };
        let Ok(specifiers) = VersionSpecifiers::from_str(&text) else { return Ok(SUPPORTED[0]) };
        let admitted = SUPPORTED.into_iter().find(|version| version.is_admitted(&specifiers));
        admitted.ok_or(Error::RequiresPython { text })
    }

    fn is_admitted(self, specifiers: &VersionSpecifiers) -> bool {
        [0, PATCH_NEWEST]
            .into_iter()
            .any(|patch| specifiers.contains(&Version::new([3, u64::from(self.minor), patch])))
    }
}

/// The first line that is a CPython's version. `3.12.4`, `3.12` and `cpython-3.12` are; `system` and `myenv` are not.
fn version_file(root: &Path) -> Option<String> {
    let text = fs_err::read_to_string(root.join(VERSION_FILE)).ok()?;
    let names = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let versions = names.map(|name| name.trim_start_matches("cpython-").trim_start_matches("python-"));
    versions
        .into_iter()
        .find(|version| version.starts_with("3.") || version.starts_with("2."))
        .map(str::to_owned)
}

impl fmt::Display for PythonVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "3.{}", self.minor)
    }
}

impl FromStr for PythonVersion {
    type Err = Error;

    /// `3.12`; a patch release says no more.
    fn from_str(text: &str) -> Result<Self, Error> {
        let unsupported = || Error::Version { text: text.to_owned() };
        let mut numbers = text.trim().split('.').map(|part| part.parse::<u32>().ok());
        let (Some(Some(3)), Some(Some(minor))) = (numbers.next(), numbers.next()) else {
            return Err(unsupported());
        };
        let version = Self { minor };
        if SUPPORTED.contains(&version) { Ok(version) } else { Err(unsupported()) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Platform {
    #[default]
    LinuxX86_64,
    LinuxArm64,
}

impl Platform {
    /// As `uname -m` says it.
    pub fn machine(self) -> &'static str {
        match self {
            Self::LinuxX86_64 => "x86_64",
            Self::LinuxArm64 => "aarch64",
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::LinuxX86_64 => "linux/amd64",
            Self::LinuxArm64 => "linux/arm64",
        })
    }
}

impl FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "linux/amd64" | "linux/x86_64" => Ok(Self::LinuxX86_64),
            "linux/arm64" | "linux/aarch64" => Ok(Self::LinuxArm64),
            _ => Err(Error::Platform { text: text.to_owned() }),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    pub python: PythonVersion,
    pub platform: Platform,
}

impl Target {
    /// In which conditions of requirements are judged. `None` cannot happen for versions that exist.
    pub(crate) fn markers(self) -> Option<MarkerEnvironment> {
        let version = self.python.to_string();
        let full_version = format!("{version}.{PATCH_NEWEST}");
        MarkerEnvironment::try_from(MarkerEnvironmentBuilder {
            implementation_name: "cpython",
            implementation_version: &full_version,
            os_name: "posix",
            platform_machine: self.platform.machine(),
            platform_python_implementation: "CPython",
            platform_release: "",
            platform_system: "Linux",
            platform_version: "",
            python_full_version: &full_version,
            python_version: &version,
            sys_platform: "linux",
        })
        .ok()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "python {} {}", self.python, self.platform)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_project(files: &[(&str, &str)]) -> Result<String, Error> {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            std::fs::write(folder.path().join(path), text).unwrap();
        }
        PythonVersion::of_project(folder.path()).map(|version| version.to_string())
    }

    #[test]
    fn the_target_follows_from_the_project() {
        let check = |files: &[(&str, &str)], expected: &str| {
            assert_eq!(of_project(files).unwrap(), expected, "{files:?}");
        };
        let requires = |text: &str| format!("[project]\nname = 'x'\nrequires-python = '{text}'\n");
        check(&[], "3.12");
        check(&[(".python-version", "3.11.9\n")], "3.11");
        check(&[(".python-version", "# mine\nmyenv\ncpython-3.13\n")], "3.13");
        check(&[(".python-version", "myenv\n")], "3.12");
        check(&[("pyproject.toml", &requires(">=3.10"))], "3.12");
        check(&[("pyproject.toml", &requires(">=3.12.4"))], "3.12");
        check(&[("pyproject.toml", &requires(">=3.10,<3.12"))], "3.11");
        check(&[("pyproject.toml", &requires(">3.12.99"))], "3.13");
        check(&[("pyproject.toml", &requires("nonsense"))], "3.12");
        check(&[("pyproject.toml", "[tool.x]\n"), (".python-version", "3.10")], "3.10");
    }

    #[test]
    fn what_no_image_has_is_refused() {
        assert_eq!(of_project(&[(".python-version", "3.9")]), Err(Error::VersionFile { text: "3.9".into() }));
        assert_eq!(
            of_project(&[("pyproject.toml", "[project]\nrequires-python = '>=3.14'")]),
            Err(Error::RequiresPython { text: ">=3.14".into() })
        );
        for text in ["3.9", "3.14", "2.7", "3", "", "3.x", "latest"] {
            assert!(text.parse::<PythonVersion>().is_err(), "{text}");
        }
        assert_eq!("3.12.1".parse::<PythonVersion>().unwrap().parts(), (3, 12));
    }
}
