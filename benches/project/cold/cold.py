"""Two queues without a worker as soon as they are idle: what their first call starts is forked, or spawned."""

from tetra_rp import CpuLiveServerless, remote

forked = CpuLiveServerless(name="forked", workersMin=0, workersMax=1, idleTimeout=1, flashboot=True)
spawned = CpuLiveServerless(name="spawned", workersMin=0, workersMax=1, idleTimeout=1, flashboot=False)


@remote(forked)
async def add_forked(x: int, y: int) -> int:
    return x + y


@remote(spawned)
async def add_spawned(x: int, y: int) -> int:
    return x + y
