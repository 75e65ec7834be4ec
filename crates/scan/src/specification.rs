//! A resource's constructor call → its complete, normalised specification. Every field has its rule here.

use std::collections::BTreeMap;

use flash_model::{
    Code, Diagnostic, EndpointKind, Hardware, ResourceName, ResourceSpec, Scaler, ScalerType, Span,
    VolumeSpec,
};
use ruff_text_size::Ranged;

use crate::arguments::{Arguments, Signature};
use crate::fields::Fields;
use crate::imports::Project;
use crate::resources::{
    CPU_INSTANCE_TYPE, CUDA_VERSION, DATA_CENTER, GPU_GROUP, KEY_VALUE_PAIR, NETWORK_VOLUME, POD_TEMPLATE,
    SCALER_TYPE, SERVERLESS_TYPE,
};
use crate::value::{NestedCall, ResourceCall, Value};

/// Environment of a resource: values as text, and variables that take theirs from the environment of whoever deploys.
#[derive(Debug, Default)]
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
}

const DEFAULT_DATACENTER: &str = "EU-RO-1";
const DEFAULT_VOLUME_GB: u32 = 100;
const DEFAULT_SCALER_VALUE: u32 = 4;
const DEFAULT_WORKERS_MAX: u32 = 3;
pub(crate) const DEFAULT_IDLE_TIMEOUT: u32 = 5;
pub(crate) const CONCURRENCY_OF_HTTP: u32 = 1000;
const CONCURRENCY_OF_QUEUE: u32 = 1;
/// A template's default disk, which CPU resources lower to what their instance has.
const TEMPLATE_DISK_GB: u32 = 64;

