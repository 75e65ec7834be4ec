"""A function of a queue that gives back what it is given."""

from tetra_rp import CpuLiveServerless, remote

echo_config = CpuLiveServerless(name="echo", workersMin=1, workersMax=1)


@remote(echo_config)
async def echo(data: bytes) -> bytes:
    return data
