//! `flash run [PATH]`: the whole project on this machine, in the foreground, until Ctrl+C.

mod reload;
mod watch;

use std::sync::Arc;
use std::time::{Duration, Instant};

use flash_model::Secret;
use flash_mothership::{Front, Mothership, ReconcileSettings};
use flash_providers::LocalProvider;
use flash_providers::local::python::Cancel;
use flash_scan::Scan;

use super::boot::{self, Boot, counted};
use super::interrupts::Interrupts;
use crate::args::RunArgs;
use crate::error::Failure;
use crate::printer::Printer;

/// For installers to end once they are told to.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) fn run(args: &RunArgs, printer: Printer) -> Result<(), Failure> {
    let started = Instant::now();
    crate::log::to_stderr("warn", printer);
    let boot = Boot::new(&args.path, &args.state, args.python.clone(), printer)?;
    let run_dir = boot.run_dir.clone();
    run_dir.create()?;
    let _lock = run_dir.lock()?;
    let token = run_dir.token()?;
    let runtime = boot::runtime()?;
    let result = runtime.block_on(async {
        let front = boot.front(&args.listen, &token).await?;
        Session { args, boot, token, started }.run(front).await
    });
    // A package installation that was interrupted must not be waited for.
    runtime.shutdown_background();
    run_dir.withdraw_announcement();
    result
}

struct Session<'a> {
    args: &'a RunArgs,
    boot: Boot,
    token: Secret,
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
                self.boot.printer.notice("stopped before anything was started");
                return Ok(());
            }
        };
        let mothership = self.reconcile(front, provider, &scan).await?;
        let handle = mothership.handle();
        let watching = watch::Watch::new(handle.clone(), self.boot.printer, self.started);
        let desired = boot::desired(scan);
        let reload = reload::Reload::new(
            self.boot.project.clone(),
            handle.clone(),
            self.boot.printer,
            desired.clone(),
        );
        handle.set_desired(desired);
        tokio::select! {
            () = watching.run() => {}
            () = self.reload(reload) => {}
            () = interrupted.next() => {}
        }
        cancel.cancel();
        self.boot.printer.notice("stopping endpoints …");
        tokio::select! {
            stopped = mothership.stop_with_endpoints() => {
                stopped.map_err(|error| Failure::because("not every endpoint could be stopped", &error))?;
                self.boot.printer.notice("stopped");
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
        let (scan, took) = self.boot.scan().await?;
        self.boot.printer.notice(format_args!(
            "{} at {url}: {} in {}, read in {:.1} ms",
            self.boot.project.name,
            counted(scan.manifest.function_registry.len(), "function"),
            counted(scan.manifest.resources.len(), "resource"),
            took.as_secs_f64() * 1000.0
        ));
        let provider = self.boot.provider(&scan, cancel).await?;
        Ok((scan, provider))
    }

    async fn reconcile(
        &self,
        front: Front,
        provider: LocalProvider,
        scan: &Scan,
    ) -> Result<Mothership, Failure> {
        let store = self.boot.state.open().await?;
        let lease = self.boot.lease("flash run", true)?;
        let settings = ReconcileSettings {
            period: self.args.watch.period(),
            drift: self.args.watch.drift,
            environment: boot::source(self.boot.project.clone(), scan),
            ..ReconcileSettings::new(self.boot.project.scope(), store, Arc::new(provider), lease)
        };
        let mothership = self.boot.start(front, settings).await?;
        self.boot.run_dir.announce(&boot::announcement(&mothership.handle(), &self.token))?;
        Ok(mothership)
    }
}
