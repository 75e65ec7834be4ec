import os
from os import environ, getenv
from tetra_rp import CpuLiveServerless, LiveLoadBalancer, NetworkVolume, remote
STAGE = getenv("STAGE", "dev")
WORKERS = int(os.environ.get("WORKERS", "2"))
COMMON = {"idleTimeout": int(environ.get("IDLE", 7)), "flashboot": False}
DIRECT = {"scalerValue": 3, "locations": os.getenv("REGION", "EU-RO-1")}
config = CpuLiveServerless(
    name=f"prep-{STAGE}",
    workersMax=WORKERS * 2,
    networkVolume=NetworkVolume(name=os.getenv("VOLUME", "models")),
    env={"SECRET": os.environ["SECRET"], "MODE": os.getenv("MODE", "fast")},
    **DIRECT,
)
@remote(config, dependencies=[f"torch=={os.environ.get('TORCH', '2.1')}"])
def prepare(): ...
api = LiveLoadBalancer(name="api", **COMMON)
@remote(api, method="GET", path=f"/{STAGE}/x")
def x(): ...
