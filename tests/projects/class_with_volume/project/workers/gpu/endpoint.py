from tetra_rp import GpuGroup, LiveServerless, remote

from .. import volume

MODEL_PATH = "/runpod-volume/models"

gpu_config = LiveServerless(
    name="05_gpu_worker",
    gpus=[GpuGroup.ANY],
    env={"HF_HUB_CACHE": MODEL_PATH, "MODEL_PATH": MODEL_PATH},
    networkVolume=volume,
)


@remote(gpu_config, dependencies=["diffusers", "torch"])
class SimpleSD:
    """Stable diffusion on a volume."""

    images = 0

    def __init__(self, model: str = "sd", *, half: bool = True):
        import torch
        from diffusers import StableDiffusionPipeline

        self.pipe = StableDiffusionPipeline.from_pretrained(model, torch_dtype=torch.float16)

    def _path(self, name):
        return f"{MODEL_PATH}/{name}"

    async def generate_image(self, prompt: str, steps: int = 20) -> dict:
        return {"image": self.pipe(prompt)}

    @staticmethod
    def formats() -> list[str]:
        return ["png"]

    @classmethod
    def describe(cls, verbose=False): ...
