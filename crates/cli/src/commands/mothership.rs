//! `flash mothership [PATH]`: serves what was applied, applies nothing of its own, and takes over when whoever leads is gone.

use std::sync::Arc;
use std::time::Instant;

use flash_mothership::{Event, Handle, ReconcileSettings};
use flash_providers::local::python::Cancel;
use tokio::sync::broadcast::error::RecvError;

use super::boot::{self, Boot};
use super::interrupts::Interrupts;
use crate::args::MothershipArgs;
use crate::error::Failure;
use crate::printer::Printer;
use crate::view;

pub(crate) fn mothership(args: &MothershipArgs, printer: Printer) -> Result<(), Failure> {
    crate::log::to_stderr("warn", printer);
    let boot = Boot::new(&args.path, &args.state, args.python.clone(), printer)?;
    boot.run_dir.create()?;
    let runtime = boot::runtime()?;
    let result = runtime.block_on(serve(args, &boot));
    // A package installation that was interrupted must not be waited for.
    runtime.shutdown_background();
    result
}

async fn serve(args: &MothershipArgs, boot: &Boot) -> Result<(), Failure> {
    let started = Instant::now();
    let token = boot.run_dir.token()?;
    let mut interrupts = Interrupts::new()?;
    let front = boot.front(&args.listen, &token).await?;
    let cancel = Cancel::default();
    let preparing = async {
        let (scan, _) = boot.scan().await?;
        let provider = boot.provider(&scan, cancel.clone()).await?;
        Ok((scan, provider))
    };
    let (scan, provider) = tokio::select! {
        prepared = preparing => prepared?,
        () = interrupts.next() => {
            cancel.cancel();
            return Ok(());
        }
    };
    // Without a seat: several of these share the project's folder, so that one of them asks does not mean that another is dead.
    let lease = boot.lease("flash mothership", false)?;
    let store = boot.state.open().await?;
    let settings = ReconcileSettings {
        period: args.watch.period(),
        drift: args.watch.drift,
        environment: boot::source(boot.project.clone(), &scan),
        ..ReconcileSettings::new(boot.project.scope(), store, Arc::new(provider), lease)
    };
    let mothership = boot.start(front, settings).await?;
    let handle = mothership.handle();
    let _announced = boot.run_dir.join(&boot::announcement(&handle, &token))?;
    boot.printer.notice(format_args!("{} at {}; Ctrl+C stops", handle.scope(), handle.url()));
    tokio::select! {
        () = tell(&handle, boot.printer, started) => {}
        () = interrupts.next() => {}
    }
    boot.printer.notice("leaving; endpoints go on …");
    tokio::select! {
        left = mothership.leave() => {
            left.map_err(|error| Failure::because("the mothership could not end in good order", &error))
        }
        () = interrupts.next() => Err(Failure::new("interrupted while finishing; the next mothership goes on")),
    }
}

/// Ends only if the mothership does.
async fn tell(handle: &Handle, printer: Printer, started: Instant) {
    let say = |line: &str| printer.notice(format_args!("{:8.2}s  {line}", started.elapsed().as_secs_f64()));
    let (mut role, mut events) = (handle.role(), handle.events());
    let mut told = String::new();
    loop {
        let line = view::role::line(&role.borrow_and_update());
        if line != told {
            say(&line);
            told = line;
        }
        tokio::select! {
            biased;
            changed = role.changed() => if changed.is_err() { return },
            event = events.recv() => match event {
                Ok(event) => described(&event).iter().for_each(|line| say(line)),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            },
        }
    }
}

/// None for what is of no interest to a person.
pub(super) fn described(event: &Event) -> Option<String> {
    Some(match event {
        Event::Status { resource, status, reason: Some(reason) } => format!("{resource} {status}: {reason}"),
        Event::Status { resource, status, reason: None } => format!("{resource} {status}"),
        Event::Step { line, .. } => line.clone(),
        Event::Trouble { message } => format!("trouble: {message}"),
        Event::Round { .. } => return None,
    })
}
