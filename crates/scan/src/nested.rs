//! Objects inside a resource's configuration: its template, with disk and environment, and its volume.

use flash_model::{Code, Diagnostic, Hardware, VolumeSpec};
use ruff_text_size::Ranged;

use crate::arguments::{Arguments, Signature, Site};
use crate::fields::Fields;
use crate::imports::Project;
use crate::resources::{DATA_CENTER, KEY_VALUE_PAIR};
use crate::specification::{DEFAULT_DATACENTER, Environment};
use crate::value::{NestedCall, Value};

const DEFAULT_VOLUME_GB: u32 = 100;
/// The largest that the provider makes.
const VOLUME_GB_MAX: i64 = 4096;
/// What a template has unless it says otherwise.
const TEMPLATE_DISK_GB: u32 = 64;

/// The disk that a template asks for. On CPUs it must fit the smallest of the instances, and a template's default counts as
/// "as much as there is".
pub(crate) fn container_disk_gb(
    fields: &mut Fields<'_, '_, '_>,
    hardware: &Hardware,
    disk_gb: Option<u32>,
) -> Option<u32> {
    let (Hardware::Cpu { instance_ids }, Some(disk_gb)) = (hardware, disk_gb) else { return disk_gb };
    let ceiling_gb = instance_ids.iter().map(|id| disk_ceiling_gb(id)).min()?;
    if disk_gb == TEMPLATE_DISK_GB {
        return Some(ceiling_gb);
    }
    if disk_gb > ceiling_gb {
        let smallest = instance_ids.iter().min_by_key(|id| disk_ceiling_gb(id)).map_or("any", String::as_str);
        fields.invalid(
            "template",
            format!("a disk of {disk_gb} GB is more than the {ceiling_gb} GB of the smallest instance, `{smallest}`"),
            &format!("set `containerDiskInGb` to {ceiling_gb} or less, or choose larger instances"),
        );
    }
    Some(disk_gb)
}

/// vCPUs × 10 GB, × 15 GB for the `cpu5c` family. "any" may be the smallest of all.
fn disk_ceiling_gb(instance: &str) -> u32 {
    let cpus = instance.split('-').nth(1).and_then(|cpus| cpus.parse::<u32>().ok()).unwrap_or(1);
    cpus * if instance.starts_with("cpu5c") { 15 } else { 10 }
}

#[derive(Debug, Default)]
pub(crate) struct Template {
    pub(crate) image: Option<String>,
    pub(crate) disk_gb: Option<u32>,
}

pub(crate) fn read_template<'a>(
    outer: &mut Fields<'_, '_, 'a>,
    argument: &str,
    template: &NestedCall<'a>,
    environment: &mut Environment,
) -> Template {
    let project = outer.arguments.project;
    let arguments = read_nested(project, template, outer.diagnostics);
    let mut fields = Fields { arguments: &arguments, diagnostics: outer.diagnostics };
    let image = fields.text("imageName").filter(|image| !image.is_empty());
    let disk_gb = fields.integer("containerDiskInGb", 1);
    // The resource's own `env`, where it has one, replaces the template's.
    if environment.values.is_empty() && environment.inherited.is_empty() {
        template_environment(project, &mut fields, environment);
    }
    outer.arguments.depend_as(argument, &arguments);
    Template { image, disk_gb }
}

/// A list of `KeyValuePair(key=…, value=…)` or `{"key": …, "value": …}`.
fn template_environment<'a>(
    project: &Project<'a>,
    fields: &mut Fields<'_, '_, 'a>,
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
                let arguments = read_nested(project, &pair, fields.diagnostics);
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

/// A volume, which must be in the resource's data centre where that is one.
pub(crate) fn read_volume<'a>(
    outer: &mut Fields<'_, '_, 'a>,
    argument: &str,
    volume: &NestedCall<'a>,
    datacenter_of_resource: Option<&str>,
) -> Option<VolumeSpec> {
    let arguments = read_nested(outer.arguments.project, volume, outer.diagnostics);
    let mut fields = Fields { arguments: &arguments, diagnostics: outer.diagnostics };
    let size_gb = fields.whole_number("size", 1, VOLUME_GB_MAX).and_then(|size| u32::try_from(size).ok());
    let keyword = if arguments.has("datacenter") { "datacenter" } else { "dataCenterId" };
    let datacenter = fields.member(keyword, &DATA_CENTER).unwrap_or_else(|| DEFAULT_DATACENTER.to_owned());
    if let Some(datacenter_of_resource) = datacenter_of_resource
        && datacenter != datacenter_of_resource
    {
        let span = if arguments.has(keyword) { fields.span(keyword) } else { arguments.callee_span() };
        fields.diagnostics.push(
            Diagnostic::error(
                Code::InvalidValue,
                format!("the volume is in {datacenter}, the resource in {datacenter_of_resource}"),
            )
            .at(span)
            .hint("put both into one data centre"),
        );
    }
    let id = fields.text("id").filter(|id| !id.is_empty());
    let name = fields.text("name");
    if name.as_deref() == Some("") {
        fields.invalid(
            "name",
            "a volume's name must not be empty".to_owned(),
            "write `NetworkVolume(name=\"models\")`",
        );
    }
    let name = name.filter(|name| !name.is_empty());
    outer.arguments.depend_as(argument, &arguments);
    if name.is_none() && id.is_none() {
        if !arguments.has("name") && !arguments.incomplete {
            outer.diagnostics.push(
                Diagnostic::error(Code::InvalidName, "`NetworkVolume` has neither name nor id")
                    .at(arguments.span(volume.call.func.range()))
                    .hint("write `NetworkVolume(name=\"models\")`"),
            );
        }
        return None;
    }
    // One that exists has the size that it has.
    let size_gb = if id.is_some() { size_gb } else { Some(size_gb.unwrap_or(DEFAULT_VOLUME_GB)) };
    Some(VolumeSpec { id, name, size_gb, datacenter: Some(datacenter) })
}

fn read_nested<'p, 'a>(
    project: &'p Project<'a>,
    nested: &NestedCall<'a>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Arguments<'p, 'a> {
    let signature = Signature { name: nested.class.name, positional: &[], keywords: nested.class.fields };
    Arguments::read(project, Site::from(nested), signature, diagnostics)
}
