//! `flash run [PATH]`: the whole project on this machine, in the foreground, until Ctrl+C.

mod listen;
mod port_holder;
mod prepare;
mod reload;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flash_model::wire::MothershipAnnouncement;
use flash_model::{Code, ResourceName, Secret};
use flash_mothership::{
    Desired, Front, FrontSettings, LeaseSettings, Mothership, ReconcileSettings, StartError,
};
use flash_providers::LocalProvider;
use flash_providers::local::python::Cancel;
use flash_scan::Scan;

use super::interrupts::Interrupts;
use crate::args::RunArgs;
use crate::error::Failure;
use crate::printer::Printer;
use crate::project::{CodeFrom, Project};
use crate::run_dir::RunDir;
use crate::state_store::{StatePlace, refused};

/// A local process that died is noticed at once; this is for those that an earlier mothership started.
const RECONCILE_PERIOD: Duration = Duration::from_secs(2);
/// The project's lock file, which the state lies beside.
const LEASE_SEAT: &str = "mothership.lock";
/// For installers to end once they are told to.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) fn run(args: &RunArgs, printer: Printer) -> Result<(), Failure> {
    let started = Instant::now();
    super::log("warn", printer);
    let project = Project::locate(&args.path)?;
    let run_dir = RunDir::of(&project.root);
    run_dir.create()?;
    let state = StatePlace::of(&args.state, &run_dir)?;
    let _lock = run_dir.lock()?;
    let token = run_dir.token()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::because("the async runtime cannot be started", &error))?;
    let result = runtime.block_on(async {
        let listener = listen::bind(args.host, args.port).await?;
        let front =
            Front::open(FrontSettings { project_name: project.name.clone(), listener, token: token.clone() })
                .map_err(|error| Failure::because("the server cannot be started", &error))?;
        Session { args, project, run_dir: run_dir.clone(), state, token, printer, started }.run(front).await
    });
    // A package installation that was interrupted must not be waited for.
    runtime.shutdown_background();
    run_dir.withdraw_announcement();
    result
}

struct Session<'a> {
    args: &'a RunArgs,
    project: Project,
    run_dir: RunDir,
    state: StatePlace,
    token: Secret,
    printer: Printer,
    started: Instant,
}

