"""A queue without a worker as soon as it is idle."""

from tetra_rp import CpuLiveServerless, remote

idle = CpuLiveServerless(name="idle", workersMin=0, workersMax=1, idleTimeout=1, flashboot=False)


@remote(idle)
async def add(x: int, y: int) -> int:
    return x + y
