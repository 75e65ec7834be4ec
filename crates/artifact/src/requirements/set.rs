//! Everything that one worker environment must hold.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use flash_model::{EndpointKind, Resource, sha256_hex};

use super::line::{Requirement, normalized};
use super::project::{InvalidLine, ProjectRequirements, Stated};
use crate::digest;
use crate::target::Target;

/// Module → package that came with the reference's package (declared by it, or through `runpod`), so that projects
/// import them without naming them anywhere.
const IMPLIED: [(&str, &str); 11] = [
    ("aiohttp", "aiohttp"),
    ("dotenv", "python-dotenv"),
    ("fastapi", "fastapi"),
    ("httpx", "httpx"),
    ("pydantic", "pydantic"),
    ("requests", "requests"),
    ("rich", "rich"),
    ("runpod", "runpod"),
    ("starlette", "starlette"),
    ("typing_extensions", "typing-extensions"),
    ("uvicorn", "uvicorn"),
];

/// What `fastapi[all]` brought along, which applications use without importing it.
const IMPLIED_WITH_FASTAPI: [&str; 3] = ["email-validator", "jinja2", "python-multipart"];

/// Serves the user's own application behind the gateway.
const ASGI_SERVER: &str = "uvicorn";

/// What uvicorn speaks WebSocket with: one of these, the first unless the project has chosen.
const WEBSOCKETS: [&str; 2] = ["websockets", "wsproto"];

/// What the worker shim needs beside the standard library.
const PICKLE: (&str, &str) = ("cloudpickle", ">=3.1");

#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequirementSet {
    /// Lines of a requirements file, sorted by normalised name, without duplicates. Their URLs may hold credentials.
    pub requirements: Vec<String>,
    /// Lines of a constraints file, sorted, without duplicates.
    pub constraints: Vec<String>,
    /// Option lines, in their order, without duplicates. They may hold credentials.
    pub options: Vec<String>,
}

impl RequirementSet {
    /// 64 hex digits; equal for equal sets, whatever order and spelling they came in.
    pub fn digest(&self) -> String {
        let mut text = String::new();
        for (title, lines) in [
            ("requirements", &self.requirements),
            ("constraints", &self.constraints),
            ("options", &self.options),
        ] {
            let _ = writeln!(text, "[{title}]");
            for line in lines {
                let _ = writeln!(text, "{line}");
            }
        }
        sha256_hex(text.as_bytes())
    }

    /// Drops the project itself (`.`, `-e .`): an artifact holds its files anyway.
    pub fn drop_project(&mut self, root: &Path) {
        let root = root.to_string_lossy();
        self.requirements.retain(|line| line.strip_prefix("-e ").unwrap_or(line) != root);
    }

    /// Names what is installed for the target, as 16 hex digits. Files and folders inside the project (`./libs/a.whl`)
    /// count by their content, so that the name is the same wherever the project lies.
    pub fn packages_key(&self, target: Target, root: &Path) -> io::Result<String> {
        let root_text = root.to_string_lossy();
        let portable = |lines: &[String]| lines.iter().map(|line| line.replace(&*root_text, ".")).collect();
        let portable = Self {
            requirements: portable(&self.requirements),
            constraints: portable(&self.constraints),
            options: portable(&self.options),
        };
        let mut identity = format!("{target}\n{}\n", portable.digest());
        for line in &self.requirements {
            let place = Path::new(line.strip_prefix("-e ").unwrap_or(line));
            let files = match place.starts_with(root) {
                true if place.is_file() => vec![place.to_owned()],
                true if place.is_dir() => {
                    let selection = crate::select(place).map_err(io::Error::other)?;
                    selection.files.into_iter().map(|file| file.absolute).collect()
                }
                _ => continue,
            };
            for file in files {
                let shown = file.strip_prefix(root).unwrap_or(&file).display();
                let _ = writeln!(identity, "{shown} {}", digest::of_reader(fs_err::File::open(&file)?)?);
            }
        }
        let mut key = sha256_hex(identity.as_bytes());
        key.truncate(KEY_DIGITS);
        Ok(key)
    }
}

const KEY_DIGITS: usize = 16;

/// Packages that the user leaves out, by normalised name (PEP 503).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Excluded {
    names: BTreeSet<String>,
}

