from tetra_rp import (
    GpuGroup,  # pools
    LiveServerless,
    remote,
)

gpu_config = LiveServerless(
    name="gpu_worker",
    gpus=[GpuGroup.ANY],
    workersMin=0,
    workersMax=3,
    idleTimeout=5,
)


@remote(resource_config=gpu_config, dependencies=["torch", "numpy>=1.26"], system_dependencies=["ffmpeg"])
async def gpu_hello(
    input_data: dict,
) -> dict:
    """Simple GPU worker example with GPU detection."""
    import torch

    return {"available": torch.cuda.is_available()}
