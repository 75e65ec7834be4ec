from runpod_flash import CpuLiveServerless, remote

cpu_config = CpuLiveServerless(name="01_03_cpu_worker")


@remote(resource_config=cpu_config)
async def preprocess(text: str) -> dict:
    import re
    return {"text": re.sub(r"\s+", " ", text)}
