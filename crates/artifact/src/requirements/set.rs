//! Everything that one worker environment must hold.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use flash_model::{EndpointKind, Resource, sha256_hex};

use super::line::Requirement;
use super::project::{InvalidLine, ProjectRequirements};

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
}

/// Total: a dependency that cannot be read is passed on as it is (see [`invalid_dependencies`]).
pub fn plan(resource: &Resource, project: &ProjectRequirements) -> RequirementSet {
    let own =
        resource.spec.dependencies.iter().map(|text| {
            Requirement::parse(text, Path::new(".")).unwrap_or_else(|_| Requirement::verbatim(text))
        });
    let mut all: BTreeSet<Requirement> =
        project.requirements.iter().cloned().chain(own).filter(|requirement| !requirement.is_sdk()).collect();

    let imported = IMPLIED
        .iter()
        .filter(|(module, _)| resource.imports.iter().any(|import| import == module))
        .map(|(_, package)| *package);
    let server = (resource.spec.kind == EndpointKind::Asgi).then_some(ASGI_SERVER);
    let mut implied: BTreeSet<&str> =
        imported.chain(server).filter(|package| !covers(&all, package)).collect();
    if implied.contains("fastapi") {
        implied.extend(IMPLIED_WITH_FASTAPI.iter().filter(|package| !covers(&all, package)));
    }
    all.extend(implied.into_iter().map(|package| Requirement::named(package, "")));
    all.insert(Requirement::named(PICKLE.0, PICKLE.1));

    let narrowed = |bare: &Requirement| {
        bare.is_bare()
            && all.iter().any(|other| other.name == bare.name && other != bare && !other.is_conditional())
    };
    let constraints: BTreeSet<&Requirement> = project.constraints.iter().collect();
    let mut options = project.options.clone();
    let mut seen = BTreeSet::new();
    options.retain(|option| seen.insert(option.clone()));
    RequirementSet {
        requirements: all
            .iter()
            .filter(|requirement| !narrowed(requirement))
            .map(|requirement| requirement.text.clone())
            .collect(),
        constraints: constraints.into_iter().map(|constraint| constraint.text.clone()).collect(),
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
