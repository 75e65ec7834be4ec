//! From what was found to the manifest: resources with their functions, routes, closures and hashes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flash_model::{
    Code, Diagnostic, Function, FunctionName, HttpMethod, Manifest, Provisioned, Resource, ResourceName,
    Span, sha256_hex,
};
use ruff_text_size::Ranged;

use crate::closure::Roots;
use crate::decorators::RemoteUse;
use crate::grouping::{self, Group};
use crate::imports::{FileIndex, Project};
use crate::source::SourceTree;
use crate::specification::{Environment, Specified};
use crate::survey::{Bound, Definition};
use crate::value::ResourceCall;
use crate::{signature, validate};

/// The manifest under construction.
#[derive(Debug)]
pub(crate) struct Lowered {
    pub(crate) manifest: Manifest,
    pub(crate) environments: BTreeMap<ResourceName, Environment>,
    /// Files that the resources' closures start from.
    pub(crate) roots: Roots,
}

pub(crate) fn lower<'a>(
    tree: &SourceTree,
    project: &Project<'a>,
    uses: &[RemoteUse<'a>],
    diagnostics: &mut Vec<Diagnostic>,
) -> Lowered {
    let groups = grouping::group(project, uses, diagnostics);
    let routes = routes(project, uses, &groups, diagnostics);
    let unique = unique_functions(project, uses, diagnostics);
    validate::assigned_attributes(project, uses, diagnostics);
    validate::unused_configurations(project, uses, diagnostics);
    let mut lowered = Lowered {
        manifest: Manifest::empty(tree.project_name()),
        environments: BTreeMap::new(),
        roots: Roots::new(),
    };
    for Group { resource, specified, users, homes } in groups {
        let users: Vec<usize> = users.into_iter().filter(|user| unique.contains_key(user)).collect();
        let Some(specified) = specified.filter(|_| !users.is_empty()) else { continue };
        let functions = users
            .iter()
            .filter_map(|user| {
                let name = unique.get(user)?.clone();
                Some(function(project, &uses[*user], name, routes.get(user).cloned(), &specified))
            })
            .collect();
        let roots = users.iter().map(|user| uses[*user].file).chain(homes).collect();
        let variables = environment_dependent(&specified, users.iter().map(|user| &uses[*user]));
        add_resource(project, &mut lowered, &resource, specified, functions, roots, variables);
    }
    lowered
}

