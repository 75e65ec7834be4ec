from runpod_flash import GpuGroup, LiveServerless, remote


@remote(resource_config=LiveServerless(name="01_03_gpu_worker", gpus=[GpuGroup.ADA_24]), dependencies=["torch", "transformers"])
async def infer(text: str) -> dict:
    import torch
    version = __import__("sys").version
    return {"cuda": torch.cuda.is_available(), "version": version}
