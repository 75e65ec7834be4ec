//! What this program says of its own work, line by line; `FLASH_LOG` chooses how much (`info`, `flash_mothership=debug`).

use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{fmt, registry};

use crate::environment;
use crate::printer::Printer;

pub(crate) fn to_stderr(default: &str, printer: Printer) {
    let (chosen, wrong) = chosen(default);
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(printer.is_colored()).with_target(false);
    let _ = registry().with(chosen).with(lines).try_init();
    complain(wrong);
}

/// To a log that notes times itself.
pub(crate) fn to_log(default: &str, log: impl for<'w> MakeWriter<'w> + Send + Sync + 'static) {
    let (chosen, wrong) = chosen(default);
    let lines = fmt::layer().with_writer(log).with_ansi(false).with_target(false).without_time();
    let _ = registry().with(chosen).with(lines).try_init();
    complain(wrong);
}

/// The default where there is no choice, or one that cannot be read.
fn chosen(default: &str) -> (Targets, Option<String>) {
    match read(environment::text(environment::LOG).as_deref().unwrap_or(default)) {
        Ok(chosen) => (chosen, None),
        Err(wrong) => (read(default).unwrap_or_default(), Some(wrong)),
    }
}

fn read(text: &str) -> Result<Targets, String> {
    text.parse().map_err(|error: tracing_subscriber::filter::ParseError| error.to_string())
}

fn complain(wrong: Option<String>) {
    if let Some(wrong) = wrong {
        let variable = environment::LOG;
        tracing::warn!(
            "{variable} is not right ({wrong}); it is a level (`debug`), or some like `flash_runtime=debug`, with commas between"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_chosen_for_all_or_by_part() {
        let is_said = |text: &str, part: &str, level| read(text).unwrap().would_enable(part, &level);
        let (debug, warn) = (tracing::Level::DEBUG, tracing::Level::WARN);
        assert!(is_said("debug", "flash_runtime::serve", debug) && !is_said("warn", "flash_runtime", debug));
        let mixed = "warn,flash_runtime=debug";
        assert!(is_said(mixed, "flash_runtime::queue", debug) && is_said(mixed, "flash_mothership", warn));
        assert!(!is_said(mixed, "flash_mothership", debug));
        for wrong in ["flash_runtime=loud", "a=b=c"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
