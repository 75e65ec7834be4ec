from runpod_flash import CpuLiveLoadBalancer, remote

pipeline_config = CpuLiveLoadBalancer(name="01_03_pipeline", workersMin=1)


@remote(resource_config=pipeline_config, method="POST", path="/classify")
async def classify(text: str) -> dict:
    from cpu_worker import preprocess
    from gpu_worker import infer
    cleaned = await preprocess(text)
    return await infer(cleaned["text"])
