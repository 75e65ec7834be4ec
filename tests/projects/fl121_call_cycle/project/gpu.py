from tetra_rp import GpuGroup, LiveServerless, remote

from steps import again

gpu = LiveServerless(name="gpu", gpus=[GpuGroup.ADA_24], workersMax=2)


@remote(gpu)
async def refine(text: str, depth: int) -> str:
    if depth:
        return await again(text, depth)
    return await shorten(text)


@remote(gpu)
async def shorten(text: str) -> str:
    # Own resource: runs in place.
    return text if len(text) < 10 else await shorten(text[:10])
