//! The result as Markdown, with goals.

use std::process::Command;
use std::thread;

use anyhow::Result;

use crate::args::Args;
use crate::generate::Needed;
use crate::reconcile::{Answer, CHILDREN, PROVISIONED, Reconcile, UNCHANGED};
use crate::scan::{BUILT, LARGEST, Scan, Tree};
use crate::startup::Startup;

const VERSION_GOAL_MS: f64 = 10.0;
const PING_GOAL_MS: f64 = 20.0;
const SCAN_GOAL_PER_SECOND: f64 = 30_000.0;
const SCAN_GOAL_RATIO: f64 = 50.0;
const SCAN_GOAL_MB: f64 = 100.0;
const BUILD_GOAL_MS: f64 = 300.0;
const REBUILD_GOAL_MS: f64 = 100.0;
const PROVISION_GOAL_SECONDS: f64 = 3.5;
const CALLS_GOAL: f64 = 2.05;
const PING_P99_GOAL_MS: f64 = 2.0;
const PUSH_P99_GOAL_MS: f64 = 100.0;
const UNCHANGED_GOAL_MS: f64 = 150.0;
const MANIFEST_GOAL: f64 = 10_000.0;
const NOT_MODIFIED_GOAL: f64 = 20_000.0;
const RSS_GOAL_MB: f64 = 60.0;
const CRASH_GOAL_SECONDS: f64 = 2.0;

pub(crate) fn print_machine(args: &Args) -> Result<()> {
    println!("{} cores; {}; medians.\n", thread::available_parallelism()?, versions(args)?);
    Ok(())
}

/// The reference's figures are those of an earlier run elsewhere, not of this one.
pub(crate) fn print_scan(scan: &Scan) {
    println!("| reading a project | flash | Python walk | reference, seen before | goal | |");
    println!("|---|---:|---:|---:|---:|---|");
    for tree in &scan.trees {
        let ratio = tree.python_ms / tree.flash_ms;
        row(&[
            &format!("`flash manifest`, {} files, {} needed", thousands(tree.files as f64), needed(tree)),
            &format!("{} files/s", thousands(tree.flash_per_second())),
            &format!("{} files/s", thousands(tree.python_per_second())),
            "150 files/s",
            &format!("≥ {} files/s", thousands(SCAN_GOAL_PER_SECOND)),
            verdict(tree.flash_per_second() >= SCAN_GOAL_PER_SECOND),
        ]);
        row(&[
            "… against the walk",
            &format!("{ratio:.1}×"),
            "1.0×",
            "",
            &format!("≥ {SCAN_GOAL_RATIO:.0}×"),
            verdict(ratio >= SCAN_GOAL_RATIO),
        ]);
    }
    let files = |count: usize| thousands(count as f64);
    row(&[
        &format!("… peak memory, {} files", files(LARGEST)),
        &mb(scan.peak_rss_mb),
        "",
        "97 MB",
        &format!("< {SCAN_GOAL_MB:.0} MB"),
        scan.peak_rss_mb.map_or("", |peak| verdict(peak < SCAN_GOAL_MB)),
    ]);
    row(&[
        &format!("`flash build --no-deps`, {} files", files(BUILT)),
        &ms(scan.build_ms),
        "",
        "10 s",
        &format!("≤ {}", ms(BUILD_GOAL_MS)),
        verdict(scan.build_ms <= BUILD_GOAL_MS),
    ]);
    row(&[
        "… again after one changed file",
        &ms(scan.rebuild_ms),
        "",
        "",
        &format!("≤ {}", ms(REBUILD_GOAL_MS)),
        verdict(scan.rebuild_ms <= REBUILD_GOAL_MS),
    ]);
    println!(
        "\nGenerated projects: 85 to 100 lines per file, a tenth with decorators, 50 resources; *needed* is the share of files in \
         some closure, which are parsed. Wall time of whole processes, start and output included; the walk parses every file with `ast` and looks \
         at every definition. Files are in the system's cache."
    );
}

fn needed(tree: &Tree) -> &'static str {
    match tree.needed {
        Needed::Fifth => "a fifth",
        Needed::TwoFifths => "two fifths",
    }
}

pub(crate) fn print_startup(startup: &Startup) {
    let Startup { flash_version, uvicorn_version, .. } = startup;
    println!("| start | flash | peer | goal | |");
    println!("|---|---:|---:|---:|---|");
    row(&[
        "`--version`, wall",
        &ms(flash_version.wall_ms),
        &format!("{} (uvicorn)", ms(uvicorn_version.wall_ms)),
        &format!("≤ {}", ms(VERSION_GOAL_MS)),
        verdict(flash_version.wall_ms <= VERSION_GOAL_MS),
    ]);
    row(&[
        "`--version`, peak memory",
        &mb(flash_version.peak_rss_mb),
        &format!("{} (uvicorn)", mb(uvicorn_version.peak_rss_mb)),
        "",
        "",
    ]);
    row(&[
        "exec → first 200 on `/ping`",
        &ms(startup.flash_ping_ms),
        &format!("{} (FastAPI), {} (hyper)", ms(startup.fastapi_ping_ms), ms(startup.hyper_ping_ms)),
        &format!("≤ {}", ms(PING_GOAL_MS)),
        verdict(startup.flash_ping_ms <= PING_GOAL_MS),
    ]);
    row(&["exec → every endpoint ready", &ms(startup.flash_ready_ms), "", "", ""]);
    println!();
}

