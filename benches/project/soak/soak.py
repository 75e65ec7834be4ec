"""What runs while things are killed: jobs that leave a line each, and a route."""

import asyncio
import os

from tetra_rp import CpuLiveLoadBalancer, Endpoint, remote

requests = CpuLiveLoadBalancer(name="requests", workersMin=2, workersMax=2, executionTimeoutMs=5000)
files: dict[str, int] = {}


@Endpoint(name="jobs", cpu="cpu3c-1-2", workers=(2, 2), max_concurrency=16, execution_timeout_ms=5000)
async def note(number: int, file: str) -> int:
    """Appends its number to the file. Short lines of several processes never mix: one write each, at the end."""
    if file not in files:
        files[file] = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(files[file], f"{number}\n".encode())
    await asyncio.sleep(0.01)
    return number


@remote(requests, method="POST", path="/add")
async def add(x: int, y: int) -> int:
    return x + y
