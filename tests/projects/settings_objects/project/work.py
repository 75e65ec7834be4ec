from settings import Names, Settings, Sizes, settings
from tetra_rp import CpuLiveServerless, GpuGroup, LiveServerless, remote
GROUPS = GpuGroup.all()
(name, limit), *rest = (Names.GPU.value, 4), "x", "y"
gpu = LiveServerless(name=f"{settings.prefix}-{name}", workersMax=settings.workers, gpus=GROUPS)
cpu = CpuLiveServerless(name="{}-{}".format(Settings().prefix.lower(), Names.CPU.value).upper(), workersMax=Sizes.LARGE)
tiny = CpuLiveServerless(name="-".join([Names.CPU.value, "tiny"]), workersMax=limit)
@remote(gpu)
def train(): ...
@remote(cpu)
def prepare(): ...
@remote(tiny)
def tidy(): ...
@remote(walrus := CpuLiveServerless(name="walrus"))
def first(): ...
@remote(walrus)
def second(): ...