impl Excluded {
    /// Each text may hold several names with commas between them. The error is a text that is no package's name.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let names = texts.into_iter().flat_map(|text| text.split(',')).map(str::trim);
        let names = names.filter(|name| !name.is_empty()).map(|name| {
            // The parser (0.9.2) panics on names that end in punctuation.
            let is_complete = name.ends_with(|last: char| last.is_ascii_alphanumeric());
            is_complete.then(|| normalized(name)).flatten().ok_or_else(|| name.to_owned())
        });
        Ok(Self { names: names.collect::<Result<_, _>>()? })
    }

    pub fn contains(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }
}

/// What an environment on this machine needs. Total: a dependency that cannot be read is passed on as it is (see
/// [`invalid_dependencies`]).
pub fn plan(resource: &Resource, project: &ProjectRequirements) -> RequirementSet {
    let stated = |all: &[Stated]| all.iter().map(|stated| stated.requirement.clone()).collect();
    assembled(required(resource, project), stated(&project.constraints), project)
}

/// What is to be packed for the target: conditions are judged for it, and what `excluded` names is left out. The names
/// that were left out come second.
pub fn plan_for(
    resource: &Resource,
    project: &ProjectRequirements,
    excluded: &Excluded,
    target: Target,
) -> (RequirementSet, BTreeSet<String>) {
    let is_excluded =
        |requirement: &Requirement| requirement.name.as_deref().is_some_and(|name| excluded.contains(name));
    let (left_out, all): (Vec<Requirement>, Vec<Requirement>) =
        required(resource, project).into_iter().partition(is_excluded);
    let all = all.iter().filter_map(|requirement| requirement.for_target(target)).collect();
    let constraints = project.constraints.iter().filter_map(|stated| stated.requirement.for_target(target));
    let set = assembled(all, constraints.collect(), project);
    (set, left_out.into_iter().filter_map(|requirement| requirement.name).collect())
}

fn required(resource: &Resource, project: &ProjectRequirements) -> BTreeSet<Requirement> {
    let own =
        resource.spec.dependencies.iter().map(|text| {
            Requirement::parse(text, Path::new(".")).unwrap_or_else(|_| Requirement::verbatim(text))
        });
    let stated = project.requirements.iter().map(|stated| stated.requirement.clone());
    let mut all: BTreeSet<Requirement> =
        stated.chain(own).filter(|requirement| !requirement.is_sdk()).collect();

    let imported = IMPLIED
        .iter()
        .filter(|(module, _)| resource.imports.iter().any(|import| import == module))
        .map(|(_, package)| *package);
    let is_application = resource.spec.kind == EndpointKind::Asgi;
    let server = is_application.then_some(ASGI_SERVER);
    let has_websockets = WEBSOCKETS.iter().any(|package| covers(&all, package));
    let websockets = (is_application && !has_websockets).then_some(WEBSOCKETS[0]);
    let mut implied: BTreeSet<&str> =
        imported.chain(server).chain(websockets).filter(|package| !covers(&all, package)).collect();
    if implied.contains("fastapi") {
        implied.extend(IMPLIED_WITH_FASTAPI.iter().filter(|package| !covers(&all, package)));
    }
    all.extend(implied.into_iter().map(|package| Requirement::named(package, "")));
    all.insert(Requirement::named(PICKLE.0, PICKLE.1));
    all
}

fn assembled(
    all: BTreeSet<Requirement>,
    constraints: BTreeSet<Requirement>,
    project: &ProjectRequirements,
) -> RequirementSet {
    let narrowed = |bare: &Requirement| {
        bare.is_bare()
            && all.iter().any(|other| other.name == bare.name && other != bare && !other.is_conditional())
    };
    let mut options = project.options.clone();
    let mut seen = BTreeSet::new();
    options.retain(|option| seen.insert(option.clone()));
    RequirementSet {
        requirements: all
            .iter()
            .filter(|requirement| !narrowed(requirement))
            .map(|requirement| requirement.text.clone())
            .collect(),
        constraints: constraints.into_iter().map(|constraint| constraint.text).collect(),
        options,
    }
}

fn covers(all: &BTreeSet<Requirement>, package: &str) -> bool {
    all.iter().any(|requirement| requirement.name.as_deref() == Some(package))
}

/// Strings in the functions' `dependencies=[…]` that are not requirements, each at its function.
pub fn invalid_dependencies(resource: &Resource) -> Vec<InvalidLine> {
    let mut invalid = Vec::new();
    for function in &resource.functions {
        for text in &function.dependencies {
            if let Err(reason) = Requirement::parse(text, Path::new(".")) {
                let (file, line, text) = (function.file.clone(), function.line, super::redacted(text));
                invalid.push(InvalidLine { file, line, text, reason });
            }
        }
    }
    invalid
}
