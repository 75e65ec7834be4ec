//! What large values cost client and server: the SDK's call beside the reference's base64 of pickles in JSON.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

use crate::args::Args;
use crate::peers::{self, up};
use crate::process::processor_time_of;
use crate::project::Running;
use crate::stats::median;

const PROJECT: &str = "echo";
pub(crate) const MEBIBYTES: usize = 10;
/// In a round.
const CALLS: usize = 5;
const CLIENT_MAX: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub(crate) struct Bytes {
    pub(crate) flash: Cost,
    pub(crate) reference: Cost,
}

/// Processor time of a call in milliseconds, medians over the rounds.
#[derive(Debug)]
pub(crate) struct Cost {
    pub(crate) client_ms: f64,
    pub(crate) server_ms: f64,
}

impl Cost {
    pub(crate) fn sum_ms(&self) -> f64 {
        self.client_ms + self.server_ms
    }

    fn middle(rounds: &[Self]) -> Self {
        let middle = |figure: fn(&Self) -> f64| median(&rounds.iter().map(figure).collect::<Vec<_>>());
        Self { client_ms: middle(|cost| cost.client_ms), server_ms: middle(|cost| cost.server_ms) }
    }
}

/// `None` where the system does not say what processes take.
pub(super) async fn measure(args: &Args) -> Result<Option<Bytes>> {
    let flash = Running::start(args, PROJECT).await?;
    let reference = up(peers::start_uvicorn(args, "queue_handler")?)?;
    let (mut by_flash, mut by_reference) = (Vec::new(), Vec::new());
    for number in 1..=args.rounds {
        eprintln!("{MEBIBYTES} MiB and back, round {number} of {}", args.rounds);
        let mut client = client(args)?;
        client.arg(flash.folder.join("client.py"));
        let of_flash = round(client, flash.server.id()).await?;
        let mut client = self::client(args)?;
        client.arg(args.peer().join("queue_client.py")).arg(reference.address.port().to_string());
        let of_reference = round(client, reference.id()).await?;
        let (Some(of_flash), Some(of_reference)) = (of_flash, of_reference) else { return Ok(None) };
        by_flash.push(of_flash);
        by_reference.push(of_reference);
    }
    flash.server.stop()?;
    Ok(Some(Bytes { flash: Cost::middle(&by_flash), reference: Cost::middle(&by_reference) }))
}

/// Python that finds the SDK of this repository and what clients have in common.
fn client(args: &Args) -> Result<Command> {
    let repository = args.benches.parent().context("the benches are in no folder")?;
    let paths = std::env::join_paths([repository.join("python"), args.peer()])?;
    let mut command = Command::new(&args.python);
    command.env("PYTHONPATH", paths).env_remove("FLASH_MOTHERSHIP_URL").env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}

/// `processor_time.py` is the other side.
async fn round(mut client: Command, server: u32) -> Result<Option<Cost>> {
    client.args([(MEBIBYTES * 1024 * 1024).to_string(), CALLS.to_string()]);
    client.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = client.spawn().with_context(|| format!("cannot start {client:?}"))?;
    let mut input = child.stdin.take().context("no standard input")?;
    let mut lines = BufReader::new(child.stdout.take().context("no standard output")?).lines();
    let talk = async {
        if lines.next_line().await?.as_deref() != Some("ready") {
            bail!("the client cannot call; see above");
        }
        let calls = async {
            input.write_all(b"go\n").await?;
            lines.next_line().await?.context("the client ended; see above")
        };
        let (told, server) = processor_time_of(server, calls).await;
        let told: Value = serde_json::from_str(&told?)?;
        Ok((told["seconds"].as_f64().context("the client tells no time")?, server))
    };
    let (client_seconds, server) =
        tokio::time::timeout(CLIENT_MAX, talk).await.context("the client does not end")??;
    child.wait().await?;
    let a_call = |seconds: f64| seconds * 1e3 / CALLS as f64;
    Ok(server
        .map(|server| Cost { client_ms: a_call(client_seconds), server_ms: a_call(server.as_secs_f64()) }))
}