fn routes(
    project: &Project<'_>,
    uses: &[RemoteUse<'_>],
    groups: &[Group<'_>],
    diagnostics: &mut Vec<Diagnostic>,
) -> BTreeMap<usize, (HttpMethod, String)> {
    let mut routes = BTreeMap::new();
    for Group { resource, users, .. } in groups {
        let mut taken = validate::Taken::new();
        for user in users {
            if !resource.class.is_load_balanced() {
                validate::ignored_route(project, &uses[*user], diagnostics);
            } else if let Some(route) = validate::route(project, &uses[*user], &mut taken, diagnostics) {
                routes.insert(*user, route);
            }
        }
    }
    routes
}

/// What of a resource depends on the environment of whoever deploys, by the names that the source gives it.
fn environment_dependent<'u>(
    specified: &Specified,
    users: impl Iterator<Item = &'u RemoteUse<'u>>,
) -> BTreeMap<String, Vec<String>> {
    let mut variables = specified.variables.clone();
    for remote in users {
        for (argument, names) in &remote.variables {
            let argument = format!("{}.{argument}", remote.definition.name());
            variables.entry(argument).or_default().extend(names.iter().cloned());
        }
    }
    variables.into_iter().map(|(argument, names)| (argument, names.into_iter().collect())).collect()
}

/// Functions whose name nobody before them has.
fn unique_functions(
    project: &Project<'_>,
    uses: &[RemoteUse<'_>],
    diagnostics: &mut Vec<Diagnostic>,
) -> BTreeMap<usize, FunctionName> {
    let mut unique = BTreeMap::new();
    let mut first: BTreeMap<FunctionName, Span> = BTreeMap::new();
    for (user, remote) in uses.iter().enumerate() {
        let identifier = remote.definition.name();
        let span = project.files[remote.file].span(identifier.range);
        let name = match FunctionName::new(identifier.as_str()) {
            Ok(name) => name,
            Err(error) => {
                diagnostics.push(
                    Diagnostic::error(Code::InvalidName, format!("invalid function name `{identifier}`"))
                        .at(span)
                        .hint(error.rule),
                );
                continue;
            }
        };
        if let Some(first) = first.get(&name) {
            diagnostics.push(
                Diagnostic::error(
                    Code::DuplicateFunction,
                    format!("`{name}` is the name of two deployed functions"),
                )
                .at(span)
                .related(first.clone(), format!("`{name}` is defined here first"))
                .hint("rename one of them: functions are called by name across the project"),
            );
            continue;
        }
        first.insert(name.clone(), span);
        unique.insert(user, name);
    }
    unique
}

fn function(
    project: &Project<'_>,
    remote: &RemoteUse<'_>,
    name: FunctionName,
    route: Option<(HttpMethod, String)>,
    specified: &Specified,
) -> Function {
    let file = &project.files[remote.file];
    let (is_async, is_class, body) = match remote.definition {
        Definition::Function(function) => (function.is_async, false, &function.body),
        Definition::Class(class) => (false, true, &class.body),
    };
    let (parameters, returns, methods) = match remote.definition {
        Definition::Function(function) => (
            signature::parameters(file, &function.parameters),
            signature::returns(file, function),
            Vec::new(),
        ),
        Definition::Class(class) => {
            (signature::constructor(file, class), None, signature::methods(file, class))
        }
    };
    let class = remote.resource.class;
    let (http_method, http_path) = route.unzip();
    Function {
        name,
        module: project.dotted_module(remote.file),
        is_async,
        is_class,
        is_load_balanced: class.is_load_balanced(),
        is_live_resource: class.is_load_balanced() && class.live,
        config_variable: config_variable(project, &remote.resource),
        http_method,
        http_path,
        file: file.path.to_owned(),
        line: file.line(remote.definition.name().range.start()),
        parameters,
        returns,
        returns_schema: None,
        methods,
        doc: signature::documentation(body),
        dependencies: [&remote.dependencies[..], &specified.dependencies].concat(),
        system_dependencies: [&remote.system_dependencies[..], &specified.system_dependencies].concat(),
        calls: Vec::new(),
    }
}

/// The name that the configuration's own module binds it to.
fn config_variable(project: &Project<'_>, resource: &ResourceCall<'_>) -> Option<String> {
    let survey = &project.surveys[resource.file];
    let is_it = |bound: &Bound<'_>| {
        bound.binding.value().is_some_and(|expression| expression.range() == resource.call.range())
    };
    let names = survey.bindings.iter().filter(|(_, bindings)| bindings.iter().any(is_it));
    names.map(|(name, _)| (*name).to_owned()).min()
}

/// Files, imports and hashes are filled in when all resources are known.
fn add_resource(
    project: &Project<'_>,
    lowered: &mut Lowered,
    resource: &ResourceCall<'_>,
    specified: Specified,
    mut functions: Vec<Function>,
    roots: BTreeSet<FileIndex>,
    environment_dependent: BTreeMap<String, Vec<String>>,
) {
    let Specified { name, mut spec, environment, .. } = specified;
    functions.sort_by(|left, right| left.name.cmp(&right.name));
    let union = |pick: fn(&Function) -> &Vec<String>| {
        functions
            .iter()
            .flat_map(pick)
            .cloned()
            .collect::<BTreeSet<String>>()
            .into_iter()
            .collect::<Vec<String>>()
    };
    spec.dependencies = union(|function| &function.dependencies);
    spec.system_dependencies = union(|function| &function.system_dependencies);
    let manifest = &mut lowered.manifest;
    for function in &functions {
        manifest.function_registry.insert(function.name.clone(), name.clone());
        if let (Some(method), Some(path)) = (function.http_method, &function.http_path) {
            let routes = manifest.routes.entry(name.clone()).or_default();
            routes.insert(format!("{method} {path}"), function.name.clone());
        }
    }
    let entry = Resource {
        spec: Arc::new(spec),
        resource_type: resource.class.name.to_owned(),
        handler_file: String::new(),
        functions,
        schemas: BTreeMap::new(),
        is_load_balanced: resource.class.is_load_balanced(),
        is_live_resource: resource.class.is_load_balanced() && resource.class.live,
        config_variable: config_variable(project, resource),
        files: Vec::new(),
        imports: Vec::new(),
        code_digest: String::new(),
        config_hash: String::new(),
        environment_dependent,
        packages: None,
        provisioned: Provisioned::default(),
    };
    manifest.resources.insert(name.clone(), entry);
    lowered.roots.insert(name.clone(), roots);
    lowered.environments.insert(name, environment);
}

/// What is derived from the finished resources: names of handlers, hashes.
pub(crate) fn finish(manifest: &mut Manifest) {
    name_handlers(manifest);
    for resource in manifest.resources.values_mut() {
        // Serialising a resource cannot fail: it holds no maps with keys other than text.
        resource.config_hash = resource.compute_config_hash().unwrap_or_default();
    }
}

/// `handler_{name}.py`, made safe for file systems; names that become equal by this get a digest of their own.
fn name_handlers(manifest: &mut Manifest) {
    let mut owners: BTreeMap<String, usize> = BTreeMap::new();
    for name in manifest.resources.keys() {
        *owners.entry(sanitised(name.as_str())).or_default() += 1;
    }
    for (name, resource) in &mut manifest.resources {
        let safe = sanitised(name.as_str());
        let shared = owners.get(&safe).is_some_and(|owners| *owners > 1);
        let mut digest = sha256_hex(name.as_str().as_bytes());
        digest.truncate(8);
        resource.handler_file =
            if shared { format!("handler_{safe}_{digest}.py") } else { format!("handler_{safe}.py") };
    }
}

fn sanitised(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}
