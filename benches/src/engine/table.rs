//! The result as Markdown, with goals.

use super::Engine;
use super::bytes::{Cost, MEBIBYTES};
use super::cold::FirstCall;
use super::load::{CONNECTIONS, Load};
use super::ping::CALLERS;
use crate::args::Args;
use crate::peers::Peer;
use crate::table::{mb, ms, row, thousands, us, verdict};

/// Of requests and p99, against FastAPI.
const REQUESTS_GOAL_RATIO: f64 = 4.0;
const P99_GOAL_RATIO: f64 = 1.0 / 3.0;
/// Connections; requests against the reference and against granian.
const LOADED_GOALS: [(usize, f64, f64); 2] = [(16, 8.0, 1.8), (64, 12.0, 2.0)];
const LOADED_P99_GOAL_RATIO: f64 = 1.0 / 5.0;
const ALONE_P50_GOAL_US: f64 = 200.0;
const ALONE_P50_GOAL_RATIO: f64 = 1.0 / 2.0;
const PROCESSOR_GOAL_US: f64 = 30.0;
const PROCESSOR_GOAL_RATIO: f64 = 1.0 / 8.0;
const PING_GOAL_MS: f64 = 2.0;
const FORK_GOAL_MS: f64 = 25.0;
const SPAWN_GOAL_MS: f64 = 120.0;
const JOBS_GOAL: f64 = 5_000.0;
const SUBMIT_GOAL_MS: f64 = 10.0;
const BYTES_GOAL_RATIO: f64 = 1.0 / 5.0;
const IDLE_GOAL_MB: f64 = 8.0;

pub(crate) fn print(args: &Args, engine: &Engine) {
    print_load(&engine.load);
    println!(
        "\nLoad: `POST /add` {{\"x\":1,\"y\":2}}, one worker, keep-alive, closed loop, {} rounds of {} s per row, \
         peers in turn. Generator, servers and workers share the cores; processor time is that of all of a server's processes. \
         Ratios are against FastAPI.\n",
        args.rounds,
        args.round_time.as_secs(),
    );
    println!("| an endpoint | flash | beside it | ratio | goal | |");
    println!("|---|---:|---:|---:|---:|---|");
    for (connections, reference, granian) in LOADED_GOALS {
        print_loaded(&engine.load, connections, reference, granian);
    }
    print_alone(&engine.load);
    print_processor(&engine.load);
    print_ping(engine);
    print_cold(engine);
    print_jobs(engine);
    print_bytes(engine);
    print_idle(engine);
    println!(
        "\nRequests are to the endpoint's own URL. Slow functions compute for milliseconds, in one worker. A first call is `POST /runsync` to its \
         result; the worker before it has ended. Jobs are on disk before they are acknowledged, one worker runs up to 64 at a time; submits are counted from when they were \
         due. The {MEBIBYTES} MiB go by the SDK's own call, through the mothership, without a job; the reference's go from its client straight to its \
         handler. The idle endpoint's mothership has the same program in memory: of pages that both use, half is counted.\n"
    );
}

fn print_load(load: &[Load]) {
    println!(
        "| connections | server | requests/s | ratio | p50 | p99 | ratio | processor time | goal ≥ 4×, ≤ 1/3 |"
    );
    println!("|---:|---|---:|---:|---:|---:|---:|---:|---|");
    for connections in CONNECTIONS {
        let Some(fastapi) = find(load, Peer::FastApi, connections) else { continue };
        for load in load.iter().filter(|load| load.connections == connections) {
            let requests_ratio = load.requests_per_second / fastapi.requests_per_second;
            let p99_ratio = load.p99_us / fastapi.p99_us;
            let goals = match load.peer {
                Peer::FlashChild | Peer::FlashFrontDoor => format!(
                    "{}, {}",
                    verdict(requests_ratio >= REQUESTS_GOAL_RATIO),
                    verdict(p99_ratio <= P99_GOAL_RATIO)
                ),
                Peer::FastApi | Peer::Reference | Peer::Granian | Peer::Hyper => String::new(),
            };
            row(&[
                &connections.to_string(),
                load.peer.label(),
                &thousands(load.requests_per_second),
                &format!("{requests_ratio:.2}×"),
                &us(load.p50_us),
                &us(load.p99_us),
                &format!("{p99_ratio:.2}×"),
                &load.processor_us.map_or_else(not_known, us),
                &goals,
            ]);
        }
    }
}

fn print_loaded(load: &[Load], connections: usize, reference_goal: f64, granian_goal: f64) {
    let Some(flash) = find(load, Peer::FlashChild, connections) else { return };
    let per_second = |load: &Load| format!("{}/s", thousands(load.requests_per_second));
    let name = format!("`POST /add`, {connections} connections");
    let rows =
        [(name.as_str(), Peer::Reference, reference_goal), ("… beside granian", Peer::Granian, granian_goal)];
    for (name, peer, goal) in rows {
        let Some(beside) = find(load, peer, connections) else { continue };
        let ratio = flash.requests_per_second / beside.requests_per_second;
        let beside = beside_it(&per_second(beside), peer);
        compare(name, &per_second(flash), &beside, ratio, &format!("≥ {goal}×"), ratio >= goal);
    }
    let Some(fastapi) = find(load, Peer::FastApi, connections) else { return };
    let ratio = flash.p99_us / fastapi.p99_us;
    compare(
        "… p99",
        &us(flash.p99_us),
        &beside_it(&us(fastapi.p99_us), Peer::FastApi),
        ratio,
        "≤ 1/5",
        ratio <= LOADED_P99_GOAL_RATIO,
    );
}

