//! The eight resource classes: `LiveServerless(name=..., gpus=[...])`.

use flash_model::{Code, Diagnostic, Hardware, ResourceSpec, VolumeSpec};

use super::{
    CONCURRENCY_OF_HTTP, CONCURRENCY_OF_QUEUE, DEFAULT_DATACENTER, DEFAULT_IDLE_TIMEOUT, Specified,
    any_if_empty, check_cpu_locations, environment_and_template, name, no_effect_on_cpu, scaler,
    spec_variables, variable_names,
};
use crate::arguments::{Arguments, Signature, Site};
use crate::fields::Fields;
use crate::imports::Project;
use crate::nested::{container_disk_gb, read_volume};
use crate::resources::{
    CPU_INSTANCE_TYPE, CUDA_VERSION, DATA_CENTER, GPU_GROUP, GPU_TYPE, NETWORK_VOLUME, SERVERLESS_TYPE,
};
use crate::value::{ResourceCall, Value};

const DEFAULT_WORKERS_MAX: u32 = 3;

/// `None` only if the resource has no usable name; everything else has a fallback, and its diagnostic.
pub(super) fn specify<'a>(
    project: &Project<'a>,
    resource: &ResourceCall<'a>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<Specified> {
    let class = resource.class;
    let keywords: Vec<&str> = class.fields().collect();
    let signature = Signature { name: class.name, positional: &[], keywords: &keywords };
    let arguments = Arguments::read(project, Site::from(resource), signature, diagnostics);
    let mut fields = Fields { arguments: &arguments, diagnostics };
    let name = name(&mut fields, class.name, None);

    let hardware = hardware(&mut fields, class.cpu);
    let (workers_min, workers_max) = workers(&mut fields);
    let scaler = scaler(&mut fields, class.kind, ["scalerType", "scalerValue"]);
    let datacenter =
        fields.member("datacenter", &DATA_CENTER).unwrap_or_else(|| DEFAULT_DATACENTER.to_owned());
    let locations = locations(&mut fields, &datacenter);
    check_cpu_locations(&mut fields, class, "datacenter", std::slice::from_ref(&datacenter));
    let (environment, template) = environment_and_template(&mut fields);
    let container_disk_gb = container_disk_gb(&mut fields, &hardware, template.disk_gb);
    let volumes = volumes(&mut fields, &datacenter);
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
    let has_image = ["imageName", "template", "templateId"].iter().any(|name| arguments.has(name));
    if !class.live && !has_image && !arguments.incomplete {
        fields.diagnostics.push(
            Diagnostic::error(Code::InvalidValue, format!("`{}` has no container image", class.name))
                .at(arguments.callee_span())
                .hint("give `imageName`, `template` or `templateId`, or use a live class such as `LiveServerless`"),
        );
    }
    let spec = ResourceSpec {
        kind: class.kind,
        image: image.filter(|_| !class.live),
        workers_min,
        workers_max,
        idle_timeout: fields.integer("idleTimeout", 1).unwrap_or(DEFAULT_IDLE_TIMEOUT),
        scaler,
        execution_timeout_ms: fields.whole_number("executionTimeoutMs", 0, i64::MAX).unwrap_or(0),
        max_concurrency: if class.is_load_balanced() { CONCURRENCY_OF_HTTP } else { CONCURRENCY_OF_QUEUE },
        volumes,
        locations,
        env: variable_names(&environment),
        python_version: None,
        dependencies: Vec::new(),
        system_dependencies: Vec::new(),
        container_disk_gb,
        template_id: fields.text("templateId").filter(|id| !id.is_empty()),
        flashboot: fields.boolean("flashboot").unwrap_or(true),
        asgi: None,
        hardware,
    };
    let (name, name_span) = name?;
    let (dependencies, system_dependencies) = (Vec::new(), Vec::new());
    let variables = spec_variables(&arguments);
    Some(Specified { name, name_span, spec, environment, variables, dependencies, system_dependencies })
}

/// `networkVolume=NetworkVolume(...)`, or `networkVolumeId="..."` of one that exists.
fn volumes(fields: &mut Fields<'_, '_, '_>, datacenter: &str) -> Vec<VolumeSpec> {
    let declared = fields.nested("networkVolume", &NETWORK_VOLUME);
    let declared =
        declared.and_then(|volume| read_volume(fields, "networkVolume", &volume, Some(datacenter)));
    let by_id = fields.text("networkVolumeId").filter(|id| !id.is_empty());
    let existing = by_id.map(|id| VolumeSpec {
        id: Some(id),
        name: None,
        size_gb: None,
        datacenter: Some(datacenter.to_owned()),
    });
    declared.or(existing).into_iter().collect()
}

fn hardware(fields: &mut Fields<'_, '_, '_>, cpu: bool) -> Hardware {
    if cpu {
        let names = ["gpus", "gpuCount", "gpuIds", "cudaVersions", "allowedCudaVersions"];
        let hint = "remove it, or use a GPU class such as `LiveServerless`";
        no_effect_on_cpu(fields, &names, "resource", hint);
        let instance_ids = fields.members("instanceIds", &[&CPU_INSTANCE_TYPE]);
        let written = fields.arguments.value("instanceIds", &mut Vec::new());
        if written.is_some_and(|given| given.value == Value::List(Vec::new())) {
            fields.invalid(
                "instanceIds",
                "`instanceIds` names no instance".to_owned(),
                "name one or more, or leave `instanceIds` out for any",
            );
        }
        return Hardware::Cpu { instance_ids: any_if_empty(instance_ids) };
    }
    let mut gpus = fields.members("gpus", &[&GPU_GROUP, &GPU_TYPE]);
    if gpus.is_empty() {
        gpus = fields.comma_separated("gpuIds", &GPU_GROUP);
    }
    let mut cuda_versions = fields.members("cudaVersions", &[&CUDA_VERSION]);
    if cuda_versions.is_empty() {
        cuda_versions = fields.comma_separated("allowedCudaVersions", &CUDA_VERSION);
    }
    let gpu_count = fields.integer("gpuCount", 1).unwrap_or(1);
    Hardware::Gpu { gpus: any_if_empty(gpus), gpu_count, cuda_versions }
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

/// Data centres as one text, taken as given; else the resource's data centre.
fn locations(fields: &mut Fields<'_, '_, '_>, datacenter: &str) -> Vec<String> {
    let text = fields.text("locations").unwrap_or_default();
    let listed: Vec<String> =
        text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    if listed.is_empty() { vec![datacenter.to_owned()] } else { listed }
}
