//! A change that is carried out to its end: by the mothership that runs, or by this process for as long as it takes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flash_client::{Error, Mothership as Client};
use flash_model::{Code, Outcome, ResourceName, StateSnapshot};
use flash_mothership::store::{Clock, SystemClock};
use flash_mothership::{ApplyRefusal, Handle, ReconcileSettings};
use flash_plan::PlanFile;
use flash_providers::local::python::Cancel;
use flash_scan::Scan;
use tokio::time::{Instant, sleep};

use super::boot::{self, Boot};
use super::interrupts::Interrupts;
use super::refused;
use crate::args::ListenArgs;
use crate::error::Failure;
use crate::printer::Printer;
use crate::view;

/// For everything to become ready or fail. Packages may have to be installed.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(30 * 60);
const LOOK_PERIOD: Duration = Duration::from_millis(200);
/// Looks that may fail one after the other: the mothership may be busy, or its database.
const LOOKS_FAILED_MAX: u32 = 10;
/// 421 Misdirected Request: another mothership leads.
const NOT_LEADING: u16 = 421;

/// What is to be done, and how a running mothership is asked for it.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) file: PlanFile,
    /// The generation that it brings back, if it does.
    pub(super) rollback: Option<u64>,
    /// For a person who asks who leads.
    pub(super) purpose: &'static str,
}

/// Gives back success only if every resource is as it was to be.
pub(super) fn carry_out(boot: &Boot, scan: &Scan, change: &Change, as_json: bool) -> Result<(), Failure> {
    let runtime = boot::runtime()?;
    let result = runtime.block_on(async {
        let running: Vec<Client> = boot.run_dir.running().into_iter().map(super::client).collect();
        if running.is_empty() {
            alone(boot, scan, change).await
        } else {
            through(running, change, boot.printer).await
        }
    });
    // A package installation that was interrupted must not be waited for.
    runtime.shutdown_background();
    let outcome = result?;
    if as_json {
        let json = serde_json::to_string_pretty(&outcome);
        boot.printer
            .data(json.map_err(|error| Failure::because("the outcome cannot be written as JSON", &error))?);
    } else {
        boot.printer.data(view::outcome::table(&outcome));
    }
    let sum = format!("generation {}: {}", outcome.generation, view::outcome::sum(&outcome));
    if outcome.is_done() {
        boot.printer.notice(sum);
        return Ok(());
    }
    Err(Failure::coded(Code::NotConverged, sum)
        .hint("`flash logs RESOURCE` shows what its endpoint said; `flash plan` says what is left to do"))
}

async fn through(running: Vec<Client>, change: &Change, printer: Printer) -> Result<Outcome, Failure> {
    let mut interrupts = Interrupts::new()?;
    let (client, begun) = tokio::select! {
        begun = begin(running, change, printer) => begun?,
        () = interrupts.next() => {
            return Err(Failure::new("interrupted before the mothership had answered; it may go on")
                .hint("`flash rollback --list` shows what was applied"));
        }
    };
    printer.notice(format_args!("generation {} is being applied by {}", begun.generation, client.url()));
    let look = || async { client.resources().await.map_err(|error| refused("asking how it goes", &error)) };
    let mut seen = begun.clone();
    tokio::select! {
        followed = follow(look, begun.generation, &mut seen, printer) => followed?,
        () = interrupts.next() => printer.notice("not waiting any longer; the mothership goes on"),
    }
    Ok(seen)
}

/// Asks one after the other until one leads: who does not answer, or follows another one, has changed nothing.
async fn begin(
    running: Vec<Client>,
    change: &Change,
    printer: Printer,
) -> Result<(Client, Outcome), Failure> {
    let mut refusal = None;
    for client in running {
        if let Err(error) = client.ping().await {
            printer.notice(format_args!("{} does not answer", client.url()));
            refusal.get_or_insert(error);
            continue;
        }
        let begun = match change.rollback {
            Some(generation) => client.rollback(generation, Duration::ZERO).await,
            None => client.apply(text(&change.file)?, Duration::ZERO).await,
        };
        match begun {
            Ok(begun) => return Ok((client, begun)),
            Err(error) if does_not_lead(&error) => refusal = Some(error),
            Err(error @ (Error::Timeout { .. } | Error::Interrupted { .. })) => {
                return Err(refused("whether anything was changed is not known", &error)
                    .hint("`flash rollback --list` shows what was applied"));
            }
            Err(error) => return Err(refused("nothing was changed", &error)),
        }
    }
    Err(refusal.map_or_else(
        || Failure::new("nothing was changed: no mothership of the project runs any more"),
        |error| refused("nothing was changed", &error),
    ))
}

fn does_not_lead(error: &Error) -> bool {
    error.problem().is_some_and(|problem| problem.status == NOT_LEADING)
}

