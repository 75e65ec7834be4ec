//! The later dialect: `Endpoint(name=..., gpu=..., workers=(0, 3))`, whose arguments and uses say which class it is.

use flash_model::{Code, Diagnostic, EndpointKind, Hardware, ResourceSpec, VolumeSpec};

use super::{
    CONCURRENCY_OF_HTTP, CONCURRENCY_OF_QUEUE, CPU_DATACENTER, ImpliedName, Specified, any_if_empty,
    check_cpu_locations, environment_and_template, name, no_effect_on_cpu, scaler, spec_variables,
    variable_names,
};
use crate::arguments::{Arguments, Signature, Site};
use crate::fields::Fields;
use crate::imports::Project;
use crate::nested::{container_disk_gb, read_volume};
use crate::resources::{
    self, CPU_INSTANCE_TYPE, CUDA_VERSION, DATA_CENTER, ENDPOINT_ARGUMENTS, GPU_GROUP, GPU_TYPE,
    NETWORK_VOLUME, ResourceClass,
};
use crate::value::{ResourceCall, Value};

const DEFAULT_IDLE_TIMEOUT: u32 = 60;
const DEFAULT_WORKERS: (u32, u32) = (0, 1);
const DEFAULT_MIN_CUDA_VERSION: &str = "12.8";

fn read<'p, 'a>(
    project: &'p Project<'a>,
    resource: &ResourceCall<'a>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Arguments<'p, 'a> {
    let signature =
        Signature { name: "Endpoint", positional: &ENDPOINT_ARGUMENTS[..1], keywords: &ENDPOINT_ARGUMENTS };
    Arguments::read(project, Site::from(resource), signature, diagnostics)
}

pub(super) fn class<'a>(
    project: &Project<'a>,
    resource: &ResourceCall<'a>,
    kind: EndpointKind,
) -> &'static ResourceClass {
    // What is wrong with the arguments is reported when they are read for the specification.
    let mut unheard = Vec::new();
    let arguments = read(project, resource, &mut unheard);
    let is_cpu = arguments.value("cpu", &mut unheard).is_some();
    resources::class_of(kind, is_cpu)
}

pub(super) fn specify<'a>(
    project: &Project<'a>,
    resource: &ResourceCall<'a>,
    implied: Option<ImpliedName>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Specified> {
    let class = resource.class;
    let arguments = read(project, resource, diagnostics);
    let mut fields = Fields { arguments: &arguments, diagnostics };
    exclusive(&mut fields, "gpu", "cpu", "an endpoint runs on GPUs or on CPUs");
    check_client(&mut fields);
    for argument in ["id", "image"].into_iter().filter(|argument| arguments.has(argument)) {
        fields.invalid(
            argument,
            format!("an `Endpoint` with `{argument}` is a client: functions cannot be deployed on it"),
            &format!("remove `{argument}`, or call the endpoint without decorating anything"),
        );
    }
    // Routes of several functions give no name.
    let implied = implied.filter(|_| !class.is_load_balanced());
    let name = name(&mut fields, "Endpoint", implied);

    let hardware = hardware(&mut fields, class.cpu);
    let (workers_min, workers_max) = workers(&mut fields);
    let scaler = scaler(&mut fields, class.kind, ["scaler_type", "scaler_value"]);
    let volumes = volumes(&mut fields);
    let locations = locations(&mut fields, class, &volumes);
    let (environment, template) = environment_and_template(&mut fields);
    let container_disk_gb = container_disk_gb(&mut fields, &hardware, template.disk_gb);
    let concurrency = if class.is_load_balanced() { CONCURRENCY_OF_HTTP } else { CONCURRENCY_OF_QUEUE };
    let spec = ResourceSpec {
        kind: class.kind,
        hardware,
        image: None,
        workers_min,
        workers_max,
        idle_timeout: fields.integer("idle_timeout", 1).unwrap_or(DEFAULT_IDLE_TIMEOUT),
        scaler,
        execution_timeout_ms: fields.whole_number("execution_timeout_ms", 0, i64::MAX).unwrap_or(0),
        max_concurrency: fields.integer("max_concurrency", 1).unwrap_or(concurrency),
        volumes,
        locations,
        env: variable_names(&environment),
        python_version: None,
        dependencies: Vec::new(),
        system_dependencies: Vec::new(),
        container_disk_gb,
        template_id: None,
        flashboot: fields.boolean("flashboot").unwrap_or(true),
        asgi: None,
    };
    let dependencies = fields.texts("dependencies", "[\"torch\"]");
    let system_dependencies = fields.texts("system_dependencies", "[\"ffmpeg\"]");
    let variables = spec_variables(&arguments);
    let (name, name_span) = name?;
    Some(Specified { name, name_span, spec, environment, variables, dependencies, system_dependencies })
}

