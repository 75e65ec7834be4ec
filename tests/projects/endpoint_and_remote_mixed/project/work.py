import tetra_rp as t
from runpod_flash import Endpoint, remote as deploy
from tetra_rp import CpuLiveServerless
prep = CpuLiveServerless(name="prep")
@deploy(prep)
def clean(text: str) -> str: ...
@Endpoint(name="infer", gpu=t.GpuGroup.ADA_24)
async def infer(text: str) -> dict: ...
lb = t.LiveLoadBalancer(name="lb")
@t.remote(lb, method="GET", path="/x")
async def x(): ...
