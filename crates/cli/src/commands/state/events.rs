//! `flash state events [PATH] [--json] [--follow]`.

use std::time::Duration;

use flash_model::{LoggedEvent, Retry, Scope};
use flash_mothership::store::{EVENTS_READ_MAX, Store};

use super::opened;
use crate::args::StateEventsArgs;
use crate::commands::block_on;
use crate::commands::interrupts::Interrupts;
use crate::error::Failure;
use crate::printer::Printer;
use crate::state_store::refused;
use crate::view::time::moment;

const FOLLOW_PERIOD: Duration = Duration::from_millis(300);

pub(super) fn events(args: &StateEventsArgs, printer: Printer) -> Result<(), Failure> {
    block_on(async {
        let mut interrupted = Interrupts::new()?;
        let (store, scope) = opened(&args.of).await?;
        tokio::select! {
            shown = show(&*store, &scope, args, printer) => shown,
            () = interrupted.next() => Ok(()),
        }
    })
}

async fn show(
    store: &dyn Store,
    scope: &Scope,
    args: &StateEventsArgs,
    printer: Printer,
) -> Result<(), Failure> {
    let mut seen = 0;
    loop {
        let events = match store.events(scope, seen, EVENTS_READ_MAX).await {
            Ok(events) => events,
            Err(error) if args.follow && seen > 0 && error.retry() != Retry::Never => vec![],
            Err(error) => return Err(refused("the event log cannot be read", &error)),
        };
        for event in &events {
            seen = event.sequence;
            if args.json {
                printer.data(serde_json::to_string(event).unwrap_or_default());
            } else {
                printer.data(line(event));
            }
        }
        let is_all = events.len() < EVENTS_READ_MAX as usize;
        if is_all && !args.follow {
            if seen == 0 && !args.json {
                printer.data(format_args!("nothing happened to {scope}"));
            }
            return Ok(());
        }
        if is_all {
            tokio::time::sleep(FOLLOW_PERIOD).await;
        }
    }
}

fn line(event: &LoggedEvent) -> String {
    let happening = &event.happening;
    let resource = happening.resource.as_ref().map_or("-", |resource| resource.as_str());
    let why = if happening.why.is_empty() { String::new() } else { format!("  {}", happening.why) };
    format!("{}  {:<18} {resource}{why}  ({})", moment(event.at_ms), happening.what, happening.who)
}
