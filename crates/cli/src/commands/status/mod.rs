//! `flash status [PATH] [--json]`.

mod recorded;

use flash_client::{Fetched, Mothership};
use flash_model::{Code, Provisioned, Resource, ResourceName};
use serde_json::{Map, Value, json};

pub(crate) use self::recorded::{Process, Recorded};
use super::{block_on, find_mothership, not_running, of_project, refused, start_of};
use crate::args::StatusArgs;
use crate::error::Failure;
use crate::printer::Printer;
use crate::view::{self, time};

pub(crate) fn status(args: &StatusArgs, printer: Printer) -> Result<(), Failure> {
    block_on(async {
        let start = start_of(args.path.as_deref())?;
        if let Some(mothership) = find_mothership(&start).await {
            return show_running(&mothership, args.json, printer).await;
        }
        match Recorded::of(&start, args).await? {
            Some(recorded) => {
                show_recorded(&recorded, args.json, printer);
                Err(unattended(&recorded))
            }
            None => Err(not_running(&start)),
        }
    })
}

async fn show_running(mothership: &Mothership, as_json: bool, printer: Printer) -> Result<(), Failure> {
    let fetched = mothership.manifest(None, None).await;
    let Fetched::Document { manifest, .. } =
        fetched.map_err(|error| refused("asking what is running", &error))?
    else {
        return Err(Failure::new("the mothership sent no manifest"));
    };
    let url = mothership.url();
    if as_json {
        let entry = |(name, resource): (&ResourceName, &Resource)| {
            let mut entry = entry(Some(resource), &resource.provisioned);
            entry["url"] = view::resources::front_url(name, resource, url).into();
            (name.to_string(), entry)
        };
        let resources: Map<_, _> = manifest.resources.iter().map(entry).collect();
        let (project, generation) = (&manifest.project_name, manifest.generation);
        let document =
            json!({"project": project, "url": url, "generation": generation, "resources": resources});
        printer.data(format_args!("{document:#}"));
        return Ok(());
    }
    printer.data(format_args!("{} at {url}\n", manifest.project_name));
    printer.data(view::resources::table(&manifest, url));
    let provisioned = manifest.resources.iter().map(|(name, resource)| (name, &resource.provisioned));
    tell_reasons(provisioned, printer);
    Ok(())
}

/// The same document, with nothing where a mothership would be.
fn show_recorded(recorded: &Recorded, as_json: bool, printer: Printer) {
    let Recorded { project, generation, resources, .. } = recorded;
    if as_json {
        let entry = |(name, resource): (&ResourceName, &recorded::RecordedResource)| {
            let mut entry = entry(resource.desired.as_ref(), &resource.provisioned);
            entry["process"] = resource.process.label().into();
            (name.to_string(), entry)
        };
        let resources: Map<_, _> = resources.iter().map(entry).collect();
        let document = json!({
            "project": project.name, "url": null, "generation": generation, "resources": resources,
        });
        printer.data(format_args!("{document:#}"));
        return;
    }
    let applied = generation.map_or_else(String::new, |generation| format!(", generation {generation}"));
    printer.data(format_args!("{}{applied}, as it was recorded; no mothership runs here\n", project.scope()));
    printer.data(view::recorded::table(recorded));
    tell_reasons(resources.iter().map(|(name, resource)| (name, &resource.provisioned)), printer);
}

fn entry(resource: Option<&Resource>, provisioned: &Provisioned) -> Value {
    json!({
        "kind": resource.map(|resource| resource.spec.kind),
        "status": provisioned.status, "reason": provisioned.status_reason,
        "endpoint_id": provisioned.endpoint_id, "endpoint_url": provisioned.endpoint_url, "url": null,
        "config_hash": resource.map(|resource| &resource.config_hash),
    })
}

fn tell_reasons<'a>(
    provisioned: impl Iterator<Item = (&'a ResourceName, &'a Provisioned)>,
    printer: Printer,
) {
    for (name, provisioned) in provisioned {
        if let Some(reason) = &provisioned.status_reason {
            printer.data(format_args!("\n{name}: {reason}"));
        }
    }
}

fn unattended(recorded: &Recorded) -> Failure {
    let root = recorded.project.root.display();
    let failure =
        |what: &str| Failure::coded(Code::NotRunning, format!("{what}; shown is what was recorded"));
    if recorded.is_starting {
        return failure(&format!("a mothership of {root} is starting or stopping"))
            .hint("ask again in a moment");
    }
    if let Some(lease) = &recorded.lease {
        let left = time::duration(lease.remaining_ms(recorded.now_ms));
        let what = format!("no mothership runs at {root}, and {} ({}) leads", lease.holder, lease.purpose);
        return failure(&what).hint(format!(
            "ask it where it runs; if it is dead, its lease ends within {left}, and `flash state lease` says so"
        ));
    }
    let failure = failure(&format!("no mothership runs at {root}"));
    let project = of_project(&recorded.typed);
    if recorded.resources.values().all(|resource| resource.process != Process::Running) {
        return failure.hint(format!("`flash run{project}` starts it again"));
    }
    failure.hint(format!(
        "endpoints that run answer at their own URLs, and nobody looks after them: `flash mothership{project}` \
         does, and serves what was applied; `flash run{project}` applies the project's files"
    ))
}
