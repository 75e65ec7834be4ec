//! `flash serve`: one endpoint's process, told by the environment who it is.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::str::FromStr;

use flash_client::TrustedRoots;
use flash_model::{AppName, EndpointId, EnvironmentName, MothershipId, Owner, ResourceName, Scope, Secret};
use flash_model::{InvalidName, child_environment as names};
use flash_runtime::{CorsOrigins, GpuSettings, InvalidOrigin, Log, Recycling, Settings, TraceExport};

use crate::environment;
use crate::error::Failure;

/// Python runs one at a time anyway but for what waits or computes outside of it.
const SYNC_THREADS_MAX: u32 = 64;

pub(crate) fn serve() -> Result<(), Failure> {
    let log = Log::default();
    follow_itself(&log);
    let settings = settings(log)?;
    // One thread: a request crosses no core but its worker's, and what can be parallel is in the workers.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::because("the async runtime cannot be started", &error))?;
    runtime
        .block_on(flash_runtime::serve(settings))
        .map_err(|error| Failure::because("this endpoint cannot be served", &error))
}

/// What this program says, its panics too, goes to the endpoint's log; `FLASH_LOG` chooses what.
fn follow_itself(log: &Log) {
    let log = log.clone();
    crate::log::to_log("info", move || log.clone());
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        tracing::error!("{panic}");
        print(panic);
    }));
}

fn settings(log: Log) -> Result<Settings, Failure> {
    let scope = Scope {
        app: name(names::APP, AppName::new)?,
        environment: name(names::ENVIRONMENT, EnvironmentName::new)?,
    };
    Ok(Settings {
        endpoint_id: name(names::ENDPOINT_ID, EndpointId::new)?,
        owner: Owner { scope, resource: name(names::RESOURCE_NAME, ResourceName::new)? },
        mothership_id: name(names::MOTHERSHIP_ID, MothershipId::new)?,
        mothership_url: environment::text(names::MOTHERSHIP_URL),
        token: Secret::new(required(names::TOKEN)?),
        manifest_path: path(names::MANIFEST_PATH)?,
        import_root: path(names::IMPORT_ROOT)?,
        python: path(names::WORKER_PYTHON)?,
        sdk_path: path(names::SDK_PATH)?,
        endpoint_dir: path(names::ENDPOINT_DIR)?,
        queue_dir: environment::path(names::QUEUE_DIR),
        cors_origins: cors_origins()?,
        recycling: Recycling {
            calls_max: limit(names::WORKER_CALLS_MAX)?,
            bytes_max: limit(names::WORKER_BYTES_MAX)?,
        },
        sync_threads: sync_threads()?,
        log,
        gpus: GpuSettings {
            count: environment::text(names::GPUS).map(|_| parsed(names::GPUS, 0)).transpose()?,
            visible: environment::text(names::VISIBLE_GPUS),
            locks_dir: GpuSettings::locks_dir_of_user(),
        },
        limits_workers: match environment::text(names::WORKER_LIMITS).as_deref() {
            None | Some("on") => true,
            Some("off") => false,
            Some(other) => {
                let wrong = format!("{} is not right: {other:?}", names::WORKER_LIMITS);
                return Err(Failure::new(wrong).hint("set it to `off` or leave it out"));
            }
        },
        trusted_roots: TrustedRoots {
            file: environment::path(names::CERTIFICATES_FILE),
            dir: environment::path(names::CERTIFICATES_DIR),
        },
        trace_export: trace_export(),
        host: parsed(names::HOST, IpAddr::from(Ipv4Addr::LOCALHOST))?,
        port: parsed(names::PORT, 0)?,
    })
}

fn required(variable: &'static str) -> Result<String, Failure> {
    environment::text(variable).ok_or_else(|| missing(variable))
}

fn path(variable: &'static str) -> Result<PathBuf, Failure> {
    environment::path(variable).ok_or_else(|| missing(variable))
}

fn name<T>(
    variable: &'static str,
    parse: impl FnOnce(String) -> Result<T, InvalidName>,
) -> Result<T, Failure> {
    parse(required(variable)?).map_err(|error| Failure::because(format!("{variable} is not right"), &error))
}

fn parsed<T: FromStr>(variable: &'static str, default: T) -> Result<T, Failure> {
    match environment::text(variable) {
        Some(text) => text.parse().map_err(|_| Failure::new(format!("{variable} is not right: {text:?}"))),
        None => Ok(default),
    }
}

/// None = as many as it may be.
fn limit(variable: &'static str) -> Result<Option<u64>, Failure> {
    let limit: u64 = parsed(variable, u64::MAX)?;
    match limit {
        0 => Err(Failure::new(format!("{variable} is not right: a worker must be good for something"))),
        limit => Ok((limit < u64::MAX).then_some(limit)),
    }
}

fn sync_threads() -> Result<NonZeroU32, Failure> {
    let threads: NonZeroU32 = parsed(names::SYNC_THREADS, NonZeroU32::MIN)?;
    if threads.get() > SYNC_THREADS_MAX {
        let wrong = format!("{} is not right: {threads}", names::SYNC_THREADS);
        return Err(Failure::new(wrong).hint(format!("a worker has {SYNC_THREADS_MAX} at most")));
    }
    Ok(threads)
}

fn cors_origins() -> Result<Option<CorsOrigins>, Failure> {
    let origins = environment::text(names::CORS_ORIGINS).map(|text| text.parse()).transpose();
    origins.map_err(|error: InvalidOrigin| {
        Failure::because(format!("{} is not right", names::CORS_ORIGINS), &error)
    })
}

/// These variables are everybody's, the user's own code among them, so a wrong one ends no endpoint.
fn trace_export() -> Option<TraceExport> {
    TraceExport::of(environment::text).unwrap_or_else(|wrong| {
        tracing::warn!(%wrong, "no spans are exported");
        None
    })
}

fn missing(variable: &str) -> Failure {
    Failure::new(format!("{variable} is not set"))
        .hint("`flash serve` is started by a mothership; to run a project use `flash run`")
}
