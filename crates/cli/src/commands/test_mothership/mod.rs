//! `flash test-mothership [PATH]`: the whole boot in an app+environment of its own, a call of every function, and nothing
//! left.

mod calls;
mod throw_away;

use std::sync::Arc;
use std::time::{Duration, Instant};

use flash_client::Mothership as Client;
use flash_model::{Code, End, Outcome, Scope};
use flash_mothership::store::{Clock, SystemClock};
use flash_mothership::{Handle, Mothership, ReconcileSettings};
use flash_providers::local::python::Cancel;
use flash_scan::Scan;
use tokio::time::{sleep, timeout};

use self::calls::Tally;
use self::throw_away::ThrowAway;
use super::boot::{self, Boot, counted};
use super::interrupts::Interrupts;
use crate::args::{ListenArgs, StateUrlArgs, TestMothershipArgs};
use crate::error::Failure;
use crate::example_call;
use crate::printer::Printer;
use crate::state_store::StatePlace;
use crate::view;

/// Before the names of what is thrown away.
const PREFIX: &str = "tmp-";
/// For every endpoint to come up or fail.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(15 * 60);
const LOOK_PERIOD: Duration = Duration::from_millis(100);
/// For steps that have begun when it is over.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(20);
/// For installers to end once they are told to.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(3);

pub(crate) fn test_mothership(args: &TestMothershipArgs, printer: Printer) -> Result<(), Failure> {
    crate::log::to_stderr("error", printer);
    if let Some((option, instead)) = args.replaced() {
        return Err(Failure::new(format!("{option} is not needed any more: {instead}")));
    }
    let mut boot = Boot::new(&args.path, &StateUrlArgs { url: None }, args.python.clone(), printer)?;
    let runtime = boot::runtime()?;
    let result = runtime.block_on(async {
        throw_away::sweep(&boot.run_dir, printer).await;
        let mut interrupts = Interrupts::new()?;
        let throw_away = ThrowAway::new(&boot)?;
        boot.run_dir = throw_away.run_dir.clone();
        boot.state = StatePlace::Project(boot.run_dir.state_path());
        let tested = test(args, &boot, &throw_away.scope, &mut interrupts).await;
        let removing = async {
            if args.keep { throw_away.keep().await } else { throw_away.remove().await }
        };
        let removed = tokio::select! {
            removed = removing => removed,
            () = interrupts.next() => {
                Err(Failure::new("interrupted while removing").hint("the next `flash test-mothership` removes the rest"))
            }
        };
        tested.and(removed)
    });
    // A package installation that was interrupted must not be waited for.
    runtime.shutdown_background();
    result
}

async fn test(
    args: &TestMothershipArgs,
    boot: &Boot,
    scope: &Scope,
    interrupts: &mut Interrupts,
) -> Result<(), Failure> {
    let started = Instant::now();
    let token = boot.run_dir.token()?;
    let front = boot.front(&ListenArgs::local(args.port), &token).await?;
    let cancel = Cancel::default();
    let url = front.url().to_owned();
    let preparing = async {
        let (scan, _) = boot.scan().await?;
        let functions = counted(scan.manifest.function_registry.len(), "function");
        let resources = counted(scan.manifest.resources.len(), "resource");
        boot.printer.notice(format_args!("{scope} at {url}: {functions} in {resources}"));
        let provider = boot.provider(&scan, cancel.clone()).await?;
        Ok((scan, provider))
    };
    tokio::pin!(preparing);
    let (scan, provider) = tokio::select! {
        prepared = &mut preparing => prepared?,
        () = interrupts.next() => {
            cancel.cancel();
            let _ = timeout(CANCEL_TIMEOUT, preparing).await;
            return Err(interrupted());
        }
    };
    let (store, lease) = (boot.state.open().await?, boot.lease("flash test-mothership", true)?);
    let settings = ReconcileSettings {
        environment: boot::source(boot.project.clone(), &scan),
        ..ReconcileSettings::new(scope.clone(), store, Arc::new(provider), lease)
    };
    let mothership = boot.start(front, settings).await?;
    let handle = mothership.handle();
    let client = Client::new(handle.url(), Some(token));
    let tested = tokio::select! {
        tested = bring_up_and_call(&handle, &client, scan, boot.printer, started) => tested,
        () = interrupts.next() => Err(interrupted()),
    };
    end(mothership).await;
    tested
}

