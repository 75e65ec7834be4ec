//! Puts an endpoint together, runs it and takes it down in order.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flash_client::Transport;
use flash_model::wire::{EndpointAnnouncement, IdentityResponse};
use flash_model::{EndpointKind, Manifest, ManifestError, Resource, ResourceName};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Settings;
use crate::discovery::Discovery;
use crate::endpoint_dir::EndpointDir;
use crate::functions::Functions;
use crate::gateway::{Compressor, Docs, Front, Gateway, Guard, Jobs, Proxy, Routes, Server};
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::queue::dispatcher::Dispatcher;
use crate::queue::webhook::Deliverer;
use crate::relay::Relay;
use crate::stop::{CUT_OFF_TIMEOUT, Cutoff, Signals, Stop};
use crate::trace::Exporter;
use crate::worker::Pool;
use crate::worker::gpus::Gpus;
use crate::worker::limits::Limits as WorkerLimits;
use crate::worker::pool::Limits;
use crate::worker::process::Launch;

/// Before what is in hand is cut off: callers that wait for a job are told how far it is. Jobs that nobody here runs any
/// more may be run meanwhile by the resource's next version.
const TELL_TIME: Duration = Duration::from_secs(1);
/// For workers with nothing in hand to end.
const WORKERS_TIMEOUT: Duration = Duration::from_secs(5);
/// To write down what became of jobs whose workers are gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(4);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("another process serves this endpoint already: {} is locked", lock.display())]
    AlreadyRunning { lock: PathBuf },
    #[error(transparent)]
    EndpointDir(crate::endpoint_dir::Error),
    #[error("cannot read {}", path.display())]
    ReadManifest {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{} is not usable", path.display())]
    Manifest {
        path: PathBuf,
        #[source]
        source: ManifestError,
    },
    #[error("{} has no resource {resource}", path.display())]
    NoResource { path: PathBuf, resource: ResourceName },
    #[error(transparent)]
    Routes(#[from] crate::gateway::RoutesError),
    #[error(transparent)]
    Queue(#[from] crate::queue::Error),
    #[error("the log in {} cannot be written", folder.display())]
    Log {
        folder: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
}

impl From<crate::endpoint_dir::Error> for Error {
    fn from(error: crate::endpoint_dir::Error) -> Self {
        match error {
            crate::endpoint_dir::Error::AlreadyRunning(lock) => Self::AlreadyRunning { lock },
            other => Self::EndpointDir(other),
        }
    }
}

/// Serves until SIGTERM, which lets it finish what it has in hand, or SIGINT, which gives it seconds; and until the
/// endpoint's folder is gone.
pub async fn serve(settings: Settings) -> Result<(), Error> {
    let signals = Signals::listen().map_err(Error::Signals)?;
    let (stop, told) = watch::channel(None);
    tokio::select! {
        served = serve_until(settings, told) => served,
        never = signals.forward(stop) => match never {},
    }
}

/// Serves until `told` to stop, or until whoever could tell is gone. Then nothing new is accepted, what is in hand may finish
/// for as long as is said, and workers are ended.
pub async fn serve_until(settings: Settings, told: watch::Receiver<Option<Stop>>) -> Result<(), Error> {
    let (project_name, resource) = read_resource(&settings)?;
    let dir = EndpointDir::open(&settings.endpoint_dir)?;
    let folder = settings.endpoint_dir.clone();
    let _writing = settings.log.open(&folder).map_err(|source| Error::Log { folder, source })?;
    serve_in(&dir, settings, &project_name, resource, told).await.inspect_err(|error| {
        tracing::error!(
            error = error as &(dyn std::error::Error + 'static),
            "this endpoint cannot be served"
        );
    })
}

async fn serve_in(
    dir: &EndpointDir,
    settings: Settings,
    project_name: &str,
    resource: Resource,
    mut told: watch::Receiver<Option<Stop>>,
) -> Result<(), Error> {
    let spec = &resource.spec;
    let functions = Arc::new(Functions::of(&resource));
    let transport = Transport::new().trusting(settings.trusted_roots.clone());
    let metrics = Arc::new(Metrics::new(&settings.owner.resource, &settings.endpoint_id));
    let exporting = settings.trace_export.as_ref().map(|export| {
        let who = (&settings.owner, &settings.endpoint_id);
        Exporter::start(export, who, transport.clone(), Arc::clone(&metrics))
    });
    let (exporter, tracer) = exporting.unzip();
    let tracer = tracer.unwrap_or_default();
    let discovery = Discovery::new(dir.routes(), settings.mothership_url.clone());
    let relay = Relay::new(
        Arc::clone(&functions),
        discovery.clone(),
        transport.clone(),
        settings.token.clone(),
        tracer.clone(),
    );
    let pool = Pool::new(
        Limits::of(spec, settings.recycling.calls_max, settings.sync_threads),
        spec.execution_timeout(),
        Arc::clone(&metrics),
        tracer.clone(),
    );

    let mut jobs = None;
    let front = match spec.kind {
        EndpointKind::LoadBalanced => {
            let docs = Docs::of(project_name, &settings.owner.resource, &resource);
            Front::Routes(Routes::of(&resource)?, docs)
        }
        EndpointKind::Asgi => Front::Application(Proxy::new()),
        EndpointKind::Queue => {
            let queue_dir = settings.queue_dir.as_ref().unwrap_or(&settings.endpoint_dir);
            let queue = Queue::open(queue_dir, settings.endpoint_id.as_str())?;
            queue.take_in_earlier().await;
            let is_sync = functions.has_sync();
            let prefix = settings.endpoint_id.as_str();
            let dispatcher = Dispatcher::new(queue.clone(), pool.clone(), is_sync, prefix);
            jobs = Some((queue.clone(), dispatcher.clone()));
            Front::Jobs(Jobs { queue, dispatcher })
        }
    };

    let address = SocketAddr::new(settings.host, settings.port);
    let server = Server::bind(address).await.map_err(|source| Error::Listen { address, source })?;
    let announcement = EndpointAnnouncement {
        endpoint_id: settings.endpoint_id.clone(),
        owner: settings.owner.clone(),
        pid: std::process::id(),
        url: format!("http://{}", reachable(server.address())),
    };
    let identity = IdentityResponse {
        endpoint_id: settings.endpoint_id.clone(),
        owner: settings.owner.clone(),
        pid: announcement.pid,
    };
    let launch = Arc::new(launch(&settings, &resource));
    let gateway = Gateway {
        front,
        functions,
        pool: pool.clone(),
        metrics,
        tracer: tracer.clone(),
        guard: Guard::new(server.address()),
        cors: settings.cors_origins.clone(),
        compressor: Compressor::new(),
        token: settings.token.clone(),
        is_live: resource.is_live_resource,
        discovery: discovery.clone(),
        identity,
        worker_limits: launch.limits.said(),
    };
    tracing::info!(
        endpoint = %settings.endpoint_id, resource = %settings.owner.resource, kind = gateway.kind().label(),
        mothership = %settings.mothership_id, url = announcement.url, "endpoint listens"
    );

    // Dropped with this future, whatever way it ends.
    let mut tasks = JoinSet::new();
    if spec.flashboot && spec.workers_min < spec.workers_max.max(1) {
        let (pool, launch) = (pool.clone(), Arc::clone(&launch));
        tasks.spawn(async move { pool.keep_template(&launch).await });
    }
    tasks.spawn({
        let pool = pool.clone();
        async move { pool.supervise(launch, relay).await }
    });
    tasks.spawn({
        let pool = pool.clone();
        async move { pool.stay_awake().await }
    });
    if let Some(bytes_max) = settings.recycling.bytes_max {
        let pool = pool.clone();
        tasks.spawn(async move { pool.watch_sizes(bytes_max).await });
    }
    let token = settings.token.clone();
    tasks.spawn({
        let transport = transport.clone();
        async move { discovery.follow(transport, token).await }
    });
    let (stopping, _) = watch::channel(false);
    let used = jobs.as_ref().map(|(queue, _)| queue.clone());
    let mut dispatching = JoinSet::new();
    if let Some((queue, dispatcher)) = jobs {
        let (turns, sweeper) = (queue.turns(), queue.clone());
        let timekeeper = queue.clone();
        tasks.spawn(async move { sweeper.sweep().await });
        tasks.spawn(async move { timekeeper.keep_time().await });
        let deliverer = Deliverer::new(queue.clone(), transport.clone(), settings.token.clone(), tracer);
        tasks.spawn(async move { deliverer.run().await });
        tasks.spawn(async move { queue.follow_others().await });
        let stopping = stopping.subscribe();
        dispatching.spawn(async move { dispatcher.run(turns, stopping).await });
    }
    dir.announce(&announcement)?;

    let cutoff = Cutoff::new();
    tasks.spawn({
        let (cutoff, drain_timeout, mut told) = (cutoff.clone(), spec.drain_timeout(), told.clone());
        async move { cutoff.follow(&mut told, drain_timeout).await }
    });
    let stop = async {
        tokio::select! {
            _ = told.wait_for(Option::is_some) => {}
            () = dir.lost() => cutoff.set(Stop::Soon, Duration::ZERO),
            () = lost(used.as_ref()) => cutoff.set(Stop::Soon, Duration::ZERO),
        }
        tracing::info!("stopping");
        stopping.send_replace(true);
        if let Some(queue) = used.clone() {
            let cutoff = cutoff.clone();
            tasks.spawn(async move {
                cutoff.reached(TELL_TIME).await;
                queue.end_waits();
            });
        }
    };
    let gateway = Arc::new(gateway);
    server.run(Arc::clone(&gateway), stop, cutoff.clone()).await;
    let workers_timeout = tokio::select! {
        () = async { while dispatching.join_next().await.is_some() {} } => WORKERS_TIMEOUT,
        () = cutoff.reached(Duration::ZERO) => CUT_OFF_TIMEOUT,
    };
    pool.drain(workers_timeout).await;
    // Over WebSockets that were still open, their workers have said goodbye now.
    drop(gateway);
    // Their workers are gone, so these only have to write that down.
    let _ = tokio::time::timeout(WRITE_TIMEOUT, dispatching.join_next()).await;
    if let Some(exporter) = exporter {
        exporter.flush().await;
    }
    dir.withdraw();
    tracing::info!("stopped");
    Ok(())
}

async fn lost(queue: Option<&Queue>) {
    match queue {
        Some(queue) => queue.dir().lost().await,
        None => std::future::pending().await,
    }
}

/// With the project's name.
fn read_resource(settings: &Settings) -> Result<(String, Resource), Error> {
    let path = || settings.manifest_path.clone();
    let text = std::fs::read_to_string(&settings.manifest_path)
        .map_err(|source| Error::ReadManifest { path: path(), source })?;
    let mut manifest =
        Manifest::from_json(&text).map_err(|source| Error::Manifest { path: path(), source })?;
    let resource = &settings.owner.resource;
    match manifest.resources.remove(resource) {
        Some(found) => Ok((manifest.project_name, found)),
        None => Err(Error::NoResource { path: path(), resource: resource.clone() }),
    }
}

fn launch(settings: &Settings, resource: &Resource) -> Launch {
    let start = serde_json::json!({
        "resource": settings.owner.resource,
        "kind": resource.spec.kind,
        "asgi": resource.spec.asgi,
        "functions": resource.functions,
        "sync_threads": settings.sync_threads,
        "import_root": settings.import_root,
        "import_paths": import_paths(&settings.import_root, resource),
    });
    let mut template_start = start.clone();
    template_start["template"] = true.into();
    Launch {
        python: settings.python.clone(),
        sdk_path: settings.sdk_path.clone(),
        import_root: settings.import_root.clone(),
        start: Bytes::from(start.to_string()),
        template_start: Bytes::from(template_start.to_string()),
        log: settings.log.clone(),
        prefix: settings.endpoint_id.to_string(),
        gpus: Gpus::of(&settings.gpus, &resource.spec),
        limits: WorkerLimits::of(&resource.spec, settings.limits_workers),
    }
}

/// Folders between the import root and the resource's files, those of its functions first and the nearest first: a project
/// inside another folder imports its siblings from there.
fn import_paths(import_root: &Path, resource: &Resource) -> Vec<PathBuf> {
    let root = std::path::absolute(import_root).unwrap_or_else(|_| import_root.to_owned());
    let functions = resource.functions.iter().map(|function| function.file.as_str());
    let mut paths = Vec::new();
    for file in functions.chain(resource.files.iter().map(String::as_str)) {
        let folders = Path::new(file).ancestors().skip(1);
        // Nothing outside the project, whatever the manifest says.
        let inside =
            |folder: &&Path| folder.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        for folder in folders.filter(inside) {
            let path = root.join(folder);
            if path != root && folder != Path::new("src") && !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    paths
}

/// Where this machine reaches a server that listens everywhere.
fn reachable(mut bound: SocketAddr) -> SocketAddr {
    if bound.ip().is_unspecified() {
        bound.set_ip(match bound {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    bound
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn import_paths_are_the_folders_of_functions_then_of_other_files() {
        let resource: Resource = serde_json::from_value(serde_json::json!({
            "spec": {
                "kind": "queue", "hardware": {"type": "cpu", "instanceIds": []}, "workersMin": 0, "workersMax": 1,
                "idleTimeout": 60, "scaler": {"type": "QUEUE_DELAY", "value": 4}, "executionTimeoutMs": 0,
                "maxConcurrency": 1, "flashboot": false,
            },
            "resource_type": "", "handler_file": "", "is_load_balanced": false, "is_live_resource": true,
            "config_variable": null, "imports": [], "code_digest": "", "config_hash": "",
            "functions": [
                {"name": "f", "module": "a.b.main", "file": "a/b/main.py", "is_async": false, "is_class": false},
                {"name": "g", "module": "main", "file": "main.py", "is_async": false, "is_class": false},
            ],
            "files": ["../x/out.py", "/etc/x.py", "a/b/main.py", "a/c/d.py", "main.py", "src/p/q.py"],
        }))
        .unwrap();
        let expected = ["/p/a/b", "/p/a", "/p/a/c", "/p/src/p"].map(PathBuf::from);
        assert_eq!(import_paths(Path::new("/p"), &resource), expected);
    }
}
