//! A script with the SDK, outside of the project's endpoints, reads what a job's generator yields.

use std::process::Command;

use crate::support::{Project, repository, text};

const CODE: &str = r#"
from tetra_rp import CpuLiveServerless, remote

@remote(CpuLiveServerless(name="count"))
def count(to: int, fails: bool = False):
    yield from range(to)
    if fails:
        raise ValueError("that is all")
"#;

const SCRIPT: &str = r#"
import asyncio
from tetra_rp import CallError, Endpoint

async def read(**given):
    job = await Endpoint(name="count").run(given)
    try:
        async for part in job.stream():
            print(part)
    except CallError as error:
        print("that is all" in str(error))
    print(await job.status())

asyncio.run(read(to=2))
asyncio.run(read(to=1, fails=True))
"#;

#[tokio::test]
async fn a_script_reads_the_parts_of_a_job_as_they_come_and_how_it_ended() {
    let project = Project::of(&[("main.py", CODE), ("read.py", SCRIPT)]);
    let mut running = project.run();
    running.until_ready().await;
    let output = Command::new("python3")
        .arg("read.py")
        .current_dir(project.root())
        .env("PYTHONPATH", repository().join("python"))
        .output()
        .unwrap();
    assert_eq!(text(&output.stderr), "");
    assert_eq!(text(&output.stdout), "0\n1\nCOMPLETED\n0\nTrue\nFAILED\n");
}