fn print_alone(load: &[Load]) {
    let Some(flash) = find(load, Peer::FlashChild, 1) else { return };
    let Some(fastapi) = find(load, Peer::FastApi, 1) else { return };
    let ratio = flash.p50_us / fastapi.p50_us;
    compare(
        "`POST /add`, one connection, p50",
        &us(flash.p50_us),
        &beside_it(&us(fastapi.p50_us), Peer::FastApi),
        ratio,
        &format!("≤ {}, ≤ 1/2", us(ALONE_P50_GOAL_US)),
        flash.p50_us <= ALONE_P50_GOAL_US && ratio <= ALONE_P50_GOAL_RATIO,
    );
}

fn print_processor(load: &[Load]) {
    let of = |peer| find(load, peer, 64)?.processor_us;
    let (Some(flash), Some(fastapi)) = (of(Peer::FlashChild), of(Peer::FastApi)) else { return };
    let ratio = flash / fastapi;
    compare(
        "`POST /add`, 64 connections, processor time",
        &us(flash),
        &beside_it(&us(fastapi), Peer::FastApi),
        ratio,
        &format!("≤ {}, ≤ 1/8", us(PROCESSOR_GOAL_US)),
        flash <= PROCESSOR_GOAL_US && ratio <= PROCESSOR_GOAL_RATIO,
    );
}

fn print_ping(engine: &Engine) {
    let ping = &engine.ping;
    row(&[
        &format!("`/ping` beside {CALLERS} callers of slow functions, p99"),
        &format!("{:.2} ms", ping.flash_ms),
        &beside_it(&ms(ping.fastapi_ms), Peer::FastApi),
        "",
        &format!("≤ {PING_GOAL_MS} ms"),
        verdict(ping.flash_ms <= PING_GOAL_MS),
    ]);
}

fn print_cold(engine: &Engine) {
    let cold = &engine.cold;
    let by = |call: &FirstCall| if call.by_fork { "fork" } else { "spawn" };
    row(&[
        "first call from zero workers, `flashboot=True`",
        &format!("{} (by {})", ms(cold.forked.ms), by(&cold.forked)),
        &format!("{} `python -c pass`", ms(cold.python_ms)),
        &format!("{:.2}×", cold.forked.ms / cold.python_ms),
        &format!("≤ {} by fork", ms(FORK_GOAL_MS)),
        verdict(cold.forked.by_fork && cold.forked.ms <= FORK_GOAL_MS),
    ]);
    row(&[
        "… `flashboot=False`",
        &format!("{} (by {})", ms(cold.spawned.ms), by(&cold.spawned)),
        &format!("{} {}, start → first 200", ms(cold.fastapi_ms), Peer::FastApi.label()),
        &format!("{:.2}×", cold.spawned.ms / cold.fastapi_ms),
        &format!("≤ {} by spawn", ms(SPAWN_GOAL_MS)),
        verdict(!cold.spawned.by_fork && cold.spawned.ms <= SPAWN_GOAL_MS),
    ]);
}

fn print_jobs(engine: &Engine) {
    let jobs = &engine.jobs;
    row(&[
        "durable jobs, `run` → `COMPLETED`",
        &format!("{}/s", thousands(jobs.per_second)),
        "",
        "",
        &format!("≥ {}/s", thousands(JOBS_GOAL)),
        verdict(jobs.per_second >= JOBS_GOAL),
    ]);
    row(&[
        "… the submit at half of that, p99",
        &ms(jobs.submit_p99_ms),
        "",
        "",
        &format!("≤ {}", ms(SUBMIT_GOAL_MS)),
        verdict(jobs.submit_p99_ms <= SUBMIT_GOAL_MS),
    ]);
}

fn print_bytes(engine: &Engine) {
    let Some(bytes) = &engine.bytes else { return };
    let cost = |cost: &Cost| {
        format!("{} ({:.1} client + {:.1} server)", ms(cost.sum_ms()), cost.client_ms, cost.server_ms)
    };
    let ratio = bytes.flash.sum_ms() / bytes.reference.sum_ms();
    compare(
        &format!("{MEBIBYTES} MiB to a queue's function and back, processor time"),
        &cost(&bytes.flash),
        &format!("{} the reference's path", cost(&bytes.reference)),
        ratio,
        "≤ 1/5",
        ratio <= BYTES_GOAL_RATIO,
    );
}

fn print_idle(engine: &Engine) {
    let Some(idle) = &engine.idle else { return };
    compare(
        "an idle endpoint without a worker, `flashboot=False`, memory (PSS)",
        &mb(Some(idle.flash_mb)),
        &beside_it(&mb(Some(idle.fastapi_mb)), Peer::FastApi),
        idle.flash_mb / idle.fastapi_mb,
        &format!("≤ {IDLE_GOAL_MB:.0} MB"),
        idle.flash_mb <= IDLE_GOAL_MB,
    );
}

fn compare(name: &str, flash: &str, beside: &str, ratio: f64, goal: &str, is_met: bool) {
    row(&[name, flash, beside, &format!("{ratio:.2}×"), goal, verdict(is_met)]);
}

fn beside_it(figure: &str, peer: Peer) -> String {
    format!("{figure} {}", peer.label())
}

fn find(load: &[Load], peer: Peer, connections: usize) -> Option<&Load> {
    load.iter().find(|load| load.peer == peer && load.connections == connections)
}

fn not_known() -> String {
    "not known".to_owned()
}