/// The reference's figures are those of an earlier run elsewhere, not of this one.
pub(crate) fn print_reconcile(measured: &Reconcile) {
    let children = thousands(PROVISIONED as f64);
    println!("| a mothership, 50 ms a provider call | flash | beside it | reference, seen before | goal | |");
    println!("|---|---:|---:|---:|---:|---|");
    row(&[
        &format!("{children} new queue children → all ready"),
        &seconds(measured.provision_seconds),
        &format!("{} one after the other", seconds(measured.sequential_seconds)),
        "129 s",
        &format!("≤ {}", seconds(PROVISION_GOAL_SECONDS)),
        verdict(measured.provision_seconds <= PROVISION_GOAL_SECONDS),
    ]);
    row(&[
        "… calls a child",
        &format!("{:.3}", measured.calls_per_child),
        "",
        "2.0",
        &format!("≤ {CALLS_GOAL}"),
        verdict(measured.calls_per_child <= CALLS_GOAL),
    ]);
    row(&[
        "… `/ping` meanwhile, p99",
        &format!("{:.2} ms", measured.ping_p99_ms),
        &format!("{:.2} ms with nothing to do", measured.idle_ping_p99_ms),
        "stalls of 2.1 s",
        &format!("≤ {} ms", PING_P99_GOAL_MS),
        verdict(measured.ping_p99_ms <= PING_P99_GOAL_MS),
    ]);
    let unchanged = format!("{} and {} calls", ms(measured.unchanged_ms), measured.unchanged_calls);
    row(&[
        &format!("a round over {} unchanged, calls beside the one listing", thousands(UNCHANGED as f64)),
        &unchanged,
        "",
        "",
        &format!("≤ {}, 0", ms(UNCHANGED_GOAL_MS)),
        verdict(measured.unchanged_ms <= UNCHANGED_GOAL_MS && measured.unchanged_calls == 0),
    ]);
    for (answer, rate) in &measured.reads {
        let goal = match answer {
            Answer::NotModified => NOT_MODIFIED_GOAL,
            Answer::Compressed | Answer::Plain => MANIFEST_GOAL,
        };
        row(&[
            &format!("{} of {children} resources, 16 connections", answer.label()),
            &format!("{}/s", thousands(*rate)),
            "",
            "50–90/s",
            &format!("≥ {}/s", thousands(goal)),
            verdict(*rate >= goal),
        ]);
    }
    row(&[
        "a wish → those who wait at `/manifest?wait=` are told of it, p99",
        &ms(measured.push_p99_ms),
        "",
        "",
        &format!("≤ {}", ms(PUSH_P99_GOAL_MS)),
        verdict(measured.push_p99_ms <= PUSH_P99_GOAL_MS),
    ]);
    row(&[
        &format!("memory with {} resources", thousands(UNCHANGED as f64)),
        &mb(measured.rss_mb),
        "",
        "",
        &format!("≤ {RSS_GOAL_MB:.0} MB"),
        measured.rss_mb.map_or("", |rss| verdict(rss <= RSS_GOAL_MB)),
    ]);
    row(&[
        &format!("`kill -9`, then start → {CHILDREN} local children known and ready"),
        &seconds(measured.crash_seconds),
        "",
        "",
        &format!("≤ {}", seconds(CRASH_GOAL_SECONDS)),
        verdict(measured.crash_seconds <= CRASH_GOAL_SECONDS),
    ]);
    println!();
}

pub(crate) fn row(cells: &[&str]) {
    println!("| {} |", cells.join(" | "));
}

pub(crate) fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "missed" }
}

pub(crate) fn ms(value: f64) -> String {
    format!("{value:.1} ms")
}

fn seconds(value: f64) -> String {
    format!("{value:.2} s")
}

pub(crate) fn us(value: f64) -> String {
    format!("{value:.0} µs")
}

pub(crate) fn mb(value: Option<f64>) -> String {
    value.map_or_else(|| "not known".to_owned(), |value| format!("{value:.1} MB"))
}

/// `34300.4` → `34,300`.
pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join(",")
}

fn versions(args: &Args) -> Result<String> {
    let flash = first_line(Command::new(&args.flash).arg("--version"))?;
    let code = "import platform, importlib.metadata as m; \
                print(f'Python {platform.python_version()}', *(f'{n} {m.version(n)}' for n in \
                ('fastapi', 'uvicorn', 'uvloop', 'httptools', 'granian')), sep=', ')";
    let python = first_line(Command::new(&args.python).args(["-c", code]))?;
    Ok(format!("{flash}; {python}"))
}

fn first_line(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or("version not known").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (value, text) in [(7.0, "7"), (999.6, "1,000"), (34_300.4, "34,300"), (1_234_567.0, "1,234,567")]
        {
            assert_eq!(thousands(value), text);
        }
    }
}
