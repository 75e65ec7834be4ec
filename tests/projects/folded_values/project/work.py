from tetra_rp import remote
from app_config import cpu, gpu
BASE = ["numpy"]
EXTRA = ("torch",)
@remote(gpu, [*BASE, "pillow"] + list(EXTRA), ["git"])
def train(): ...
@remote(cpu, dependencies=BASE + BASE, accelerate_downloads=False)
def prepare(): ...
@remote(gpu, dependencies=["accelerate"])
def evaluate(): ...
