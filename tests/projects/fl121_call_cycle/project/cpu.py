from tetra_rp import CpuLiveServerless, remote

cpu = CpuLiveServerless(name="cpu", workersMax=1)


@remote(cpu)
async def plan(text: str, depth: int = 3) -> str:
    from gpu import refine as improve

    return await improve(text, depth - 1)
