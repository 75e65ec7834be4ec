"""The three endpoints of this project. Change hardware and scaling here."""

from tetra_rp import CpuLiveServerless, GpuGroup, LiveLoadBalancer, LiveServerless

# Cheap text clean-up; scales to zero when nobody asks.
prep_config = CpuLiveServerless(name="prep", workersMin=0, workersMax=2, idleTimeout=60)

# One worker, so one copy of the model in memory. Kept for ten minutes after the last request.
model_config = LiveServerless(
    name="model",
    gpus=[GpuGroup.ADA_24],
    workersMin=0,
    workersMax=1,
    idleTimeout=600,
    executionTimeoutMs=60_000,
)

# The public HTTP interface; always has a worker.
api_config = LiveLoadBalancer(name="api", workersMin=1, workersMax=3)
