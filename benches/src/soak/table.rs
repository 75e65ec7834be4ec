//! The result as Markdown, with the goal.

use super::Soak;
use crate::stats::median;
use crate::table::{mb, row, thousands, verdict};

const GROWTH_GOAL_PERCENT: f64 = 5.0;

pub(crate) fn print(soak: &Soak) {
    let minutes = soak.time.as_secs_f64() / 60.0;
    println!("| {minutes:.0} minutes at half of its top, a crash every 5 s | flash | goal | |");
    println!("|---|---:|---:|---|");
    print_growth(soak);
    print_jobs(soak);
    print_requests(soak);
    let crashes = &soak.crashes;
    let back = |seconds: &[f64]| {
        let longest = seconds.iter().copied().fold(0.0, f64::max);
        format!("{:.2} s, at most {longest:.2} s", median(seconds))
    };
    row(&["a killed gateway is started again after", &back(&crashes.gateway_seconds), "", ""]);
    row(&[
        "a killed mothership has all endpoints ready again after",
        &back(&crashes.mothership_seconds),
        "",
        "",
    ]);
    let not_back = crashes.gateways - crashes.gateway_seconds.len();
    row(&["gateways that did not come back", &not_back.to_string(), "0", verdict(not_back == 0)]);
    let left = soak.left + soak.crashes.still_there;
    row(&["processes that outlived their end", &left.to_string(), "0", verdict(left == 0)]);
    for shown in soak.jobs.shown.iter().chain(&soak.requests.shown) {
        println!("\nUnexpected: {shown}");
    }
    println!(
        "\nTop: {} jobs/s beside {} requests/s, both through the mothership's front door, which shares the cores with the load generator; seed {}. Ended by \
         SIGKILL: {} workers, {} gateways, {} motherships; stopped by SIGSTOP: {} for a while, {} for good. Gateways and motherships are killed in the first two \
         fifths, so that others live long enough to show whether they grow: sizes are medians over a twelfth of the time, the first one after a warm-up that \
         is as long. The queue keeps its newest 10,000 results, which it had after less than a minute: its files end at {}. Every job appends its \
         number to a file when it runs; each twentieth is looked at again three seconds after its end.\n",
        thousands(soak.top_jobs),
        thousands(soak.top_requests),
        soak.seed,
        crashes.workers,
        crashes.gateways,
        crashes.motherships,
        crashes.stopped_a_while,
        crashes.stopped_for_good,
        mb(Some(soak.queue_bytes as f64 / 1e6)),
    );
}

fn print_growth(soak: &Soak) {
    for (what, lives) in &soak.sizes.0 {
        let Some(longest) = lives.iter().max_by(|one, other| one.minutes.total_cmp(&other.minutes)) else {
            continue;
        };
        let name = format!("{what}, over {:.0} minutes", longest.minutes);
        print_figure(&format!("memory (RSS) of {name}"), longest.memory_mb, |value| mb(Some(value)));
        print_figure(&format!("open descriptors of {name}"), longest.descriptors, |value| {
            format!("{value:.0}")
        });
    }
}

fn print_figure(name: &str, (first, last): (f64, f64), text: impl Fn(f64) -> String) {
    let percent = if first == 0.0 { 0.0 } else { (last / first - 1.0) * 100.0 };
    row(&[
        name,
        &format!("{} → {} ({percent:+.1} %)", text(first), text(last)),
        &format!("≤ +{GROWTH_GOAL_PERCENT:.0} %"),
        verdict(percent <= GROWTH_GOAL_PERCENT),
    ]);
}

fn print_jobs(soak: &Soak) {
    let (jobs, ran) = (&soak.jobs, &soak.ran);
    let count = |value: u64| thousands(value as f64);
    row(&[
        "jobs accepted / completed / failed with their worker",
        &format!("{} / {} / {}", count(jobs.accepted), count(jobs.completed), count(jobs.cut)),
        "",
        "",
    ]);
    row(&["jobs that ran more than once before their end", &count(ran.repeated), "", ""]);
    let none = [
        ("accepted jobs lost", jobs.lost),
        ("jobs that ran after their end", ran.after_end),
        ("jobs that completed and never ran", ran.never),
        ("jobs that failed without a crash", jobs.failed),
    ];
    for (name, value) in none {
        row(&[name, &count(value), "0", verdict(value == 0)]);
    }
    row(&[
        &format!("jobs whose end changed, of {} looked at again", count(jobs.looked_again)),
        &count(jobs.changed),
        "0",
        verdict(jobs.changed == 0),
    ]);
}

fn print_requests(soak: &Soak) {
    let (jobs, requests) = (&soak.jobs, &soak.requests);
    row(&[
        "requests answered / cut by a crash (5xx, connection)",
        &format!(
            "{} / {}",
            thousands(requests.right as f64),
            thousands((requests.cut + jobs.requests_cut) as f64)
        ),
        "",
        "",
    ]);
    let wrong = requests.wrong + jobs.requests_wrong;
    row(&["requests that failed otherwise", &thousands(wrong as f64), "0", verdict(wrong == 0)]);
}
