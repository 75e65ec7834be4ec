import settings
from tetra_rp import CpuLiveServerless, LiveServerless, remote
if settings.DEBUG:
    config = CpuLiveServerless(name="debug")
else:
    config = LiveServerless(
        name=f"{settings.NAME}-{settings.NESTED}",
        workersMax=settings.WORKERS,
        idleTimeout=settings.TIMEOUT,
        locations=settings.REGION,
    )
@remote(config)
def work(): ...
