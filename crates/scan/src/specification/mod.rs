//! A resource's constructor call → its complete, normalised specification. Every field has its rule here: what the two
//! dialects share in this file, what each calls its own way in `class` and `endpoint`.

mod class;
mod endpoint;

use std::collections::BTreeMap;

use flash_model::{Code, Diagnostic, EndpointKind, ResourceName, ResourceSpec, Scaler, ScalerType, Span};

use crate::arguments::{Arguments, Variables};
use crate::fields::Fields;
use crate::imports::Project;
use crate::nested::{Template, read_template};
use crate::resources::{POD_TEMPLATE, ResourceClass, SCALER_TYPE};
use crate::value::{Dialect, ResourceCall};

/// Environment of a resource: values as text, and variables that take theirs from the environment of whoever deploys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    pub(crate) values: BTreeMap<String, String>,
    /// Variable → the variable that it is read from.
    pub(crate) inherited: BTreeMap<String, String>,
}

#[derive(Debug)]
pub(crate) struct Specified {
    pub(crate) name: ResourceName,
    /// Place of the name in the source.
    pub(crate) name_span: Span,
    pub(crate) spec: ResourceSpec,
    pub(crate) environment: Environment,
    /// Fields of the spec → variables of the environment whose defaults went into them.
    pub(crate) variables: Variables,
    /// What the resource itself lists for its functions.
    pub(crate) dependencies: Vec<String>,
    pub(crate) system_dependencies: Vec<String>,
}

impl Specified {
    /// Whether two constructor calls describe one resource.
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        self.spec == other.spec
            && self.environment == other.environment
            && self.dependencies == other.dependencies
            && self.system_dependencies == other.system_dependencies
    }
}

/// What a resource is called if it does not say so itself.
#[derive(Debug, Clone)]
pub(crate) struct ImpliedName {
    pub(crate) name: String,
    pub(crate) span: Span,
}

pub(crate) const DEFAULT_DATACENTER: &str = "EU-RO-1";
/// The data centre that has CPU machines.
const CPU_DATACENTER: &str = DEFAULT_DATACENTER;
const DEFAULT_SCALER_VALUE: u32 = 4;
pub(crate) const DEFAULT_IDLE_TIMEOUT: u32 = 5;
pub(crate) const CONCURRENCY_OF_HTTP: u32 = 1000;
const CONCURRENCY_OF_QUEUE: u32 = 1;

/// `None` only if the resource has no usable name; everything else has a fallback, and its diagnostic.
pub(crate) fn specify<'a>(
    project: &Project<'a>,
    resource: &ResourceCall<'a>,
    implied: Option<ImpliedName>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Specified> {
    match resource.dialect {
        Dialect::Class => class::specify(project, resource, diagnostics),
        Dialect::Endpoint => endpoint::specify(project, resource, implied, diagnostics),
    }
}

/// A configuration without functions is not deployed, but a module that makes a wrong one cannot be imported.
pub(crate) fn check_unused<'a>(
    project: &Project<'a>,
    resource: &ResourceCall<'a>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    match resource.dialect {
        Dialect::Class => drop(class::specify(project, resource, diagnostics)),
        Dialect::Endpoint => endpoint::check_unused(project, resource, diagnostics),
    }
}

/// Which of the resource classes an `Endpoint` with uses of this kind is.
pub(crate) fn class_of_endpoint<'a>(
    project: &Project<'a>,
    resource: &ResourceCall<'a>,
    kind: EndpointKind,
) -> &'static ResourceClass {
    endpoint::class(project, resource, kind)
}

fn name(
    fields: &mut Fields<'_, '_, '_>,
    class: &str,
    implied: Option<ImpliedName>,
) -> Option<(ResourceName, Span)> {
    if let Some(implied) = implied.filter(|_| !fields.arguments.has("name")) {
        return checked_name(fields, implied.name, implied.span);
    }
    if !fields.arguments.has("name") {
        if !fields.arguments.incomplete {
            let span = fields.arguments.callee_span();
            fields.diagnostics.push(
                Diagnostic::error(Code::InvalidName, format!("`{class}` has no name"))
                    .at(span)
                    .hint(format!("write `{class}(name=\"my_worker\", ...)`")),
            );
        }
        return None;
    }
    let text = fields.text("name")?;
    let span = fields.span("name");
    checked_name(fields, text, span)
}

