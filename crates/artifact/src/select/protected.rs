//! What never travels unless somebody asks for it by `--include`, also where no ignore file names it.

use std::path::Path;

/// Why something is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protection {
    /// It holds, or usually holds, what only its owner may know.
    Secret,
    /// Caches, byte code, virtual environments, repositories: of no use where the code runs.
    Clutter,
}

/// Our own folder. Not even `--include` reaches it: it holds tokens, jobs and the artifact itself.
pub(super) const OWN_FOLDER: &str = ".flash";

/// Directories that are not entered, at any depth. Virtual environments are also recognised by their `pyvenv.cfg`.
const SECRET_DIRECTORIES: [&str; 6] = [".aws", ".azure", ".gnupg", ".kube", ".runpod", ".ssh"];
const CLUTTER_DIRECTORIES: [&str; 14] = [
    OWN_FOLDER,
    ".git",
    ".hg",
    ".mypy_cache",
    ".nox",
    ".pytest_cache",
    ".ruff_cache",
    ".svn",
    ".tetra",
    ".tox",
    ".venv",
    "__pycache__",
    "node_modules",
    "site-packages",
];

/// By their whole name.
const SECRET_FILES: [&str; 7] =
    [".git-credentials", ".htpasswd", ".netrc", ".npmrc", ".pgpass", ".pypirc", "_netrc"];
/// `.git` is a file in a worktree or submodule.
const CLUTTER_FILES: [&str; 3] = [".DS_Store", ".git", "pyvenv.cfg"];

/// Private keys and key stores.
const SECRET_EXTENSIONS: [&str; 9] = ["jks", "kdbx", "key", "keystore", "p12", "p8", "pem", "pfx", "ppk"];
const CLUTTER_EXTENSIONS: [&str; 2] = ["pyc", "pyo"];

/// For people, not for programs; now and then somebody writes real values in one.
const ENVIRONMENT_TEMPLATES: [&str; 4] = [".env.dist", ".env.example", ".env.sample", ".env.template"];

const PRIVATE_KEY_NAMES: [&str; 4] = ["id_dsa", "id_ecdsa", "id_ed25519", "id_rsa"];

/// Of one file or directory, by its own name; its parents' names are not looked at.
pub(super) fn protection(path: &Path, is_directory: bool) -> Option<Protection> {
    let name = path.file_name()?.to_str()?;
    if is_directory {
        return directory_protection(path, name);
    }
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    let has_extension = |listed: &[&str]| listed.iter().any(|one| one.eq_ignore_ascii_case(extension));
    if ENVIRONMENT_TEMPLATES.contains(&name) {
        return Some(Protection::Clutter);
    }
    if is_environment_name(name)
        || SECRET_FILES.contains(&name)
        || has_extension(&SECRET_EXTENSIONS)
        || is_private_key_name(name)
    {
        Some(Protection::Secret)
    } else if CLUTTER_FILES.contains(&name) || has_extension(&CLUTTER_EXTENSIONS) {
        Some(Protection::Clutter)
    } else {
        None
    }
}

fn directory_protection(path: &Path, name: &str) -> Option<Protection> {
    let is_virtual_environment = || path.join("pyvenv.cfg").exists();
    if CLUTTER_DIRECTORIES.contains(&name) || is_virtual_environment() {
        Some(Protection::Clutter)
    } else if SECRET_DIRECTORIES.contains(&name) || is_environment_name(name) {
        Some(Protection::Secret)
    } else {
        None
    }
}

/// `.env`, `.env.local`, `.env-prod`, `.envrc`: files of values, or an environment named so.
fn is_environment_name(name: &str) -> bool {
    name.strip_prefix(".env")
        .is_some_and(|rest| rest.is_empty() || rest == "rc" || rest.starts_with(['.', '-', '_']))
}

fn is_private_key_name(name: &str) -> bool {
    PRIVATE_KEY_NAMES.iter().any(|key| {
        name.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-', '_']))
    }) && !name.ends_with(".py")
}