/// As a mothership of the project for as long as it takes. Endpoints go on without it.
async fn alone(boot: &Boot, scan: &Scan, change: &Change) -> Result<Outcome, Failure> {
    boot.run_dir.create()?;
    let _lock = boot.run_dir.lock()?;
    let token = boot.run_dir.token()?;
    let mut interrupts = Interrupts::new()?;
    let front = boot.front(&ListenArgs::local(0), &token).await?;
    let cancel = Cancel::default();
    let preparing = boot.provider(scan, cancel.clone());
    let provider = tokio::select! {
        provider = preparing => provider?,
        () = interrupts.next() => {
            cancel.cancel();
            return Err(Failure::new("interrupted; nothing was changed"));
        }
    };
    let lease = boot.lease(change.purpose, true)?;
    let store = boot.state.open().await?;
    let settings = ReconcileSettings {
        only_when_told: true,
        drift: change.file.drift,
        environment: boot::source(boot.project.clone(), scan),
        ..ReconcileSettings::new(change.file.scope.clone(), store, Arc::new(provider), lease)
    };
    let mothership = boot.start(front, settings).await?;
    let handle = mothership.handle();
    boot.run_dir.announce(&boot::announcement(&handle, &token))?;
    let mut seen = None;
    let result = tokio::select! {
        result = apply_and_follow(&handle, change, &mut seen, boot.printer) => result,
        () = interrupts.next() => {
            boot.printer.notice("interrupted; finishing what has begun …");
            Ok(())
        }
    };
    let left = mothership.leave().await;
    boot.run_dir.withdraw_announcement();
    result?;
    left.map_err(|error| Failure::because("the mothership could not end in good order", &error))?;
    seen.ok_or_else(|| Failure::new("interrupted before anything was changed"))
}

async fn apply_and_follow(
    handle: &Handle,
    change: &Change,
    seen: &mut Option<Outcome>,
    printer: Printer,
) -> Result<(), Failure> {
    let moved =
        |what: String| Failure::coded(Code::StateConflict, what).hint("plan again: `flash plan -o FILE`");
    let plan = change.file.plan_in(handle.mothership_id()).ok_or_else(|| {
        moved(
            "the plan is not what would be done now: it was made from another state, which is gone"
                .to_owned(),
        )
    })?;
    let manifest = Arc::new(change.file.manifest.clone());
    let environment = handle.environment(&manifest);
    let desired = flash_mothership::Desired { manifest: Arc::clone(&manifest), environment };
    let generation = handle.apply(desired, plan).await.map_err(|refusal| match &refusal {
        ApplyRefusal::NotLeading(_) => moved(refusal.to_string())
            .hint("wait until it has gone, or apply through it: its --host and --port"),
        _ => moved(refusal.to_string()),
    })?;
    printer.notice(format_args!("generation {generation} is being applied"));
    let empty = StateSnapshot::default();
    let outcome = seen.insert(Outcome::of(generation, &manifest, &empty, SystemClock.now_ms()));
    let look = || async {
        let state =
            handle.store().snapshot(handle.scope()).await.map_err(|error| {
                Failure::because("the state cannot be read", &error).code(Code::StoreFailed)
            })?;
        Ok(Outcome::of(generation, &manifest, &state, SystemClock.now_ms()))
    };
    follow(look, generation, outcome, printer).await
}

/// Says what changes until nothing is under way any more.
async fn follow<L: Future<Output = Result<Outcome, Failure>>>(
    look: impl Fn() -> L,
    generation: u64,
    seen: &mut Outcome,
    printer: Printer,
) -> Result<(), Failure> {
    let until = Instant::now() + SETTLE_TIMEOUT;
    let mut told: BTreeMap<ResourceName, String> = BTreeMap::new();
    let mut failed = 0;
    loop {
        match look().await {
            Ok(outcome) if outcome.generation != generation => {
                let by =
                    format!("generation {} was applied before {generation} was done", outcome.generation);
                return Err(Failure::coded(Code::StateConflict, by)
                    .hint("`flash status` shows what is; another person, or a changed file, was faster"));
            }
            Ok(outcome) => {
                failed = 0;
                for (name, resource) in &outcome.resources {
                    let line = view::outcome::line(name.as_str(), resource);
                    if told.get(name) != Some(&line) {
                        printer.notice(format_args!("  {line}"));
                        told.insert(name.clone(), line);
                    }
                }
                *seen = outcome;
            }
            Err(failure) => {
                failed += 1;
                if failed == LOOKS_FAILED_MAX {
                    return Err(failure);
                }
            }
        }
        if seen.is_settled() || Instant::now() >= until {
            return Ok(());
        }
        sleep(LOOK_PERIOD).await;
    }
}

fn text(file: &PlanFile) -> Result<String, Failure> {
    file.to_json().map_err(|error| Failure::because("the plan cannot be written as JSON", &error))
}
