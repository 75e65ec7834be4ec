//! Which packages each resource needs on the target, and having them installed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use flash_artifact::layout::{PACKAGES_FOLDER, excluded_in};
use flash_artifact::requirements::{self, InvalidLine, conflicts, plan_for};
use flash_artifact::{ProjectRequirements, PythonVersion, RequirementSet, Target};
use flash_model::{Code, Diagnostic, Manifest, Resource, ResourceName, sha256_hex};
use flash_providers::local::python::{Packages, environment};

use super::Build;
use crate::commands::installing::{self, Job};
use crate::error::Failure;

/// Installed folders by their place in the artifact (`packages/<key>`).
#[derive(Debug, Default)]
pub(super) struct Packed {
    folders: BTreeMap<String, PathBuf>,
}

impl Packed {
    pub(super) fn folders(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.folders.iter().map(|(place, folder)| (place.as_str(), folder.as_path()))
    }
}

/// What lies in an artifact is named by what was installed and what of that was left out.
fn place(key: &str, left_out: &BTreeSet<String>) -> String {
    if left_out.is_empty() {
        return format!("{PACKAGES_FOLDER}/{key}");
    }
    let names: Vec<&str> = left_out.iter().map(String::as_str).collect();
    let digest = sha256_hex(format!("{key} without {}", names.join(",")).as_bytes());
    format!("{PACKAGES_FOLDER}/{}", &digest[..key.len()])
}

impl Build {
    /// What the project requires, and every problem with it.
    pub(super) fn requirements(
        &self,
        manifest: &Manifest,
        default_python: PythonVersion,
    ) -> Result<(ProjectRequirements, Vec<Diagnostic>), Failure> {
        let (project, mut invalid) = ProjectRequirements::read_leniently(&self.project.root)
            .map_err(installing::unreadable_requirements)?;
        invalid.extend(manifest.resources.values().flat_map(requirements::invalid_dependencies));
        let mut diagnostics: Vec<Diagnostic> = invalid.iter().map(InvalidLine::diagnostic).collect();

        let mut by_target: BTreeMap<Target, Vec<(&ResourceName, &Resource)>> = BTreeMap::new();
        for (name, resource) in &manifest.resources {
            by_target.entry(self.target(resource, default_python)).or_default().push((name, resource));
        }
        if !self.args.no_deps {
            let found = by_target
                .into_iter()
                .flat_map(|(target, resources)| conflicts(resources, &project, &self.excluded, target));
            diagnostics.extend(found);
        }
        Ok((project, diagnostics))
    }
}

/// Independent sets side by side; what was installed before costs nothing. Writes into the manifest where each
/// resource's packages lie.
pub(super) fn install(
    build: &Build,
    manifest: &mut Manifest,
    project: &ProjectRequirements,
    default_python: PythonVersion,
) -> Result<Packed, Failure> {
    let root = &build.project.root;
    let parent = crate::environment::path(crate::environment::PACKAGES_DIR);
    let parent = parent.unwrap_or_else(|| build.run_dir.packages_dir());
    let parent = std::path::absolute(&parent)
        .map_err(|error| Failure::because(format!("{} is no place", parent.display()), &error))?;
    let packages = Packages::new(parent, root.clone(), &crate::environment::search_path())
        .cancelled_by(build.cancel.clone());

    let mut sets: BTreeMap<String, (RequirementSet, Target)> = BTreeMap::new();
    let mut keys: BTreeMap<ResourceName, String> = BTreeMap::new();
    let mut left_out = BTreeSet::new();
    for (name, resource) in &manifest.resources {
        let target = build.target(resource, default_python);
        let (mut set, matched) = plan_for(resource, project, &build.excluded, target);
        left_out.extend(matched);
        set.drop_project(root);
        if set.requirements.is_empty() {
            continue;
        }
        let key = set
            .packages_key(target, root)
            .map_err(|error| Failure::because("the project's own packages cannot be read", &error))?;
        keys.insert(name.clone(), key.clone());
        sets.insert(key, (set, target));
    }

    let missing = sets.iter().filter(|(key, _)| !packages.is_ready(key));
    let jobs = missing.map(|(key, (set, target))| {
        let packages = &packages;
        Job::new(set, move |progress| packages.ensure(key, set, *target, progress).map(drop))
    });
    let mut failures: Vec<Failure> =
        installing::side_by_side("package folder", jobs.collect(), build.printer)
            .into_iter()
            .map(not_installed)
            .collect();
    if let Some(last) = failures.pop() {
        failures.iter().for_each(|failure| failure.print(build.printer));
        return Err(last);
    }

    let mut packed = Packed::default();
    for (name, key) in keys {
        let folder = packages.folder(&key);
        let matched = excluded_in(&folder, &build.excluded);
        let place = place(&key, &matched);
        if let Some(resource) = manifest.resources.get_mut(&name) {
            resource.packages = Some(place.clone());
        }
        left_out.extend(matched);
        packed.folders.insert(place, folder);
    }
    for name in build.excluded.names().filter(|name| !left_out.contains(*name)) {
        build.printer.notice(format_args!("warning: --exclude {name}: no such package is required"));
    }
    Ok(packed)
}

