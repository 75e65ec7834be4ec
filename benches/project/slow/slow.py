"""A route that keeps its worker computing for some milliseconds."""

from tetra_rp import CpuLiveLoadBalancer, remote

slow_config = CpuLiveLoadBalancer(name="slow", workersMin=1, workersMax=1)


@remote(slow_config, method="POST", path="/slow")
def slow(x: int, y: int) -> int:
    for _ in range(200_000):
        pass
    return x + y
