//! `flash run` with real children: killed, started again, and how long until it knows all of them again.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;

use crate::args::Args;
use crate::http;
use crate::server::{Server, free_port};
use crate::stats::median;

pub(super) const CHILDREN: usize = 100;
const READY_MAX: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(10);
const CRASHES: usize = 3;

pub(super) async fn measure(args: &Args) -> Result<f64> {
    let project = args.work.join("children");
    if project.exists() {
        fs::remove_dir_all(&project)?;
    }
    fs::create_dir_all(&project)?;
    let mut source = "from tetra_rp import CpuLiveServerless, remote\n".to_owned();
    for number in 0..CHILDREN {
        let _ = write!(
            source,
            "\n@remote(CpuLiveServerless(name=\"child-{number:03}\"))\ndef double_{number:03}(x: int) -> int:\n    return 2 * x\n"
        );
    }
    fs::write(project.join("children.py"), source)?;
    let port = free_port()?;
    let command = || {
        let mut command = Command::new(&args.flash);
        command.arg("run").arg(&project).args(["--no-reload", "--port", &port.to_string()]);
        command
    };
    eprintln!("reconcile: {CHILDREN} children of one mothership, first start");
    let mut server = Server::start("flash run", command(), port, args.log("children"))?;
    wait_until_ready(&mut server).await?;
    let mut seconds = Vec::new();
    for crash in 1..=CRASHES {
        eprintln!("reconcile: crash {crash} of {CRASHES}");
        server.crash(command())?;
        wait_until_ready(&mut server).await?;
        seconds.push(server.started.elapsed().as_secs_f64());
    }
    server.stop()?;
    Ok(median(&seconds))
}

async fn wait_until_ready(server: &mut Server) -> Result<()> {
    loop {
        if let Ok((_, body)) = http::get(server.address, "/manifest").await {
            let manifest: Value = serde_json::from_slice(&body)?;
            let resources = manifest["resources"].as_object().map(|resources| resources.values());
            let ready =
                resources.map_or(0, |all| all.filter(|resource| resource["status"] == "ready").count());
            if ready == CHILDREN {
                return Ok(());
            }
        }
        if server.started.elapsed() > READY_MAX {
            return Err(server.failure("did not get all children ready"));
        }
        server.check_running()?;
        tokio::time::sleep(POLL).await;
    }
}
