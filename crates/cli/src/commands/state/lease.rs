//! `flash state lease [PATH] [--drop] [--json]`.

use flash_model::{EventKind, Happening, LeaseRequest, Scope};
use flash_mothership::store::{Pulse, Store};
use serde_json::json;

use super::{opened, person};
use crate::args::StateLeaseArgs;
use crate::commands::block_on;
use crate::error::Failure;
use crate::printer::Printer;
use crate::state_store::refused;
use crate::view::time::{duration, moment};

pub(super) fn lease(args: &StateLeaseArgs, printer: Printer) -> Result<(), Failure> {
    block_on(async {
        let (store, scope) = opened(&args.of).await?;
        if args.drop {
            drop_expired(&*store, &scope, printer).await?;
        }
        let pulse = store.pulse(&scope).await.map_err(|error| refused("the lease cannot be read", &error))?;
        if args.json {
            printer.data(format_args!("{:#}", json(&scope, &pulse)));
        } else {
            printer.data(text(&scope, &pulse));
        }
        Ok(())
    })
}

async fn drop_expired(store: &dyn Store, scope: &Scope, printer: Printer) -> Result<(), Failure> {
    let doing = "the lease cannot be dropped";
    let before = store.pulse(scope).await.map_err(|error| refused(doing, &error))?.lease;
    let dropped = store.lease(scope, LeaseRequest::DropExpired).await;
    dropped.map_err(|error| {
        refused(doing, &error).hint(
            "only an expired lease can be dropped; this one is given back when its holder ends, or expires by itself",
        )
    })?;
    let Some(lease) = before else { return Ok(()) };
    printer.notice(format_args!("dropped what {} left", lease.holder));
    let why = format!("fence {} of {}", lease.fence, lease.holder);
    let happening = Happening::new(person(), EventKind::LeaseDropped, None, why);
    store.append(scope, vec![happening]).await.map_err(|error| refused("the event is not logged", &error))
}

fn json(scope: &Scope, pulse: &Pulse) -> serde_json::Value {
    json!({
        "scope": scope.to_string(), "lineage": pulse.lineage, "serial": pulse.serial, "now_ms": pulse.now_ms,
        "lease": pulse.lease,
        "is_held": !pulse.is_vacant(),
        "remaining_ms": pulse.lease.as_ref().map(|lease| lease.remaining_ms(pulse.now_ms)),
    })
}

fn text(scope: &Scope, pulse: &Pulse) -> String {
    let Some(lease) = &pulse.lease else { return format!("nobody leads {scope}") };
    let since = moment(lease.acquired_at_ms);
    if lease.is_expired(pulse.now_ms) {
        let ago = duration(pulse.now_ms - lease.expires_at_ms);
        return format!(
            "nobody leads {scope}: the lease of {} ({}, fence {}, since {since}) expired {ago} ago",
            lease.holder, lease.purpose, lease.fence
        );
    }
    let held = duration(pulse.now_ms.saturating_sub(lease.acquired_at_ms));
    let left = duration(lease.remaining_ms(pulse.now_ms));
    format!(
        "{scope} is led by {}\n  for      {}\n  since    {since} ({held})\n  fence    {}\n  expires  in {left}, unless renewed",
        lease.holder, lease.purpose, lease.fence
    )
}