fn checked_name(fields: &mut Fields<'_, '_, '_>, text: String, span: Span) -> Option<(ResourceName, Span)> {
    match ResourceName::new(text) {
        Ok(name) => Some((name, span)),
        Err(error) => {
            fields.diagnostics.push(
                Diagnostic::error(
                    Code::InvalidName,
                    format!("invalid resource name \"{}\"", error.value.escape_debug()),
                )
                .at(span)
                .hint(error.rule),
            );
            None
        }
    }
}

fn any_if_empty(chosen: Vec<String>) -> Vec<String> {
    if chosen.is_empty() { vec!["any".to_owned()] } else { chosen }
}

fn scaler(fields: &mut Fields<'_, '_, '_>, kind: EndpointKind, [type_name, value_name]: [&str; 2]) -> Scaler {
    let default = match kind {
        EndpointKind::Queue => ScalerType::QueueDelay,
        EndpointKind::LoadBalanced | EndpointKind::Asgi => ScalerType::RequestCount,
    };
    let scaler_type = match fields.member(type_name, &SCALER_TYPE).as_deref() {
        Some("QUEUE_DELAY") if kind == EndpointKind::LoadBalanced => {
            fields.invalid(
                type_name,
                "a load-balanced resource has no queue to measure".to_owned(),
                &format!("use `REQUEST_COUNT`, or leave `{type_name}` out"),
            );
            default
        }
        Some("QUEUE_DELAY") => ScalerType::QueueDelay,
        Some("REQUEST_COUNT") => ScalerType::RequestCount,
        _ => default,
    };
    Scaler { scaler_type, value: fields.integer(value_name, 1).unwrap_or(DEFAULT_SCALER_VALUE) }
}

/// Warns of arguments that only mean something on GPUs.
fn no_effect_on_cpu(fields: &mut Fields<'_, '_, '_>, names: &[&str], what: &str, hint: &str) {
    for name in names.iter().filter(|name| fields.arguments.has(name)) {
        let span = fields.span(name);
        let message = format!("`{name}` has no effect on a CPU {what}");
        fields.diagnostics.push(Diagnostic::warning(Code::InvalidValue, message).at(span).hint(hint));
    }
}

/// `env` and `template`, which may bring an environment of its own.
fn environment_and_template(fields: &mut Fields<'_, '_, '_>) -> (Environment, Template) {
    let mut environment = Environment::default();
    fields.environment("env", &mut environment);
    let template = fields.nested("template", &POD_TEMPLATE);
    let template = template.map(|template| read_template(fields, "template", &template, &mut environment));
    (environment, template.unwrap_or_default())
}

/// CPU machines are in one data centre.
fn check_cpu_locations(
    fields: &mut Fields<'_, '_, '_>,
    class: &ResourceClass,
    name: &str,
    locations: &[String],
) {
    let elsewhere = locations.iter().find(|location| location.as_str() != CPU_DATACENTER);
    if let Some(elsewhere) = elsewhere.filter(|_| class.cpu) {
        fields.invalid(
            name,
            format!("{elsewhere} has no CPU machines"),
            &format!("use {CPU_DATACENTER} for CPU resources, or leave `{name}` out"),
        );
    }
}

/// Names of the variables that a resource's environment has.
fn variable_names(environment: &Environment) -> Vec<String> {
    let mut names: Vec<String> =
        environment.values.keys().chain(environment.inherited.keys()).cloned().collect();
    names.sort();
    names.dedup();
    names
}

/// Variables of the environment that the spec depends on. Those of `env` itself are no part of the spec.
fn spec_variables(arguments: &Arguments<'_, '_>) -> Variables {
    let mut variables = arguments.variables();
    variables.remove("env");
    variables
}
