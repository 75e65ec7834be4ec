from runpod_flash import CudaVersion, DataCenter, Endpoint, GpuGroup, GpuType, NetworkVolume, PodTemplate
volume = NetworkVolume(name="models", size=50)
@Endpoint(
    name="infer",
    gpu=[GpuType.NVIDIA_GEFORCE_RTX_4090, GpuGroup.AMPERE_80],
    workers=(1, 3),
    idle_timeout=120,
    dependencies=["torch"],
    system_dependencies=["ffmpeg"],
    volume=volume,
    datacenter=DataCenter.EU_RO_1,
    env={"MODE": "fast"},
    gpu_count=2,
    execution_timeout_ms=60_000,
    flashboot=False,
    scaler_type="REQUEST_COUNT",
    scaler_value=8,
    template=PodTemplate(containerDiskInGb=100),
    min_cuda_version=CudaVersion.V12_9,
    max_concurrency=4,
)
async def infer(text: str) -> dict:
    """Answers."""
    return {}
@Endpoint("by-position", cpu="cpu3c-1-2", workers=5)
def prepare(rows: list) -> list:
    return rows
@Endpoint(gpu=GpuType.ANY)
class Model:
    def __init__(self, size: int = 1): ...
    def predict(self, x: float) -> float: ...
@Endpoint(name="any-cuda", min_cuda_version=None)
def any_cuda(): ...
@Endpoint(cpu=["cpu3c-1-2", "cpu3c-2-4"])
def tidy(): ...
