//! Virtual environments under `target/`, made from a requirements file and kept until it changes.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command::{capture, run};

const PYTHON_VERSION_MIN: (u32, u32) = (3, 10);
const STAMP: &str = "flash-stamp.txt";

/// The interpreter of an environment in `folder` that holds what `requirements` lists. Instant when nothing changed.
pub(crate) fn ensure(folder: &Path, requirements: &Path) -> Result<PathBuf> {
    let interpreter = folder.join("bin/python");
    let (system, version) = find_python()?;
    let wanted = stamp(&version, requirements)?;
    let stamp_file = folder.join(STAMP);
    if interpreter.exists() && fs::read_to_string(&stamp_file).is_ok_and(|found| found == wanted) {
        return Ok(interpreter);
    }
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    run(Command::new(&system).args(["-m", "venv"]).arg(folder)).context(
        "cannot make a virtual environment\nhint: Debian and Ubuntu have venv in a package of its own: apt-get install python3-venv",
    )?;
    run(Command::new(&interpreter)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(requirements))?;
    // Written last: an interrupted installation has no stamp and is made anew.
    fs::write(&stamp_file, wanted)?;
    Ok(interpreter)
}

/// What the environment depends on, as text: a comparison of the whole is stricter than one of digests.
fn stamp(version: &str, requirements: &Path) -> Result<String> {
    let mut text = format!("# python {version}\n");
    append_requirements(requirements, &mut text)?;
    Ok(text)
}

/// The file's lines, with the files that it includes by `-r` in their place.
fn append_requirements(file: &Path, text: &mut String) -> Result<()> {
    let content = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    for line in content.lines() {
        match line.strip_prefix("-r ").or_else(|| line.strip_prefix("--requirement ")) {
            Some(included) => append_requirements(&file.with_file_name(included.trim()), text)?,
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    Ok(())
}

/// A Python that is new enough, and its full version. `PYTHON` names another than `python3`.
fn find_python() -> Result<(String, String)> {
    let program = env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let code = "import sys; print('%d.%d.%d' % sys.version_info[:3])";
    let version = capture(Command::new(&program).args(["-c", code])).with_context(|| {
        format!(
            "Python is needed for the SDK's tests, but {program} does not run; set PYTHON to one that does"
        )
    })?;
    let (major_min, minor_min) = PYTHON_VERSION_MIN;
    if parse_version(&version).is_none_or(|found| found < PYTHON_VERSION_MIN) {
        bail!("{program} is Python {version}; {major_min}.{minor_min} or newer is needed, set PYTHON to one");
    }
    Ok((program, version))
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(parse_version("3.9.18").unwrap() < PYTHON_VERSION_MIN);
        assert!(parse_version("3.10.0").unwrap() >= PYTHON_VERSION_MIN);
        assert!(parse_version("4.0.1").unwrap() >= PYTHON_VERSION_MIN);
        assert_eq!(parse_version("three"), None);
    }

    #[test]
    fn the_stamp_follows_included_files() {
        let folder = env::temp_dir().join(format!("flash-xtask-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("all.txt"), "-r base.txt\npytest\n").unwrap();
        fs::write(folder.join("base.txt"), "cloudpickle\n").unwrap();
        let text = stamp("3.12.1", &folder.join("all.txt")).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(text, "# python 3.12.1\ncloudpickle\npytest\n");
    }
}
