"""Names of hardware and settings that resources are declared with."""

from __future__ import annotations

from enum import Enum

TYPE_CHECKING = False  # importing `typing` would double the time that this package takes to import
if TYPE_CHECKING:
    from collections.abc import Iterable


class GpuGroup(Enum):
    """GPU pools, named after architecture and memory in GB."""

    ANY = "any"
    ADA_24 = "ADA_24"  # RTX 4090
    ADA_32_PRO = "ADA_32_PRO"  # RTX 5090
    ADA_48_PRO = "ADA_48_PRO"  # RTX 6000 Ada, L40, L40S
    ADA_80_PRO = "ADA_80_PRO"  # H100 PCIe, HBM3, NVL
    AMPERE_16 = "AMPERE_16"  # A4000, A4500, 4000 Ada, 2000 Ada
    AMPERE_24 = "AMPERE_24"  # A5000, L4, 3090
    AMPERE_48 = "AMPERE_48"  # A40, A6000
    AMPERE_80 = "AMPERE_80"  # A100 PCIe, SXM
    HOPPER_141 = "HOPPER_141"  # H200
    BLACKWELL_96 = "BLACKWELL_96"  # RTX PRO 6000
    BLACKWELL_180 = "BLACKWELL_180"  # B200

    @classmethod
    def all(cls) -> list[GpuGroup]:
        """What `ANY` stands for: every group once, the commonest first."""
        return [cls.AMPERE_48, *(group for group in cls if group not in (cls.ANY, cls.AMPERE_48))]


class GpuType(Enum):
    """Single GPU models, by the names that the provider shows."""

    ANY = "any"
    NVIDIA_GEFORCE_RTX_3090 = "NVIDIA GeForce RTX 3090"
    NVIDIA_GEFORCE_RTX_4090 = "NVIDIA GeForce RTX 4090"
    NVIDIA_GEFORCE_RTX_5090 = "NVIDIA GeForce RTX 5090"
    NVIDIA_RTX_2000_ADA_GENERATION = "NVIDIA RTX 2000 Ada Generation"
    NVIDIA_RTX_4000_ADA_GENERATION = "NVIDIA RTX 4000 Ada Generation"
    NVIDIA_RTX_6000_ADA_GENERATION = "NVIDIA RTX 6000 Ada Generation"
    NVIDIA_RTX_A4000 = "NVIDIA RTX A4000"
    NVIDIA_RTX_A4500 = "NVIDIA RTX A4500"
    NVIDIA_RTX_A5000 = "NVIDIA RTX A5000"
    NVIDIA_RTX_A6000 = "NVIDIA RTX A6000"
    NVIDIA_A40 = "NVIDIA A40"
    NVIDIA_L4 = "NVIDIA L4"
    NVIDIA_L40 = "NVIDIA L40"
    NVIDIA_L40S = "NVIDIA L40S"
    NVIDIA_A100_80GB_PCIe = "NVIDIA A100 80GB PCIe"
    NVIDIA_A100_SXM4_80GB = "NVIDIA A100-SXM4-80GB"
    NVIDIA_H100_PCIe = "NVIDIA H100 PCIe"
    NVIDIA_H100_NVL = "NVIDIA H100 NVL"
    NVIDIA_H100_80GB_HBM3 = "NVIDIA H100 80GB HBM3"
    NVIDIA_H200 = "NVIDIA H200"
    NVIDIA_RTX_PRO_6000_BLACKWELL_SERVER_EDITION = "NVIDIA RTX PRO 6000 Blackwell Server Edition"
    NVIDIA_RTX_PRO_6000_BLACKWELL_WORKSTATION_EDITION = "NVIDIA RTX PRO 6000 Blackwell Workstation Edition"
    NVIDIA_RTX_PRO_6000_BLACKWELL_MAX_Q_WORKSTATION_EDITION = "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition"
    NVIDIA_B200 = "NVIDIA B200"

    @property
    def group(self) -> GpuGroup:
        """The pool that has this model."""
        return next((group for group, models in _MODELS.items() if self in models), GpuGroup.ANY)