/// What an `Endpoint` that nothing is declared on must not say.
pub(super) fn check_unused<'a>(
    project: &Project<'a>,
    resource: &ResourceCall<'a>,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let arguments = read(project, resource, diagnostics);
    let mut fields = Fields { arguments: &arguments, diagnostics };
    exclusive(&mut fields, "gpu", "cpu", "an endpoint runs on GPUs or on CPUs");
    check_client(&mut fields);
    workers(&mut fields);
    if arguments.has("image") && !arguments.has("id") {
        let span = fields.span("image");
        fields.diagnostics.push(
            Diagnostic::warning(Code::ImageNotDeployed, "an `Endpoint` with an image is not deployed")
                .at(span)
                .hint("deploy the image where it belongs, and call it by `Endpoint(id=\"...\")`"),
        );
    }
}

fn check_client(fields: &mut Fields<'_, '_, '_>) {
    exclusive(fields, "id", "image", "an endpoint that exists has its image");
    if fields.arguments.has("image") && !fields.arguments.has("name") && !fields.arguments.incomplete {
        fields.invalid(
            "image",
            "an image needs a name".to_owned(),
            "write `Endpoint(name=\"...\", image=\"...\")`",
        );
    }
}

fn exclusive(fields: &mut Fields<'_, '_, '_>, one: &str, other: &str, why: &str) {
    if fields.value(one).is_none() || fields.value(other).is_none() {
        return;
    }
    let (span, first) = (fields.span(other), fields.span(one));
    fields.diagnostics.push(
        Diagnostic::error(Code::InvalidValue, format!("`{one}` and `{other}` are both given: {why}"))
            .at(span)
            .related(first, format!("`{one}` is given here"))
            .hint("remove one of them"),
    );
}

fn hardware(fields: &mut Fields<'_, '_, '_>, cpu: bool) -> Hardware {
    if cpu {
        let hint = "remove it, or use `gpu` instead of `cpu`";
        no_effect_on_cpu(fields, &["gpu_count", "min_cuda_version"], "endpoint", hint);
        let instance_ids = fields.one_or_more("cpu", &[&CPU_INSTANCE_TYPE]).unwrap_or_default();
        return Hardware::Cpu { instance_ids: any_if_empty(instance_ids) };
    }
    let gpus = fields.one_or_more("gpu", &[&GPU_TYPE, &GPU_GROUP]).unwrap_or_default();
    Hardware::Gpu {
        gpus: any_if_empty(gpus),
        gpu_count: fields.integer("gpu_count", 1).unwrap_or(1),
        cuda_versions: cuda_versions(fields),
    }
}

/// `min_cuda_version` and all later ones; none where it is `None`, which stands for any.
fn cuda_versions(fields: &mut Fields<'_, '_, '_>) -> Vec<String> {
    if fields.arguments.is_none("min_cuda_version") {
        return Vec::new();
    }
    let lowest = fields.member("min_cuda_version", &CUDA_VERSION);
    let lowest = lowest.unwrap_or_else(|| DEFAULT_MIN_CUDA_VERSION.to_owned());
    // The enumeration is in the order of versions.
    CUDA_VERSION.values().skip_while(|version| *version != lowest).map(str::to_owned).collect()
}

