from tetra_rp import CpuLiveLoadBalancer, remote

from gpu import infer

api = CpuLiveLoadBalancer(name="api")


@remote(api, method="POST", path="/go")
async def go(text: str) -> str:
    return await infer(text)