_MODELS: dict[GpuGroup, tuple[GpuType, ...]] = {
    GpuGroup.ADA_24: (GpuType.NVIDIA_GEFORCE_RTX_4090,),
    GpuGroup.ADA_32_PRO: (GpuType.NVIDIA_GEFORCE_RTX_5090,),
    GpuGroup.ADA_48_PRO: (GpuType.NVIDIA_RTX_6000_ADA_GENERATION, GpuType.NVIDIA_L40, GpuType.NVIDIA_L40S),
    GpuGroup.ADA_80_PRO: (GpuType.NVIDIA_H100_PCIe, GpuType.NVIDIA_H100_80GB_HBM3, GpuType.NVIDIA_H100_NVL),
    GpuGroup.AMPERE_16: (
        GpuType.NVIDIA_RTX_A4000,
        GpuType.NVIDIA_RTX_A4500,
        GpuType.NVIDIA_RTX_4000_ADA_GENERATION,
        GpuType.NVIDIA_RTX_2000_ADA_GENERATION,
    ),
    GpuGroup.AMPERE_24: (GpuType.NVIDIA_RTX_A5000, GpuType.NVIDIA_L4, GpuType.NVIDIA_GEFORCE_RTX_3090),
    GpuGroup.AMPERE_48: (GpuType.NVIDIA_A40, GpuType.NVIDIA_RTX_A6000),
    GpuGroup.AMPERE_80: (GpuType.NVIDIA_A100_80GB_PCIe, GpuType.NVIDIA_A100_SXM4_80GB),
    GpuGroup.HOPPER_141: (GpuType.NVIDIA_H200,),
    GpuGroup.BLACKWELL_96: (
        GpuType.NVIDIA_RTX_PRO_6000_BLACKWELL_SERVER_EDITION,
        GpuType.NVIDIA_RTX_PRO_6000_BLACKWELL_WORKSTATION_EDITION,
        GpuType.NVIDIA_RTX_PRO_6000_BLACKWELL_MAX_Q_WORKSTATION_EDITION,
    ),
    GpuGroup.BLACKWELL_180: (GpuType.NVIDIA_B200,),
}


def gpu_ids(selection: Iterable[GpuGroup | GpuType]) -> str:
    """Pools in order of preference, as the provider takes them: of a pool of which single models are wanted, the others
    follow with a minus. `[L4]` is `AMPERE_24,-NVIDIA RTX A5000,-NVIDIA GeForce RTX 3090`."""
    wanted = list(selection)
    pools: dict[GpuGroup, None] = {}
    for item in wanted:
        pools[item if isinstance(item, GpuGroup) else item.group] = None
    parts = []
    for pool in pools:
        parts.append(pool.value)
        if pool not in wanted:
            parts.extend(f"-{model.value}" for model in _MODELS.get(pool, ()) if model not in wanted)
    return ",".join(parts)


class CpuInstanceType(Enum):
    """CPU machines: generation and flavour, virtual CPUs, memory in GB."""

    ANY = "any"
    CPU3G_1_4 = "cpu3g-1-4"
    CPU3G_2_8 = "cpu3g-2-8"
    CPU3G_4_16 = "cpu3g-4-16"
    CPU3G_8_32 = "cpu3g-8-32"
    CPU3C_1_2 = "cpu3c-1-2"
    CPU3C_2_4 = "cpu3c-2-4"
    CPU3C_4_8 = "cpu3c-4-8"
    CPU3C_8_16 = "cpu3c-8-16"
    CPU5C_1_2 = "cpu5c-1-2"
    CPU5C_2_4 = "cpu5c-2-4"
    CPU5C_4_8 = "cpu5c-4-8"
    CPU5C_8_16 = "cpu5c-8-16"

    @classmethod
    def all(cls) -> list[CpuInstanceType]:
        """What `ANY` stands for."""
        return [instance for instance in cls if instance is not cls.ANY]

    @property
    def container_disk_max_gb(self) -> int:
        """The largest container disk: 10 GB for each virtual CPU of generation 3, 15 GB of generation 5."""
        if self is CpuInstanceType.ANY:
            return min(instance.container_disk_max_gb for instance in CpuInstanceType.all())
        flavour, cpus, _ = self.value.split("-")
        return int(cpus) * (15 if flavour == "cpu5c" else 10)


class CudaVersion(Enum):
    """CUDA versions that a GPU machine may be required to have."""

    V11_8 = "11.8"
    V12_0 = "12.0"
    V12_1 = "12.1"
    V12_2 = "12.2"
    V12_3 = "12.3"
    V12_4 = "12.4"
    V12_5 = "12.5"
    V12_6 = "12.6"
    V12_7 = "12.7"
    V12_8 = "12.8"
    V12_9 = "12.9"
    V13_0 = "13.0"


class DataCenter(Enum):
    """Where endpoints and volumes can be."""

    US_CA_2 = "US-CA-2"
    US_IL_1 = "US-IL-1"
    US_KS_2 = "US-KS-2"
    US_MO_1 = "US-MO-1"
    US_MO_2 = "US-MO-2"
    US_NC_2 = "US-NC-2"
    US_NE_1 = "US-NE-1"
    US_WA_1 = "US-WA-1"
    EU_CZ_1 = "EU-CZ-1"
    EU_RO_1 = "EU-RO-1"
    EUR_NO_1 = "EUR-NO-1"


# Where the provider has CPU machines.
CPU_DATA_CENTERS = (DataCenter.EU_RO_1,)


class ServerlessType(Enum):
    """How an endpoint is called: jobs through a queue, or HTTP through a load balancer."""

    QB = "QB"
    LB = "LB"


class ServerlessScalerType(Enum):
    """When a worker is added: seconds a job waits, or requests per worker."""

    QUEUE_DELAY = "QUEUE_DELAY"
    REQUEST_COUNT = "REQUEST_COUNT"
