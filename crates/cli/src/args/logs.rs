//! Of `flash logs`.

use std::path::PathBuf;
use std::time::Duration;

use super::StateUrlArgs;
use crate::view::time::milliseconds;

#[derive(Debug, clap::Args)]
pub(crate) struct LogsArgs {
    /// Name of the resource
    pub(crate) resource: String,
    /// The project's folder; default: the nearest project that was run, from here upward
    #[arg(long)]
    pub(crate) project: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) state: StateUrlArgs,
    /// Go on with what comes, until Ctrl+C
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Only what came since then: 90s, 10m, 2h or 3d ago, or a moment such as 2026-11-23T20:23:06Z
    #[arg(long, value_name = "WHEN", value_parser = since)]
    pub(crate) since: Option<Since>,
    /// Only what this job or request printed
    #[arg(long, value_name = "ID")]
    pub(crate) job: Option<String>,
    /// No more than so many lines, the last ones; default: 100, or all with --since
    #[arg(long, short = 'n', value_name = "COUNT")]
    pub(crate) lines: Option<usize>,
    /// Print the lines as they are in the files, one JSON object each
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    Ago(Duration),
    /// Milliseconds since the Unix epoch.
    At(u64),
}

impl Since {
    /// Milliseconds since the Unix epoch, where it is `now_ms`.
    pub(crate) fn ms(self, now_ms: u64) -> u64 {
        match self {
            Self::Ago(ago) => now_ms.saturating_sub(ago.as_millis().try_into().unwrap_or(u64::MAX)),
            Self::At(ms) => ms,
        }
    }
}

fn since(text: &str) -> Result<Since, String> {
    let ago = || {
        let (count, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 60 * 60,
            "d" => 24 * 60 * 60,
            _ => return None,
        };
        let is_number = count.bytes().all(|byte| byte.is_ascii_digit());
        let count: u64 = is_number.then(|| count.parse().ok())??;
        Some(Duration::from_secs(count.checked_mul(seconds)?))
    };
    ago().map(Since::Ago).or_else(|| milliseconds(text).map(Since::At)).ok_or_else(|| {
        "use a time such as 90s, 10m, 2h or 3d, or a moment such as 2026-11-23T20:23:06Z".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_duration_or_a_moment() {
        let ago = |seconds| Ok(Since::Ago(Duration::from_secs(seconds)));
        for (text, expected) in [
            ("90s", ago(90)),
            ("10m", ago(600)),
            ("2h", ago(7_200)),
            ("3d", ago(259_200)),
            ("1970-01-01T00:00:01Z", Ok(Since::At(1000))),
        ] {
            assert_eq!(since(text), expected, "{text}");
        }
        for text in
            ["", "s", "10", "-1m", "+1m", "1.5h", "10é", "99999999999999999999d", "9999999999999999999d"]
        {
            assert!(since(text).is_err(), "{text}");
        }
        assert_eq!(Since::Ago(Duration::from_secs(2)).ms(5_000), 3_000);
        assert_eq!(Since::Ago(Duration::MAX).ms(5_000), 0);
    }
}
