import os

from tetra_rp import LiveServerless, remote

try:
    NAME = os.environ["GPU_NAME"]
except KeyError:
    NAME = "gpu"

WORKERS = 1
try:
    import torch
except ImportError:
    COUNT = 1
    WORKERS = 2
else:
    COUNT = 2


@remote(LiveServerless(name=NAME, workersMax=WORKERS, gpuCount=COUNT))
def infer() -> int:
    return 1
