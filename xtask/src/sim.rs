//! `cargo xtask sim`: simulated lives of motherships, by seed. Says which to the test that runs them.

use anyhow::Result;

use crate::command::{cargo, run as run_command};
use crate::workspace::Workspace;

const TEST: &str = "simulation::invariants_hold_whatever_goes_wrong";

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// How many, from `seed` on.
    seeds: Option<u64>,
    seed: Option<u64>,
    /// The whole of the first one that fails, or of the only one.
    trace: bool,
}

impl Options {
    pub(crate) fn parse(words: &[&str]) -> Option<Self> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match *word {
                "--seeds" => options.seeds = Some(words.next()?.parse().ok()?),
                "--seed" => options.seed = Some(words.next()?.parse().ok()?),
                "--trace" => options.trace = true,
                _ => return None,
            }
        }
        Some(options)
    }
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let mut command = cargo(workspace);
    command.args(["test", "--package", "flash-mothership", "--test", "it", "--", "--exact", "--nocapture"]);
    command.arg(TEST);
    let variables = [("FLASH_SIM_SEEDS", options.seeds), ("FLASH_SIM_SEED", options.seed)];
    for (name, value) in variables {
        match value {
            Some(value) => command.env(name, value.to_string()),
            None => command.env_remove(name),
        };
    }
    if options.trace {
        command.env("FLASH_SIM_TRACE", "1");
    }
    run_command(&mut command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_in_any_order_and_nothing_else_is() {
        let options = Options { seeds: Some(3), seed: Some(41), trace: true };
        assert_eq!(Options::parse(&["--seed", "41", "--trace", "--seeds", "3"]), Some(options));
        assert_eq!(Options::parse(&[]), Some(Options::default()));
        for wrong in [&["--seed"][..], &["--seed", "x"], &["7"], &["--traces"]] {
            assert_eq!(Options::parse(wrong), None, "{wrong:?}");
        }
    }
}