/// `workers=3` for none to three, `workers=(1, 3)` for one to three.
fn workers(fields: &mut Fields<'_, '_, '_>) -> (u32, u32) {
    let (least, most) = match fields.value("workers") {
        None => return DEFAULT_WORKERS,
        Some(Value::Int(most)) => (0, most),
        Some(Value::List(range)) => match *range.as_slice() {
            [Value::Int(least), Value::Int(most)] => (least, most),
            _ => {
                let found = Value::List(range);
                fields.mistyped("workers", "a number or a pair of numbers", &found);
                return DEFAULT_WORKERS;
            }
        },
        Some(other) => {
            fields.mistyped("workers", "a number or a pair of numbers", &other);
            return DEFAULT_WORKERS;
        }
    };
    let problem = if least < 0 || most < 1 {
        Some(format!("`workers` must allow one worker or more, found {least} to {most}"))
    } else if least > most {
        Some(format!("`workers` has a minimum of {least}, which is greater than its maximum of {most}"))
    } else {
        None
    };
    if let Some(problem) = problem {
        fields.invalid("workers", problem, "write `workers=(0, 3)`: least and most");
        return DEFAULT_WORKERS;
    }
    match (u32::try_from(least), u32::try_from(most)) {
        (Ok(least), Ok(most)) => (least, most),
        _ => {
            fields.invalid(
                "workers",
                format!("`workers` must be at most {}", u32::MAX),
                "use smaller numbers",
            );
            DEFAULT_WORKERS
        }
    }
}

/// One volume or several, each in a data centre of its own.
fn volumes(fields: &mut Fields<'_, '_, '_>) -> Vec<VolumeSpec> {
    let items = match fields.value("volume") {
        None => return Vec::new(),
        Some(Value::List(items)) if items.is_empty() => {
            fields.invalid(
                "volume",
                "`volume` is an empty list".to_owned(),
                "name one or more, or leave it out",
            );
            return Vec::new();
        }
        Some(Value::List(items)) => items,
        Some(item) => vec![item],
    };
    let mut volumes: Vec<VolumeSpec> = Vec::new();
    for item in items {
        match item {
            Value::Nested(volume) if volume.class == &NETWORK_VOLUME => {
                let Some(volume) = read_volume(fields, "volume", &volume, None) else { continue };
                if volumes.iter().any(|known| known.datacenter == volume.datacenter) {
                    let datacenter = volume.datacenter.as_deref().unwrap_or_default();
                    fields.invalid(
                        "volume",
                        format!("two volumes are in {datacenter}"),
                        "name one volume for each data centre",
                    );
                }
                volumes.push(volume);
            }
            other => fields.mistyped("volume", "a `NetworkVolume` or a list of them", &other),
        }
    }
    volumes
}

/// Data centres: the ones given, else those of the volumes, else all that have the hardware.
fn locations(fields: &mut Fields<'_, '_, '_>, class: &ResourceClass, volumes: &[VolumeSpec]) -> Vec<String> {
    let mut of_volumes: Vec<String> = volumes.iter().filter_map(|volume| volume.datacenter.clone()).collect();
    of_volumes.sort();
    let Some(given) = fields.one_or_more("datacenter", &[&DATA_CENTER]) else {
        if !of_volumes.is_empty() {
            check_cpu_locations(fields, class, "volume", &of_volumes);
            return of_volumes;
        }
        let all = DATA_CENTER.values().map(str::to_owned);
        return if class.cpu { vec![CPU_DATACENTER.to_owned()] } else { all.collect() };
    };
    check_cpu_locations(fields, class, "datacenter", &given);
    if let Some(elsewhere) = of_volumes.iter().find(|location| !given.contains(location)) {
        fields.invalid(
            "volume",
            format!("the volume is in {elsewhere}, the endpoint in {}", given.join(", ")),
            "put both into one data centre",
        );
    }
    given
}
