//! `flash state generations [PATH] [--json]`.

use comfy_table::{Table, presets};
use serde_json::json;

use super::opened;
use crate::args::StateReadArgs;
use crate::commands::block_on;
use crate::error::Failure;
use crate::printer::Printer;
use crate::state_store::refused;
use crate::view;

const HASH_SHOWN_CHARS: usize = 12;

pub(super) fn generations(args: &StateReadArgs, printer: Printer) -> Result<(), Failure> {
    let (scope, generations) = block_on(async {
        let (store, scope) = opened(&args.of).await?;
        let read = store.generations(&scope).await;
        Ok((scope, read.map_err(|error| refused("the history cannot be read", &error))?))
    })?;
    if args.json {
        printer.data(format_args!("{:#}", json!({"scope": scope.to_string(), "generations": generations})));
        return Ok(());
    }
    if generations.is_empty() {
        printer.data(format_args!("nothing was applied to {scope}"));
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["GENERATION", "APPLIED", "MANIFEST", "BY"]);
    for generation in &generations {
        let applied = match generation.applied_at_ms {
            0 => "before times were kept".to_owned(),
            ms => view::time::moment(ms),
        };
        table.add_row([
            generation.number.to_string(),
            applied,
            generation.manifest_hash.chars().take(HASH_SHOWN_CHARS).collect(),
            generation.author.as_ref().map(ToString::to_string).unwrap_or_default(),
        ]);
    }
    printer.data(view::lines(&table));
    Ok(())
}
