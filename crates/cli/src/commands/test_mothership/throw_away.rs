//! A place of its own for a mothership that is thrown away, and its removal: now, or by whoever finds it.

use flash_model::{Completeness, EnvironmentName, MothershipId, Scope};
use flash_providers::Mandate;
use flash_providers::local::LocalEndpoints;
use tokio::task::JoinSet;

use super::super::boot::{Boot, blocking, counted};
use super::PREFIX;
use crate::error::Failure;
use crate::printer::Printer;
use crate::run_dir::{Lock, RunDir};

/// Somebody who sweeps may take the place between its making and its locking.
const TRIES_MAX: u32 = 3;

#[derive(Debug)]
pub(super) struct ThrowAway {
    pub(super) run_dir: RunDir,
    pub(super) scope: Scope,
    printer: Printer,
    /// Held for as long as the place is in use.
    _lock: Lock,
}

impl ThrowAway {
    pub(super) fn new(boot: &Boot) -> Result<Self, Failure> {
        let mut tries = 1;
        loop {
            match Self::try_new(boot) {
                Err(_) if tries < TRIES_MAX => tries += 1,
                made => return made,
            }
        }
    }

    fn try_new(boot: &Boot) -> Result<Self, Failure> {
        let failed = |error: &dyn std::error::Error| Failure::because("no name can be made", error);
        let random = getrandom::u32().map_err(|error| failed(&error))?;
        let environment =
            EnvironmentName::new(format!("{PREFIX}{random:08x}")).map_err(|error| failed(&error))?;
        let run_dir = boot.run_dir.throw_away(environment.as_str());
        run_dir.create()?;
        let lock = run_dir.lock()?;
        let scope = Scope { app: boot.project.app(), environment };
        Ok(Self { run_dir, scope, printer: boot.printer, _lock: lock })
    }

    pub(super) async fn remove(self) -> Result<(), Failure> {
        let count = clear(&self.run_dir).await?;
        self.printer.notice(format_args!("removed {} and {}", self.scope, counted(count, "endpoint")));
        Ok(())
    }

    /// Nothing goes on running; what is on disk stays until the next test.
    pub(super) async fn keep(self) -> Result<(), Failure> {
        stop_all(&self.run_dir, false).await?;
        let place = self.run_dir.path().display();
        self.printer.notice(format_args!("stopped; logs are in {place}/endpoints until the next test"));
        Ok(())
    }
}

/// Removes what tests left whose process is gone.
pub(super) async fn sweep(run_dir: &RunDir, printer: Printer) {
    for name in run_dir.thrown_away() {
        let place = run_dir.throw_away(&name);
        // One that is locked is in use.
        let Ok(_lock) = place.lock() else { continue };
        match clear(&place).await {
            Ok(count) => printer.notice(format_args!(
                "removed {name} and {}, left by an earlier test",
                counted(count, "endpoint")
            )),
            Err(failure) => failure.print(printer),
        }
    }
}

/// How many endpoints there were.
async fn clear(run_dir: &RunDir) -> Result<usize, Failure> {
    let count = stop_all(run_dir, true).await?;
    let run_dir = run_dir.clone();
    blocking(move || {
        run_dir.remove().map_err(|error| {
            Failure::because(format!("{} cannot be removed", run_dir.path().display()), &error)
        })
    })
    .await?;
    Ok(count)
}

async fn stop_all(run_dir: &RunDir, delete: bool) -> Result<usize, Failure> {
    let failed = |error: &dyn std::error::Error| {
        Failure::because(format!("what runs in {} cannot be ended", run_dir.path().display()), error)
    };
    let endpoints = LocalEndpoints::new(&run_dir.endpoints_dir());
    let inventory = endpoints.inventory_of_all().map_err(|error| failed(&error))?;
    if inventory.completeness == Completeness::Partial {
        return Err(Failure::new(format!(
            "not everything in {} can be read, so it stays",
            run_dir.path().display()
        ))
        .hint("end what runs there, and remove the folder"));
    }
    // Whoever led here is gone, and nobody comes after us.
    let mothership_id = MothershipId::new("sweep").map_err(|error| failed(&error))?;
    let mandate = Mandate { mothership_id, fence: 1 };
    let mut ending = JoinSet::new();
    let count = inventory.endpoints.len();
    for endpoint in inventory.endpoints {
        let (endpoints, mandate) = (endpoints.clone(), mandate.clone());
        ending.spawn(async move {
            endpoints.suspend(&endpoint.endpoint_id, &mandate).await?;
            if delete { endpoints.delete(&endpoint.endpoint_id, &mandate).await } else { Ok(()) }
        });
    }
    for ended in ending.join_all().await {
        ended.map_err(|error| failed(&error))?;
    }
    Ok(count)
}
