from tetra_rp import CpuLiveServerless, remote
from workers.shared import NAME
config = CpuLiveServerless(name=f"01_{NAME}")
@remote(config)
async def first(text: str) -> str:
    from .helper import clean
    return clean(text)
