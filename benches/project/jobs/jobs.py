"""A trivial job: everything but user code is left."""

from tetra_rp import Endpoint


@Endpoint(name="jobs", cpu="cpu3c-1-2", workers=(1, 1), max_concurrency=64)
async def add(x: int, y: int) -> int:
    return x + y
