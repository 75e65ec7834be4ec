"""What `cargo xtask bench` measures: a trivial route, so that everything but user code is left."""

from tetra_rp import CpuLiveLoadBalancer, remote

bench_config = CpuLiveLoadBalancer(name="bench", workersMin=1, workersMax=1)


@remote(bench_config, method="POST", path="/add")
async def add(x: int, y: int) -> int:
    """The sum of two numbers."""
    return x + y
