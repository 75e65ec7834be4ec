//! A mothership in a process of its own: real state on disk, endpoints in memory behind a provider that takes its time.
//! Told what to do by lines on standard input, it answers each with a line of JSON.

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use flash_model::{
    AppName, EnvironmentName, FunctionName, Manifest, ResourceName, ResourceStatus, Scope, Secret,
};
use flash_mothership::store::SqliteStore;
use flash_mothership::{
    Desired, Environment, Event, Front, FrontSettings, Handle, LeaseSettings, ReconcileSettings,
};
use flash_providers::SimProvider;
use flash_scan::SourceTree;
use serde_json::json;

const READY_MAX: Duration = Duration::from_secs(300);
const ROUND_MAX: Duration = Duration::from_secs(60);
const TOKEN: &str = "not-a-secret";

/// Ends when its standard input does. `want N` makes N resources desired and waits until all are ready; `round` has the
/// mothership look once more.
pub(crate) fn serve(port: u16, latency: Duration, state: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let provider = Arc::new(SimProvider::with_latency(latency));
    let mothership = runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let token = Secret::new(TOKEN);
        let front =
            Front::open(FrontSettings { project_name: "bench".into(), listener, token, needs_token: false })?;
        let scope = Scope { app: AppName::new("bench")?, environment: EnvironmentName::new("dev")? };
        let store = Arc::new(SqliteStore::open(state)?);
        let lease = LeaseSettings::new("benchmark")?;
        let settings = ReconcileSettings::new(scope, store, provider.clone(), lease);
        anyhow::Ok(front.reconcile(settings).await?)
    })?;
    let handle = mothership.handle();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let before = provider.calls();
        let begun = Instant::now();
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("want", count) => {
                let manifest = manifest(count.parse().context("want how many?")?)?;
                runtime.block_on(want(&handle, manifest))?;
            }
            ("round", _) => {
                let took = runtime.block_on(round(&handle, &provider))?;
                answer(&json!({ "seconds": took.as_secs_f64(), "calls": since(&before, &provider) }))?;
                continue;
            }
            _ => bail!("{line:?} is not a command"),
        }
        answer(&json!({ "seconds": begun.elapsed().as_secs_f64(), "calls": since(&before, &provider) }))?;
    }
    Ok(())
}

fn answer(answer: &serde_json::Value) -> Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{answer}")?;
    Ok(output.flush()?)
}

fn since(before: &BTreeMap<&'static str, u64>, provider: &SimProvider) -> BTreeMap<&'static str, u64> {
    let calls = provider.calls().into_iter();
    calls.map(|(verb, count)| (verb, count - before.get(verb).copied().unwrap_or(0))).collect()
}

async fn want(handle: &Handle, manifest: Manifest) -> Result<()> {
    let count = manifest.resources.len();
    handle.set_desired(Desired { manifest: Arc::new(manifest), environment: Environment::new() });
    let mut served = handle.subscribe();
    let all_ready = served.wait_for(|served| {
        let mut provisioned = served.all_provisioned();
        let is_ready = |status| status == Some(ResourceStatus::Ready);
        provisioned.len() == count && provisioned.all(|(_, provisioned)| is_ready(provisioned.status))
    });
    tokio::time::timeout(READY_MAX, all_ready).await.context("not every resource became ready")??;
    Ok(())
}

async fn round(handle: &Handle, provider: &SimProvider) -> Result<Duration> {
    let mut events = handle.events();
    provider.nudge();
    tokio::time::timeout(ROUND_MAX, async {
        loop {
            if let Event::Round { took } = events.recv().await? {
                return Ok(took);
            }
        }
    })
    .await
    .context("no round")?
}

/// As many queue resources as asked for, each with a function as people write them.
fn manifest(count: usize) -> Result<Manifest> {
    let mut tree = SourceTree::new("bench");
    let source = "from tetra_rp import LiveServerless, remote\n\n\
        config = LiveServerless(name=\"pool\", workersMax=3, idleTimeout=60)\n\n\
        @remote(config, dependencies=[\"numpy\"])\n\
        async def transform(text: str, factor: float = 1.0) -> dict:\n    \"\"\"Scales a text.\"\"\"\n    return {\"text\": text}\n";
    tree.insert("worker.py".to_owned(), source.as_bytes().to_vec());
    let scanned = flash_scan::scan(&tree).manifest;
    let (_, template) = scanned.resources.first_key_value().context("the template has a resource")?;
    let mut manifest = Manifest::empty("bench");
    for number in 0..count {
        let name = ResourceName::new(format!("pool-{number:05}"))?;
        let mut resource = template.clone();
        let function = FunctionName::new(format!("transform_{number:05}"))?;
        for own in &mut resource.functions {
            own.name = function.clone();
        }
        resource.handler_file = format!("handler_pool_{number:05}.py");
        resource.config_hash = resource.compute_config_hash()?;
        manifest.function_registry.insert(function, name.clone());
        manifest.resources.insert(name, resource);
    }
    Ok(manifest)
}
