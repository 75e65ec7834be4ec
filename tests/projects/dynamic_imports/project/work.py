import importlib
from importlib import import_module

from tetra_rp import CpuLiveServerless, remote

plugins = CpuLiveServerless(name="plugins")
handler = importlib.import_module("plugins.first").handler


@remote(plugins)
def run(kind: str) -> list:
    old = __import__("plugins.old")
    found = [import_module(".deep", package="plugins").value for _ in range(2)]
    return [old, *found, getattr(importlib.import_module(f"plugins.{kind}"), "run")]
