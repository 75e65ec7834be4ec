from runpod_flash import DataCenter, Endpoint

api = Endpoint(name="03_05_load_balancer_cpu", cpu="cpu3c-1-2", workers=(0, 3), datacenter=DataCenter.EU_RO_1)


@api.get("/health")
async def cpu_health() -> dict:
    return {"status": "ok"}


@api.post("/transform")
async def transform_data(text: str, operation: str = "uppercase") -> dict:
    return {"text": text.upper()}