/// `None` only if the resource has no usable name; everything else has a fallback, and its diagnostic.
pub(crate) fn specify(
    project: &Project<'_>,
    resource: ResourceCall<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Specified> {
    let class = resource.class;
    let keywords: Vec<&str> = class.fields().collect();
    let signature = Signature { name: class.name, positional: &[], keywords: &keywords };
    let arguments = Arguments::read(project, resource.file, resource.call, signature, diagnostics);
    let mut fields = Fields { arguments: &arguments, diagnostics };
    let name = name(&mut fields, class.name);

    let hardware = hardware(&mut fields, class.cpu);
    let (workers_min, workers_max) = workers(&mut fields);
    let scaler = scaler(&mut fields, class.kind);
    let locations = locations(&mut fields);
    let mut environment = Environment::default();
    fields.environment("env", &mut environment);
    let template = fields
        .nested("template", &POD_TEMPLATE)
        .map(|template| read_template(project, template, &mut environment, fields.diagnostics));
    let template = template.unwrap_or_default();
    check_disk(&mut fields, &hardware, class.kind, template.disk_gb);
    let volumes = fields
        .nested("networkVolume", &NETWORK_VOLUME)
        .and_then(|volume| read_volume(project, volume, &locations, fields.diagnostics))
        .into_iter()
        .collect();
    if let Some(kind) = fields.member("type", &SERVERLESS_TYPE)
        && (kind == "LB") != class.is_load_balanced()
        // Load balancers become LB whatever is written.
        && !class.is_load_balanced()
    {
        fields.invalid(
            "type",
            format!("`{}` is a queue resource", class.name),
            "use a load balancer class such as `LiveLoadBalancer`, or leave `type` out",
        );
    }
    let image = fields.text("imageName").filter(|image| !image.is_empty()).or(template.image);
    let mut spec = ResourceSpec {
        kind: class.kind,
        image: image.filter(|_| !class.live),
        workers_min,
        workers_max,
        idle_timeout: fields.integer("idleTimeout", 0).unwrap_or(DEFAULT_IDLE_TIMEOUT),
        scaler,
        execution_timeout_ms: fields.whole_number("executionTimeoutMs", 0, i64::MAX).unwrap_or(0),
        max_concurrency: if class.is_load_balanced() { CONCURRENCY_OF_HTTP } else { CONCURRENCY_OF_QUEUE },
        volumes,
        locations,
        env: environment.values.keys().chain(environment.inherited.keys()).cloned().collect(),
        python_version: None,
        dependencies: Vec::new(),
        system_dependencies: Vec::new(),
        container_disk_gb: template.disk_gb,
        template_id: fields.text("templateId").filter(|id| !id.is_empty()),
        flashboot: fields.boolean("flashboot").unwrap_or(true),
        asgi: None,
        hardware,
    };
    spec.env.sort();
    spec.env.dedup();
    let (name, name_span) = name?;
    Some(Specified { name, name_span, spec, environment })
}

fn name(fields: &mut Fields<'_, '_, '_>, class: &str) -> Option<(ResourceName, Span)> {
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

fn hardware(fields: &mut Fields<'_, '_, '_>, cpu: bool) -> Hardware {
    if cpu {
        for name in ["gpus", "gpuCount", "gpuIds", "cudaVersions", "allowedCudaVersions"] {
            if fields.arguments.has(name) {
                let span = fields.span(name);
                fields.diagnostics.push(
                    Diagnostic::warning(
                        Code::InvalidValue,
                        format!("`{name}` has no effect on a CPU resource"),
                    )
                    .at(span)
                    .hint("remove it, or use a GPU class such as `LiveServerless`"),
                );
            }
        }
        return Hardware::Cpu {
            instance_ids: any_if_empty(fields.members("instanceIds", &CPU_INSTANCE_TYPE)),
        };
    }
    let mut gpus = fields.members("gpus", &GPU_GROUP);
    if gpus.is_empty() {
        gpus = fields.comma_separated("gpuIds", &GPU_GROUP);
    }
    let mut cuda_versions = fields.members("cudaVersions", &CUDA_VERSION);
    if cuda_versions.is_empty() {
        cuda_versions = fields.comma_separated("allowedCudaVersions", &CUDA_VERSION);
    }
    let gpu_count = fields.integer("gpuCount", 1).unwrap_or(1);
    Hardware::Gpu { gpus: any_if_empty(gpus), gpu_count, cuda_versions }
}

fn any_if_empty(names: Vec<String>) -> Vec<String> {
    if names.is_empty() { vec!["any".to_owned()] } else { names }
}

fn workers(fields: &mut Fields<'_, '_, '_>) -> (u32, u32) {
    let workers_max = fields.integer("workersMax", 1);
    let workers_min = fields.integer("workersMin", 0).unwrap_or(0);
    let most = workers_max.unwrap_or(DEFAULT_WORKERS_MAX);
    // A `workersMax` that is wrong in itself has been reported.
    let max_is_known = workers_max.is_some() || !fields.arguments.has("workersMax");
    if workers_min > most && max_is_known {
        let default = if workers_max.is_none() { " (the default)" } else { "" };
        let span = fields.span("workersMin");
        let mut diagnostic = Diagnostic::error(
            Code::InvalidValue,
            format!("`workersMin` {workers_min} is greater than `workersMax` {most}{default}"),
        )
        .at(span)
        .hint(format!("set `workersMax` to {workers_min} or more"));
        if workers_max.is_some() {
            diagnostic = diagnostic.related(fields.span("workersMax"), "`workersMax` is set here");
        }
        fields.diagnostics.push(diagnostic);
    }
    (workers_min, most)
}

fn scaler(fields: &mut Fields<'_, '_, '_>, kind: EndpointKind) -> Scaler {
    let default = match kind {
        EndpointKind::Queue => ScalerType::QueueDelay,
        EndpointKind::LoadBalanced | EndpointKind::Asgi => ScalerType::RequestCount,
    };
    let scaler_type = match fields.member("scalerType", &SCALER_TYPE).as_deref() {
        Some("QUEUE_DELAY") if kind == EndpointKind::LoadBalanced => {
            fields.invalid(
                "scalerType",
                "a load-balanced resource has no queue to measure".to_owned(),
                "use `REQUEST_COUNT`, or leave `scalerType` out",
            );
            default
        }
        Some("QUEUE_DELAY") => ScalerType::QueueDelay,
        Some("REQUEST_COUNT") => ScalerType::RequestCount,
        _ => default,
    };
    Scaler { scaler_type, value: fields.integer("scalerValue", 1).unwrap_or(DEFAULT_SCALER_VALUE) }
}

fn locations(fields: &mut Fields<'_, '_, '_>) -> Vec<String> {
    let listed = fields.comma_separated("locations", &DATA_CENTER);
    if !listed.is_empty() {
        return listed;
    }
    let chosen = fields.one_or_more("datacenter", &DATA_CENTER);
    if chosen.is_empty() { vec![DEFAULT_DATACENTER.to_owned()] } else { chosen }
}

/// Queue workers on CPUs have as much disk as their instance allows; load balancers are not limited by the reference.
fn check_disk(
    fields: &mut Fields<'_, '_, '_>,
    hardware: &Hardware,
    kind: EndpointKind,
    disk_gb: Option<u32>,
) {
    let (Hardware::Cpu { instance_ids }, EndpointKind::Queue, Some(disk_gb)) = (hardware, kind, disk_gb)
    else {
        return;
    };
    let smallest = instance_ids.iter().filter_map(|id| Some((disk_ceiling_gb(id)?, id))).min();
    if let Some((ceiling_gb, instance)) = smallest
        && disk_gb > ceiling_gb
        && disk_gb != TEMPLATE_DISK_GB
    {
        fields.invalid(
            "template",
            format!("a disk of {disk_gb} GB is more than `{instance}` has"),
            &format!("set `containerDiskInGb` to {ceiling_gb} or less, or choose larger instances"),
        );
    }
}

/// vCPUs × 10 GB, × 15 GB for the `cpu5c` family.
fn disk_ceiling_gb(instance: &str) -> Option<u32> {
    let (family, rest) = instance.split_once('-')?;
    let cpus: u32 = rest.split('-').next()?.parse().ok()?;
    Some(cpus * if family == "cpu5c" { 15 } else { 10 })
}

#[derive(Debug, Default)]
struct Template {
    image: Option<String>,
    disk_gb: Option<u32>,
}

fn read_template(
    project: &Project<'_>,
    template: NestedCall<'_>,
    environment: &mut Environment,
    diagnostics: &mut Vec<Diagnostic>,
) -> Template {
    let arguments = read_nested(project, template, diagnostics);
    let mut fields = Fields { arguments: &arguments, diagnostics };
    let image = fields.text("imageName").filter(|image| !image.is_empty());
    let disk_gb = fields.integer("containerDiskInGb", 1);
    // The resource's own `env`, where it has one, replaces the template's.
    if environment.values.is_empty() && environment.inherited.is_empty() {
        template_environment(project, &mut fields, environment);
    }
    Template { image, disk_gb }
}

/// A list of `KeyValuePair(key=…, value=…)` or `{"key": …, "value": …}`.
fn template_environment(
    project: &Project<'_>,
    fields: &mut Fields<'_, '_, '_>,
    environment: &mut Environment,
) {
    let Some(given) = fields.arguments.value("env", fields.diagnostics) else { return };
    let Value::List(items) = given.value else { return };
    for item in items {
        let pair = match item {
            Value::Dict(items) => {
                let find = |wanted: &str| {
                    items
                        .iter()
                        .find(|(key, _)| *key == Value::Text(wanted.to_owned()))
                        .map(|(_, value)| value.clone())
                };
                find("key").zip(find("value"))
            }
            Value::Nested(pair) if pair.class == &KEY_VALUE_PAIR => {
                let arguments = read_nested(project, pair, fields.diagnostics);
                let key = arguments.value("key", fields.diagnostics).map(|given| given.value);
                key.zip(arguments.value("value", fields.diagnostics).map(|given| given.value))
            }
            _ => None,
        };
        if let Some((Value::Text(key), Value::Text(value))) = pair {
            environment.values.insert(key, value);
        }
    }
}

fn read_volume(
    project: &Project<'_>,
    volume: NestedCall<'_>,
    locations: &[String],
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<VolumeSpec> {
    let arguments = read_nested(project, volume, diagnostics);
    let mut fields = Fields { arguments: &arguments, diagnostics };
    let size_gb = fields.integer("size", 1).unwrap_or(DEFAULT_VOLUME_GB);
    let datacenter =
        fields.member("dataCenterId", &DATA_CENTER).unwrap_or_else(|| DEFAULT_DATACENTER.to_owned());
    if !locations.contains(&datacenter) {
        let span =
            if arguments.has("dataCenterId") { fields.span("dataCenterId") } else { arguments.callee_span() };
        fields.diagnostics.push(
            Diagnostic::error(
                Code::InvalidValue,
                format!("the volume is in {datacenter}, the resource in {}", locations.join(", ")),
            )
            .at(span)
            .hint("put both into one data centre"),
        );
    }
    match fields.text("name") {
        Some(name) if !name.is_empty() => Some(VolumeSpec { name, size_gb, datacenter: Some(datacenter) }),
        Some(_) => {
            fields.invalid(
                "name",
                "a volume's name must not be empty".to_owned(),
                "write `NetworkVolume(name=\"models\")`",
            );
            None
        }
        None => {
            if !arguments.has("name") && !arguments.incomplete {
                fields.diagnostics.push(
                    Diagnostic::error(Code::InvalidName, "`NetworkVolume` has no name")
                        .at(arguments.span(volume.call.func.range()))
                        .hint("write `NetworkVolume(name=\"models\")`"),
                );
            }
            None
        }
    }
}

fn read_nested<'p, 'a>(
    project: &'p Project<'a>,
    nested: NestedCall<'a>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Arguments<'p, 'a> {
    let signature = Signature { name: nested.class.name, positional: &[], keywords: nested.class.fields };
    Arguments::read(project, nested.file, nested.call, signature, diagnostics)
}
