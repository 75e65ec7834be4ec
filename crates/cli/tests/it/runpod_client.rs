//! The `runpod` package's own client, unmodified, drives a running project: `runpod_client.py` has what it does.

use std::path::PathBuf;
use std::process::Command;

use crate::support::{Project, Running, repository, text};

const CODE: &str = r#"
import asyncio
import pathlib
import time

from tetra_rp import CpuLiveServerless, remote

def wait_for(path):
    while path and not pathlib.Path(path).exists():
        time.sleep(0.01)

@remote(CpuLiveServerless(name="double", workersMax=1))
def double(x: int) -> int:
    if x < 0:
        raise ValueError("too small")
    return x * 2

@remote(CpuLiveServerless(name="bare", workersMax=1))
def bare() -> str:
    return "bare"

@remote(CpuLiveServerless(name="hold", workersMax=1))
def hold(begun: str, go: str) -> str:
    pathlib.Path(begun).touch()
    wait_for(go)
    return "held"

@remote(CpuLiveServerless(name="count", workersMax=1))
def count(to: int, go: str = "", fails: bool = False):
    yield {"number": 0}
    wait_for(go)
    for number in range(1, to):
        yield {"number": number}
    if fails:
        raise ValueError("that is all")

@remote(CpuLiveServerless(name="words", workersMax=1))
async def words(text: str):
    for word in text.split():
        yield word
        await asyncio.sleep(0)
"#;

#[tokio::test]
async fn the_client_of_runpod_drives_a_project_unchanged() {
    let project = Project::of(&[("main.py", CODE)]);
    let mut running = Running::start_with(&project, &["--require-token"], &[]);
    let token = running.token();
    running.eventually("ready", |_| {
        let (status, shown, _) = project.shown(&["status", "--json"]);
        (status == 0 && shown.matches("\"ready\"").count() == 5).then_some(())
    });
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(runpod_python())
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/runpod_client.py"))
        // The client would take a key from a configuration file of the person who runs this.
        .env("HOME", home.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("RUNPOD_ENDPOINT_BASE_URL", format!("{}/v2", running.url))
        .env("FLASH_TEST_TOKEN", &token)
        .env_remove("PYTHONPATH")
        .output()
        .unwrap_or_else(|error| {
            panic!("{error}: `cargo xtask test rust` makes {}", runpod_python().display())
        });
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
}

/// An environment of its own: what the package needs is not what workers need.
#[allow(clippy::disallowed_methods, reason = "the test runner says where environments lie")]
fn runpod_python() -> PathBuf {
    std::env::var_os("FLASH_TEST_RUNPOD_PYTHON")
        .map_or_else(|| repository().join("target/test-runpod/bin/python"), PathBuf::from)
}