async fn bring_up_and_call(
    handle: &Handle,
    client: &Client,
    scan: Scan,
    printer: Printer,
    started: Instant,
) -> Result<(), Failure> {
    let manifest = scan.manifest.clone();
    handle.set_desired(boot::desired(scan));
    let outcome = settle(handle, &manifest, printer).await?;
    let up = outcome.resources.values().filter(|resource| resource.end == End::Done).count();
    printer.notice(format_args!(
        "{up} of {} up after {:.1} s",
        counted(outcome.resources.len(), "endpoint"),
        started.elapsed().as_secs_f64()
    ));
    let mut tally = Tally::default();
    let calls = example_call::all(&manifest);
    for call in &calls {
        let is_up = outcome.resources.get(&call.resource).is_some_and(|resource| resource.serves);
        if is_up {
            let (verdict, took) = calls::make(client, call).await;
            printer.data(calls::line(PREFIX, call, &verdict, took));
            tally.count(&verdict);
        }
    }
    for (name, resource) in &manifest.resources {
        let is_called = |function: &&flash_model::Function| {
            calls.iter().any(|call| call.resource == *name && call.function.as_ref() == Some(&function.name))
        };
        for function in resource.functions.iter().filter(|function| !is_called(function)) {
            let line =
                format!("{PREFIX}{name}  {}  not called: JSON cannot make its arguments", function.name);
            printer.data(line);
        }
    }
    let sum = format!("{up} of {} up; {tally}", counted(outcome.resources.len(), "endpoint"));
    printer.data("");
    for (name, resource) in outcome.resources.iter().filter(|(_, resource)| resource.end != End::Done) {
        printer.data(view::outcome::line(&format!("{PREFIX}{name}"), resource));
    }
    if outcome.is_done() && tally.failed == 0 {
        printer.data(sum);
        return Ok(());
    }
    Err(Failure::coded(Code::TestFailed, sum).hint("`flash test-mothership --keep` leaves the logs"))
}

/// Waits until nothing is under way, and says what changes.
async fn settle(
    handle: &Handle,
    manifest: &flash_model::Manifest,
    printer: Printer,
) -> Result<Outcome, Failure> {
    let until = Instant::now() + SETTLE_TIMEOUT;
    let mut told = std::collections::BTreeMap::new();
    loop {
        let state =
            handle.store().snapshot(handle.scope()).await.map_err(|error| {
                Failure::because("the state cannot be read", &error).code(Code::StoreFailed)
            })?;
        let outcome = Outcome::of(1, manifest, &state, SystemClock.now_ms());
        for (name, resource) in &outcome.resources {
            let line = view::outcome::line(&format!("{PREFIX}{name}"), resource);
            if told.get(name) != Some(&line) {
                printer.notice(format_args!("  {line}"));
                told.insert(name.clone(), line);
            }
        }
        if outcome.is_settled() || Instant::now() >= until {
            return Ok(outcome);
        }
        sleep(LOOK_PERIOD).await;
    }
}

/// In good order if that is soon; what is left running is ended with its folder.
async fn end(mothership: Mothership) {
    match timeout(LEAVE_TIMEOUT, mothership.leave()).await {
        Ok(Err(error)) => tracing::warn!(%error, "the mothership did not end in good order"),
        Ok(Ok(())) => {}
        Err(_) => tracing::warn!("the mothership did not end within {} s", LEAVE_TIMEOUT.as_secs()),
    }
}

fn interrupted() -> Failure {
    Failure::new("interrupted; what was started is removed")
}
