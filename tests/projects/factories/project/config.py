from functools import lru_cache
from tetra_rp import CpuLiveServerless, GpuGroup, LiveServerless
STAGE = "dev"
COMMON = {"idleTimeout": 30}
def gpu(name: str, *, group=GpuGroup.ADA_24, workers: int = 2, **options):
    """A GPU resource of this project."""
    full_name = f"{STAGE}-{name}"
    limits = dict(workersMin=0, workersMax=workers)
    return LiveServerless(name=full_name, gpus=[group], **limits, **COMMON, **options)
@lru_cache(maxsize=None)
def cpu():
    return CpuLiveServerless(name=f"{STAGE}-cpu")
small = lambda name: CpuLiveServerless(name=name, workersMax=1)
def indirect(name):
    return gpu(name + "-indirect", workers=9)
class Configs:
    train = gpu("train", group=GpuGroup.AMPERE_80, gpuCount=2)
