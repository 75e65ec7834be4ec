//! The history of applied manifests.

use comfy_table::{Table, presets};
use flash_model::Generation;

const HASH_SHOWN_CHARS: usize = 12;

/// The newest first, which is the one that is applied.
pub(crate) fn table(generations: &[Generation]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["GENERATION", "APPLIED", "MANIFEST", "BY", ""]);
    for (index, generation) in generations.iter().enumerate() {
        let applied = match generation.applied_at_ms {
            0 => "before times were kept".to_owned(),
            ms => super::time::moment(ms),
        };
        table.add_row([
            generation.number.to_string(),
            applied,
            generation.manifest_hash.chars().take(HASH_SHOWN_CHARS).collect(),
            generation.author.as_ref().map(ToString::to_string).unwrap_or_default(),
            if index == 0 { "now".to_owned() } else { String::new() },
        ]);
    }
    super::lines(&table)
}
