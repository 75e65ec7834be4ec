"""Importing the package is cheap and does nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SDK = Path(__file__).resolve().parent.parent

# Modules that each cost milliseconds, and that declaring resources does not need.
SLOW = {
    "asyncio", "cloudpickle", "http.client", "inspect", "json", "logging", "pickle", "socket", "ssl", "typing", "pydantic",
    "difflib", "dataclasses", "urllib.parse", "re",
}  # fmt: skip


def run(source: str, **environment: str) -> str:
    # -S -E: `site` and path configuration files of the test environment import things of their own.
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-W", "error", "-c", f"import sys; sys.path.insert(0, {str(SDK)!r})\n{source}"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return done.stdout


def test_nothing_slow_is_imported():
    # In a class body, decorating a function: what every user's module does.
    source = """
import tetra_rp
gpu = tetra_rp.LiveServerless(name="gpu", gpus=[tetra_rp.GpuGroup.ADA_24])
@tetra_rp.remote(gpu, dependencies=["torch"])
async def infer(text: str) -> dict: ...
@tetra_rp.Endpoint(gpu="any", workers=(0, 3), volume=tetra_rp.NetworkVolume(name="v"))
def model(): ...
api = tetra_rp.Endpoint(name="api", cpu="cpu3c-1-2")
@api.get("/x/{y}")
def x(y: int): ...
print(",".join(sys.modules))
"""
    loaded = set(run(source).strip().split(","))
    assert loaded & SLOW == set()


def test_a_worker_loads_what_few_calls_need_when_one_does():
    loaded = set(run('import tetra_rp._worker._loop; print(",".join(sys.modules))').strip().split(","))
    assert loaded & {"difflib", "hashlib", "http.cookies"} == set()
    assert loaded & {f"tetra_rp._worker.{name}" for name in ("_asgi", "_source", "_template")} == set()


def test_importing_reads_no_settings_and_touches_no_logging(tmp_path):
    (tmp_path / ".env").write_text("FLASH_FROM_DOTENV=1\n")
    source = """
import os
before = dict(os.environ)
os.chdir(sys.argv[1] if len(sys.argv) > 1 else ".")
import tetra_rp, runpod_flash
assert dict(os.environ) == before
import logging
assert not logging.getLogger().handlers
import threading
assert threading.active_count() == 1
print("ok")
"""
    assert run(source.replace('sys.argv[1] if len(sys.argv) > 1 else "."', repr(str(tmp_path)))) == "ok\n"
