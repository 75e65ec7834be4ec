//! Starting, stopping and asking the process of a local endpoint.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use flash_client::{Endpoint, Ping};
use flash_model::{EndpointId, Health, child_environment as names};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::LocalSettings;
use super::folder::Folder;
use crate::Error;
use crate::provider::EndpointRequest;

const START_TIMEOUT: Duration = Duration::from_secs(15);
/// Longer than an endpoint takes that is told to end soon.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// What an endpoint with nothing in hand takes to end, usually.
const IDLE_STOP_TIMEOUT: Duration = Duration::from_secs(2);
const KILL_TIMEOUT: Duration = Duration::from_secs(5);
const POLL_PAUSE: Duration = Duration::from_millis(5);
const LOG_TAIL_LINES: usize = 20;
/// At a start. What an endpoint says while it runs goes to a log of its own (`flash_runtime::Log`).
const LOG_BYTES_MAX: u64 = 10 * 1024 * 1024;

/// Returns the URL once the port is open. `on_exit` is called when the process ends, however that happens.
pub(super) async fn start(
    folder: &Folder,
    endpoint_id: &EndpointId,
    request: &EndpointRequest,
    settings: &LocalSettings,
    python: &Path,
    queue_dir: Option<&Path>,
    on_exit: impl FnOnce() + Send + 'static,
) -> Result<String, Error> {
    if !folder.is_locked()? {
        folder.forget_announcement()?;
    }
    let mut child = command(folder, endpoint_id, request, settings, python, queue_dir)
        .and_then(|mut command| command.spawn())
        .map_err(|source| Error::Spawn { endpoint_id: endpoint_id.clone(), source })?;
    let deadline = Instant::now() + START_TIMEOUT;
    let announcement = loop {
        if let Some(announcement) = folder.announcement()? {
            break announcement;
        }
        if let Ok(Some(status)) = child.try_wait() {
            let log = folder.log_tail(LOG_TAIL_LINES);
            return Err(Error::Exited { endpoint_id: endpoint_id.clone(), status: status.to_string(), log });
        }
        if Instant::now() > deadline {
            let _ = child.start_kill();
            return Err(Error::StartTimeout { endpoint_id: endpoint_id.clone(), waited: START_TIMEOUT });
        }
        sleep(POLL_PAUSE).await;
    };
    let endpoint_id = endpoint_id.clone();
    tokio::spawn(async move {
        let status = child.wait().await;
        tracing::debug!(%endpoint_id, ?status, "endpoint process ended");
        on_exit();
    });
    Ok(announcement.url)
}

/// Keeps one earlier log beside the current one.
fn rotate(log: &Path) -> std::io::Result<()> {
    match fs_err::metadata(log) {
        Ok(metadata) if metadata.len() > LOG_BYTES_MAX => fs_err::rename(log, log.with_extension("log.1")),
        _ => Ok(()),
    }
}

/// A process group of its own: the terminal's Ctrl+C is the mothership's, and stopping takes the workers along.
fn command(
    folder: &Folder,
    endpoint_id: &EndpointId,
    request: &EndpointRequest,
    settings: &LocalSettings,
    python: &Path,
    queue_dir: Option<&Path>,
) -> std::io::Result<Command> {
    rotate(&folder.log_path())?;
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.log_path())?;
    let mut command = Command::new(&settings.flash);
    command
        .arg("serve")
        .current_dir(&settings.import_root)
        .env_remove(names::HOST)
        .env_remove(names::STATE_URL)
        .env_remove(names::STATE_TOKEN)
        .envs(request.environment.iter().map(|(name, value)| (name, value.expose())))
        .env(names::RESOURCE_NAME, request.owner.resource.as_str())
        .env(names::ENDPOINT_ID, endpoint_id.as_str())
        .env(names::APP, request.owner.scope.app.as_str())
        .env(names::ENVIRONMENT, request.owner.scope.environment.as_str())
        .env(names::MOTHERSHIP_ID, request.mandate.mothership_id.as_str())
        .env(names::MOTHERSHIP_URL, &request.mothership_url)
        .env(names::TOKEN, request.token.expose())
        .env(names::MANIFEST_PATH, folder.manifest_path())
        .env(names::IMPORT_ROOT, &settings.import_root)
        .env(names::WORKER_PYTHON, python)
        .env(names::SDK_PATH, &settings.sdk_path)
        .env(names::ENDPOINT_DIR, folder.path())
        .env(names::PORT, "0")
        .env_remove(names::QUEUE_DIR)
        .envs(queue_dir.map(|dir| (names::QUEUE_DIR, dir)))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .kill_on_drop(false);
    Ok(command)
}

/// Has the process end within seconds, whatever it has in hand. Nothing to do if none runs.
pub(super) async fn stop(folder: &Folder, endpoint_id: &EndpointId) -> Result<(), Error> {
    if is_gone_within(folder, Signal::INT, STOP_TIMEOUT).await? {
        return Ok(());
    }
    if let Some(pid) = pid(folder)? {
        let _ = kill_process_group(pid, Signal::KILL);
    }
    if is_gone_within(folder, Signal::KILL, KILL_TIMEOUT).await? {
        return Ok(());
    }
    Err(Error::StopTimeout { endpoint_id: endpoint_id.clone(), waited: STOP_TIMEOUT + KILL_TIMEOUT })
}

/// Has the process end when it has finished what it has in hand, and gives whether it is gone already.
pub(super) async fn drain(folder: &Folder) -> Result<bool, Error> {
    is_gone_within(folder, Signal::TERM, IDLE_STOP_TIMEOUT).await
}

/// Of no effect on one that was told before, or has no process to tell yet.
pub(super) fn tell_to_drain(folder: &Folder) -> Result<(), Error> {
    if let Some(pid) = pid(folder)? {
        let _ = kill_process(pid, Signal::TERM);
    }
    Ok(())
}

/// Sends one signal, as soon as there is a process that it can be sent to.
async fn is_gone_within(folder: &Folder, signal: Signal, limit: Duration) -> Result<bool, Error> {
    let until = Instant::now() + limit;
    let mut is_asked = false;
    while folder.is_locked()? {
        if !is_asked && let Some(pid) = pid(folder)? {
            let _ = kill_process(pid, signal);
            is_asked = true;
        }
        if Instant::now() > until {
            return Ok(false);
        }
        sleep(POLL_PAUSE).await;
    }
    Ok(true)
}

/// Only good while its process holds the lock; none while that is still starting.
fn pid(folder: &Folder) -> Result<Option<Pid>, Error> {
    Ok(folder.announcement()?.and_then(|announcement| Pid::from_raw(announcement.pid.cast_signed())))
}

pub(super) async fn health(endpoint: &Endpoint) -> Health {
    match endpoint.ping().await {
        Ok(Ping::Healthy) => Health::Ready,
        Ok(Ping::Starting) => Health::Starting,
        Err(error) => match error.problem() {
            Some(problem) => {
                let exception = problem.exception.as_ref();
                let reason = exception.map(|exception| format!("{}: {}", exception.kind, exception.message));
                Health::Unhealthy { reason: reason.unwrap_or_else(|| problem.detail.clone()) }
            }
            None => Health::Unreachable { reason: error.to_string() },
        },
    }
}
