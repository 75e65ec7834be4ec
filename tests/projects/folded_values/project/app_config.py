import os
from tetra_rp import CpuInstanceType, CudaVersion, DataCenter, GpuGroup, LiveServerless, CpuLiveServerless
from tetra_rp.core.resources import ServerlessScalerType
import constants
from constants import LIMITS, NAMES

COMMON = {**LIMITS, "idleTimeout": 5 * 60, "executionTimeoutMs": 10 * 60 * 1000}
DEBUG = False
gpu = LiveServerless(
    name=NAMES["gpu"],
    gpus=[GpuGroup.ADA_80_PRO, GpuGroup(constants.GPU_POOLS[0])] if DEBUG else [*constants.GPU_POOLS, GpuGroup.AMPERE_80],
    gpuCount=1 << 1 if False else 2,
    cudaVersions=[CudaVersion.V12_1, CudaVersion.V12_4],
    datacenter=DataCenter.EU_RO_1,
    scalerType=ServerlessScalerType.REQUEST_COUNT,
    scalerValue=-(-7 // 2),
    flashboot=not True,
    env={"STAGE": constants.STAGE, "TOKEN": os.environ["HF_TOKEN"], "LEVEL": os.getenv("LEVEL", "info")},
    **COMMON,
)
cpu = CpuLiveServerless(
    name=constants.APP + "-" + "cpu",
    instanceIds=("cpu3c-1-2", CpuInstanceType.CPU5C_2_4),
    workersMax=int(os.getenv("WORKERS", "4")),
    locations="EU-RO-1,US-KS-2",
)
