//! What every command that is a mothership does before it is one: a port, the project, Python, the state.

mod desired;
mod listen;
mod port_holder;
mod prepare;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flash_model::wire::MothershipAnnouncement;
use flash_model::{Code, Secret, child_environment};
use flash_mothership::{
    Front, FrontSettings, Handle, LeaseSettings, Mothership, ReconcileSettings, StartError,
};
use flash_providers::LocalProvider;
use flash_providers::local::python::Cancel;
use flash_scan::Scan;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::{ListenArgs, StateUrlArgs};
use crate::error::Failure;
use crate::printer::Printer;
use crate::project::{CodeFrom, Project};
use crate::run_dir::RunDir;
use crate::state_store::{StatePlace, refused};

pub(super) use desired::{desired, source};

/// The project's lock file, which the state lies beside.
pub(super) const LEASE_SEAT: &str = "mothership.lock";

#[derive(Debug, Clone)]
pub(super) struct Boot {
    pub(super) project: Project,
    pub(super) run_dir: RunDir,
    pub(super) state: StatePlace,
    /// Asked for by the person; else the best that is found.
    pub(super) python: Option<PathBuf>,
    pub(super) printer: Printer,
}

impl Boot {
    pub(super) fn new(
        path: &Path,
        state: &StateUrlArgs,
        python: Option<PathBuf>,
        printer: Printer,
    ) -> Result<Self, Failure> {
        refuse_inside_an_endpoint()?;
        let project = Project::locate(path)?;
        let run_dir = RunDir::of(&project.root);
        let state = StatePlace::of(state, &run_dir)?;
        Ok(Self { project, run_dir, state, python, printer })
    }

    /// `/ping` answers when this returns.
    pub(super) async fn front(&self, listen: &ListenArgs, token: &Secret) -> Result<Front, Failure> {
        self.reach_state().await?;
        let listener = listen::bind(listen.host, listen.port).await?;
        let needs_token = listen.needs_token();
        let (project_name, token) = (self.project.name.clone(), token.clone());
        let front = Front::open(FrontSettings { project_name, listener, token, needs_token })
            .map_err(|error| Failure::because("the server cannot be started", &error))?;
        if needs_token {
            let header = "-H \"Authorization: Bearer $(cat .flash/run/token)\"";
            self.printer.notice(format_args!("note: callers need the project's token: curl {header} …"));
        }
        Ok(front)
    }

    /// A state elsewhere that is not there, or does not let us in, is found out before anything is promised.
    async fn reach_state(&self) -> Result<(), Failure> {
        if self.state.file().is_some() {
            return Ok(());
        }
        self.printer.notice(format_args!("state at {}", self.state.shown()));
        let store = self.state.open().await?;
        let asked = store.pulse(&self.project.scope()).await;
        asked.map(drop).map_err(|error| refused("the state cannot be read", &error))
    }

    /// Reads the project, and says how long that took.
    pub(super) async fn scan(&self) -> Result<(Scan, Duration), Failure> {
        let (project, printer) = (self.project.clone(), self.printer);
        blocking(move || {
            let begun = Instant::now();
            let scan = project.scan(&project.select()?, CodeFrom::Folder, printer)?;
            Ok((scan, begun.elapsed()))
        })
        .await
    }

    /// Makes everything that endpoints need, before any of them is started.
    pub(super) async fn provider(&self, scan: &Scan, cancel: Cancel) -> Result<LocalProvider, Failure> {
        let provider = prepare::provider(self, scan, cancel).await?;
        self.note_what_is_left_out(scan);
        Ok(provider)
    }

    /// As what to ask to lead. `is_locked` says that this process holds the project's lock: whoever led from under it before
    /// is dead then, and need not be waited for.
    pub(super) fn lease(&self, purpose: &str, is_locked: bool) -> Result<LeaseSettings, Failure> {
        let lease = LeaseSettings::new(purpose)
            .map_err(|error| Failure::because("no randomness on this machine", &error))?;
        Ok(if is_locked && self.state.is_the_projects_own() { lease.seat(LEASE_SEAT) } else { lease })
    }

    /// The front becomes a mothership of `scope`.
    pub(super) async fn start(
        &self,
        front: Front,
        settings: ReconcileSettings,
    ) -> Result<Mothership, Failure> {
        let mothership = front.reconcile(settings).await.map_err(|error| match error {
            StartError::Store(error) => refused("the state cannot be read", &error),
            error => Failure::because("the mothership cannot be started", &error),
        })?;
        look_again_when_signalled(mothership.handle())?;
        Ok(mothership)
    }

    /// What projects may count on and this machine is not made to give.
    fn note_what_is_left_out(&self, scan: &Scan) {
        let resources = &scan.manifest.resources;
        let system: BTreeSet<&str> = resources
            .values()
            .flat_map(|resource| resource.spec.system_dependencies.iter().map(String::as_str))
            .collect();
        if !system.is_empty() {
            let packages = system.into_iter().collect::<Vec<_>>().join(", ");
            self.printer.notice(format_args!("note: system packages are not installed here: {packages}"));
        }
        if self.project.root.join(".env").exists() {
            self.printer.notice(
                "note: .env is not read; export what endpoints need and name it: env={\"KEY\": os.environ[\"KEY\"]}",
            );
        }
        let gpus: Vec<&str> = resources
            .iter()
            .filter(|(_, resource)| resource.spec.hardware.is_gpu())
            .map(|(name, _)| name.as_str())
            .collect();
        if !gpus.is_empty() && !LocalProvider::has_gpu() {
            let gpus = gpus.join(", ");
            self.printer
                .note(Code::NoGpu, format_args!("no GPU on this machine; on the CPU instead: {gpus}"));
        }
    }
}

/// `kill -USR1` for who does not want to wait for the period.
fn look_again_when_signalled(handle: Handle) -> Result<(), Failure> {
    let mut asked = signal(SignalKind::user_defined1())
        .map_err(|error| Failure::because("signals cannot be received", &error))?;
    let mut role = handle.role();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                changed = role.changed() => if changed.is_err() { return },
                asked = asked.recv() => match asked {
                    Some(()) => handle.look_again(),
                    None => return,
                },
            }
        }
    });
    Ok(())
}

/// A child never becomes a mothership: it would provision itself, without end.
fn refuse_inside_an_endpoint() -> Result<(), Failure> {
    match crate::environment::text(child_environment::ENDPOINT_ID) {
        None => Ok(()),
        Some(endpoint_id) => {
            let variable = child_environment::ENDPOINT_ID;
            Err(Failure::coded(
                Code::InsideEndpoint,
                format!("this is inside the endpoint {endpoint_id} ({variable} is set), which no mothership may be"),
            )
            .hint("start it outside of endpoints; functions call other endpoints by calling their functions"))
        }
    }
}

pub(super) fn announcement(handle: &Handle, token: &Secret) -> MothershipAnnouncement {
    MothershipAnnouncement {
        mothership_id: handle.mothership_id().clone(),
        url: handle.url().to_owned(),
        pid: std::process::id(),
        token: token.expose().to_owned(),
    }
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::because("the async runtime cannot be started", &error))
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Failure::because("a background task failed", &error)),
    }
}

pub(super) fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}
