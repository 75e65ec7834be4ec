from runpod_flash import Endpoint, GpuGroup, NetworkVolume

MODEL_PATH = "/runpod-volume/models"
volume = NetworkVolume(name="05_01_volume", size=50)


@Endpoint(name="05_01_sd", gpu=GpuGroup.ANY, volume=volume, env={"HF_HUB_CACHE": MODEL_PATH}, idle_timeout=600, dependencies=["diffusers"])
class SimpleSD:
    """Draws."""
    kind = "sd"

    def __init__(self):
        from diffusers import StableDiffusionPipeline
        self.pipe = StableDiffusionPipeline.from_pretrained(MODEL_PATH)

    async def generate_image(self, prompt: str) -> dict:
        return {"prompt": prompt}

    def _private(self): ...
