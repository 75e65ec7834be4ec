from tetra_rp import CpuLiveLoadBalancer, PodTemplate, remote

api = CpuLiveLoadBalancer(
    name="03_05_load_balancer_cpu",
    template=PodTemplate(containerDiskInGb=10),
    workersMin=1,
)


@remote(api, method="GET", path="/health")
async def cpu_health() -> dict:
    return {"status": "healthy"}


@remote(api, method="POST", path="/validate")
async def validate_data(text: str) -> dict:
    return {"valid": bool(text)}


@remote(api, method="POST", path="/transform")
async def transform_data(text: str, operation: str = "uppercase") -> dict:
    return {"text": text.upper()}


@remote(api, method="DELETE", path="/items/{item_id}/parts/{part:path}")
async def remove(item_id: int, part: str, /, *tags: str, force: bool = False, **rest) -> None: ...
