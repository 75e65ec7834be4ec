//! The list of dead letters.

use comfy_table::{Table, presets};
use flash_model::wire::DeadLetter;

const ERROR_SHOWN_CHARS_MAX: usize = 80;

/// Of each error the last line: a traceback ends with what was raised.
pub(crate) fn table(dead: &[DeadLetter]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["JOB", "DIED", "STATUS", "ATTEMPTS", "INPUT", "ERROR"]);
    for letter in dead {
        let said = letter.error.as_deref().unwrap_or_default();
        let last = said.trim_end().lines().last().unwrap_or_default();
        table.add_row([
            letter.id.clone(),
            super::time::moment(letter.died_at_ms),
            letter.status.word().to_owned(),
            letter.attempts.to_string(),
            super::bytes(letter.input_bytes),
            last.chars().filter(|char| !char.is_control()).take(ERROR_SHOWN_CHARS_MAX).collect(),
        ]);
    }
    super::lines(&table)
}