fn not_installed(error: environment::Error) -> Failure {
    match error {
        environment::Error::InstallFailed { status, output, .. } => {
            let (message, hint) = match without_wheel(&output) {
                Some(package) => (
                    format!("there is no wheel of {package} for the target"),
                    "only wheels are packed: choose a version or a --python that has one, or leave the package to \
                     the image with --exclude NAME",
                ),
                None => (
                    format!("the installer failed ({status}); its own words are above"),
                    "check the requirement that it names, the index and the network; --exclude NAME leaves a \
                     package to the image",
                ),
            };
            Failure::coded(Code::PackagesNotInstalled, message).output(output).hint(hint)
        }
        environment::Error::NoInterpreter(error) => installing::no_interpreter(error)
            .hint("packages are installed by uv, or by the pip of a Python 3.10 or newer: install either"),
        error => {
            Failure::because("the packages cannot be installed", &error).code(Code::PackagesNotInstalled)
        }
    }
}

/// The requirement that pip or uv says it found nothing for. Other reasons stay in their words.
fn without_wheel(output: &str) -> Option<String> {
    const MISSING: [&str; 3] = ["was not found", "has no ", "and there are no "];
    let text = output.split_whitespace().collect::<Vec<_>>().join(" ");
    let named = |marker: &str| {
        let (_, rest) = text.rsplit_once(marker)?;
        Some(rest.split_once(' ').unwrap_or((rest, ""))).filter(|(name, _)| !name.is_empty())
    };
    let by_pip = named("No matching distribution found for ").map(|(name, _)| name);
    let by_uv = || {
        let no_version = named("there is no version of ").map(|(name, _)| name);
        let missing = |(_, rest): &(&str, &str)| MISSING.iter().any(|words| rest.starts_with(words));
        no_version.or_else(|| named("Because ").filter(missing).map(|(name, _)| name))
    };
    by_pip.or_else(by_uv).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::without_wheel;

    #[test]
    fn the_package_is_found_in_the_installers_words() {
        let check = |output: &str, expected: Option<&str>| {
            assert_eq!(without_wheel(output).as_deref(), expected, "{output}");
        };
        check(
            "ERROR: Could not find a version that satisfies the requirement x==9 (from versions: 1)\n\
             ERROR: No matching distribution found for x==9",
            Some("x==9"),
        );
        check(
            "  × No solution found:\n  ╰─▶ Because y==1 has no\n      usable wheels and building …",
            Some("y==1"),
        );
        check("  ╰─▶ Because z was not found in the package\n      registry and you require …", Some("z"));
        check("  ╰─▶ Because there is no version of w==9 and you require …", Some("w==9"));
        check("  ╰─▶ Because a==1 depends on b>2 and you require b<2, …", None);
        check("connection refused", None);
    }
}
