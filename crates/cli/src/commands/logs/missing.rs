//! Why there is no log of a resource on this machine.

use std::collections::BTreeSet;
use std::path::Path;

use flash_model::{Code, ResourceName, ResourceRecord, StateSnapshot};
use flash_providers::local::LocalEndpoints;

use crate::args::LogsArgs;
use crate::error::Failure;
use crate::project::Project;
use crate::run_dir::RunDir;
use crate::state_store::{StatePlace, refused};

pub(super) async fn why(
    args: &LogsArgs,
    root: &Path,
    run_dir: &RunDir,
    endpoints: &LocalEndpoints,
) -> Result<Failure, Failure> {
    let scope = Project::locate(root)?.scope();
    let state = match StatePlace::of(&args.state, run_dir)?.open_if_any().await? {
        Some(store) => store
            .snapshot(&scope)
            .await
            .map_err(|error| refused("whether there is such a resource cannot be read", &error))?,
        None => StateSnapshot::default(),
    };
    let record =
        ResourceName::new(args.resource.as_str()).ok().and_then(|name| state.records.get(&name).cloned());
    Ok(match record {
        Some(record) => not_here(&record, endpoints),
        None => unknown(&args.resource, &state, endpoints),
    })
}

fn not_here(record: &ResourceRecord, endpoints: &LocalEndpoints) -> Failure {
    let resource = &record.resource;
    if record.endpoint_id.is_some() && record.place.is_some() && record.place != endpoints.place() {
        return Failure::coded(Code::NoLogs, format!("the endpoint of {resource} is not on this machine"))
            .hint("its log is where it runs: use `flash logs` there, in the project's folder");
    }
    let reason = record.status_reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    let since =
        if record.endpoint_id.is_some() { "has no endpoint here any more" } else { "has never run here" };
    Failure::coded(Code::NoLogs, format!("{resource} {since}; it is {}{reason}", record.status))
        .hint("`flash run` starts it; `flash status` says how far it is")
}

fn unknown(resource: &str, state: &StateSnapshot, endpoints: &LocalEndpoints) -> Failure {
    let here = endpoints.ids().unwrap_or_default();
    let here = here.iter().filter_map(|id| endpoints.owner(id).ok()?).map(|owner| owner.resource);
    let known: BTreeSet<ResourceName> = here.chain(state.records.keys().cloned()).collect();
    let known: Vec<&str> = known.iter().map(ResourceName::as_str).collect();
    let hint = match known.as_slice() {
        [] => "nothing was ever started here; `flash run` starts what the project names".to_owned(),
        known => format!("there are: {}", known.join(", ")),
    };
    Failure::coded(Code::NoLogs, format!("there is no resource {resource} here")).hint(hint)
}
