"""Names of hardware and settings that resources are declared with."""

from __future__ import annotations

from enum import Enum


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

    @classmethod
    def all(cls) -> list[GpuGroup]:
        """What `ANY` stands for: every group once, the commonest first."""
        return [cls.AMPERE_48, *(group for group in cls if group not in (cls.ANY, cls.AMPERE_48))]


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


class DataCenter(Enum):
    """Where endpoints and volumes can be."""

    EU_RO_1 = "EU-RO-1"


class ServerlessType(Enum):
    """How an endpoint is called: jobs through a queue, or HTTP through a load balancer."""

    QB = "QB"
    LB = "LB"


class ServerlessScalerType(Enum):
    """When a worker is added: seconds a job waits, or requests per worker."""

    QUEUE_DELAY = "QUEUE_DELAY"
    REQUEST_COUNT = "REQUEST_COUNT"