impl Session<'_> {
    async fn run(self, front: Front) -> Result<(), Failure> {
        let mut interrupted = Interrupts::new()?;
        let cancel = Cancel::default();
        let url = front.url().to_owned();
        let preparing = self.prepare(&url, cancel.clone());
        tokio::pin!(preparing);
        let (scan, provider) = tokio::select! {
            prepared = &mut preparing => prepared?,
            () = interrupted.next() => {
                cancel.cancel();
                let _ = tokio::time::timeout(CANCEL_TIMEOUT, preparing).await;
                self.printer.notice("stopped before anything was started");
                return Ok(());
            }
        };
        let mothership = self.reconcile(front, provider).await?;
        let handle = mothership.handle();
        let watching = watch::Watch::new(handle.clone(), self.printer, self.started);
        let desired = desired(scan);
        let reload = reload::Reload::new(self.project.clone(), handle.clone(), self.printer, desired.clone());
        handle.set_desired(desired);
        tokio::select! {
            () = watching.run() => {}
            () = self.reload(reload) => {}
            () = interrupted.next() => {}
        }
        cancel.cancel();
        self.printer.notice("stopping endpoints …");
        tokio::select! {
            stopped = mothership.stop_with_endpoints() => {
                stopped.map_err(|error| Failure::because("not every endpoint could be stopped", &error))?;
                self.printer.notice("stopped");
                Ok(())
            }
            () = interrupted.next() => {
                Err(Failure::new("interrupted while stopping; some endpoints may still run")
                    .hint("`flash run` finds them again and takes them over"))
            }
        }
    }

    /// Never ends.
    async fn reload(&self, reload: reload::Reload) {
        if !self.args.no_reload {
            reload.run().await;
        }
        std::future::pending().await
    }

    /// Reads the project and makes everything that endpoints need, before any of them is started.
    async fn prepare(&self, url: &str, cancel: Cancel) -> Result<(Scan, LocalProvider), Failure> {
        let (project, printer) = (self.project.clone(), self.printer);
        let scanned = blocking(move || {
            let begun = Instant::now();
            let scan = project.scan(&project.select()?, CodeFrom::Folder, printer)?;
            Ok((scan, begun.elapsed()))
        });
        let (scan, took) = scanned.await?;
        self.printer.notice(format_args!(
            "{} at {url}: {} in {}, read in {:.1} ms",
            self.project.name,
            counted(scan.manifest.function_registry.len(), "function"),
            counted(scan.manifest.resources.len(), "resource"),
            took.as_secs_f64() * 1000.0
        ));
        let provider =
            prepare::provider(self.args, &self.project, &self.run_dir, self.printer, &scan, cancel).await?;
        self.note_what_is_left_out(&scan);
        let gpus: Vec<&str> = scan
            .manifest
            .resources
            .iter()
            .filter(|(_, resource)| resource.spec.hardware.is_gpu())
            .map(|(name, _)| name.as_str())
            .collect();
        if !gpus.is_empty() && !LocalProvider::has_gpu() {
            let gpus = gpus.join(", ");
            self.printer
                .note(Code::NoGpu, format_args!("no GPU on this machine; on the CPU instead: {gpus}"));
        }
        Ok((scan, provider))
    }

    /// What projects may count on and this machine is not made to give.
    fn note_what_is_left_out(&self, scan: &Scan) {
        let system: BTreeSet<&str> = scan
            .manifest
            .resources
            .values()
            .flat_map(|resource| resource.spec.system_dependencies.iter().map(String::as_str))
            .collect();
        if !system.is_empty() {
            let packages = system.into_iter().collect::<Vec<_>>().join(", ");
            self.printer
                .notice(format_args!("note: system packages are not installed by flash run: {packages}"));
        }
        if self.project.root.join(".env").exists() {
            self.printer.notice(
                "note: .env is not read; export what endpoints need and name it: env={\"KEY\": os.environ[\"KEY\"]}",
            );
        }
    }

    async fn reconcile(&self, front: Front, provider: LocalProvider) -> Result<Mothership, Failure> {
        let mut lease = LeaseSettings::new("flash run")
            .map_err(|error| Failure::because("no randomness on this machine", &error))?;
        if self.state.is_the_projects_own() {
            // We hold the project's lock, so whoever led from under it before is dead and need not be waited for.
            lease = lease.seat(LEASE_SEAT);
        }
        let store = self.state.open().await?;
        let settings = ReconcileSettings {
            period: RECONCILE_PERIOD,
            ..ReconcileSettings::new(self.project.scope(), store, Arc::new(provider), lease)
        };
        let mothership = front.reconcile(settings).await.map_err(|error| match error {
            StartError::Store(error) => refused("the state cannot be read", &error),
            error => Failure::because("the mothership cannot be started", &error),
        })?;
        let handle = mothership.handle();
        self.run_dir.announce(&MothershipAnnouncement {
            mothership_id: handle.mothership_id().clone(),
            url: handle.url().to_owned(),
            pid: std::process::id(),
            token: self.token.expose().to_owned(),
        })?;
        Ok(mothership)
    }
}

/// Values named in the source (`env={…}`), and those that the source takes from this process's environment.
fn desired(scan: Scan) -> Desired {
    let mut environment: BTreeMap<ResourceName, BTreeMap<String, Secret>> = BTreeMap::new();
    for (resource, values) in scan.environment {
        let values = values.into_iter().map(|(name, value)| (name, Secret::new(value)));
        environment.entry(resource).or_default().extend(values);
    }
    for (resource, sources) in scan.inherited {
        let values = sources
            .into_iter()
            .filter_map(|(name, source)| Some((name, Secret::new(crate::environment::text(&source)?))));
        environment.entry(resource).or_default().extend(values);
    }
    Desired { manifest: Arc::new(scan.manifest), environment }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Failure::because("a background task failed", &error)),
    }
}

fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}
