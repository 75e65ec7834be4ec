from runpod_flash import Endpoint, GpuType

api = Endpoint(
    name="03_05_load_balancer_gpu",
    gpu=GpuType.NVIDIA_GEFORCE_RTX_4090,
    workers=(1, 3),
)


@api.get("/health")
async def gpu_health() -> dict:
    return {"status": "ok"}


@api.post("/compute")
async def compute_intensive(numbers: list[int]) -> dict:
    return {"sum": sum(numbers)}
