"""Resources: what a function needs to run, as immutable values. Making one does nothing to the world.

    ServerlessResource
    ├── ServerlessEndpoint               GPU, queue, own image
    │   ├── LiveServerless               GPU, queue
    │   └── CpuServerlessEndpoint        CPU, queue, own image
    │       └── CpuLiveServerless        CPU, queue
    └── LoadBalancerSlsResource          GPU, HTTP, own image
        ├── LiveLoadBalancer             GPU, HTTP
        └── CpuLoadBalancerSlsResource   CPU, HTTP, own image
            └── CpuLiveLoadBalancer      CPU, HTTP

Field names and defaults are the reference's (REFERENCE §2). `flash` reads declarations from the source text; these classes
check them when the code runs, and say what is wrong in words.
"""

from __future__ import annotations

import os

from tetra_rp._declared import Declared
from tetra_rp._fields import (
    REQUIRED,
    boolean,
    field,
    instance,
    integer,
    mapping,
    member,
    members,
    optional,
    text,
    text_map,
)
from tetra_rp._hardware import (
    CpuInstanceType,
    CudaVersion,
    DataCenter,
    GpuGroup,
    GpuType,
    ServerlessScalerType,
    ServerlessType,
    gpu_ids,
)

TYPE_CHECKING = False  # importing `typing` would double the time that this package takes to import
if TYPE_CHECKING:
    from typing import Any

NAME_LENGTH_MAX_CHARS = 128
CONTAINER_DISK_DEFAULT_GB = 64
# The largest that the provider makes.
VOLUME_SIZE_MAX_GB = 4096
_NAME_RULE = f"use letters, digits, '_', '-' and '.', starting with a letter, digit or '_', {NAME_LENGTH_MAX_CHARS} at most"


def resource_name(label: str, value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{label} is text, not {value!r} ({type(value).__name__})")
    plain = value.replace("_", "a").replace("-", "a").replace(".", "a")
    fits = plain.isascii() and plain.isalnum() and value[0] not in "-." and len(value) <= NAME_LENGTH_MAX_CHARS
    if not fits:
        raise ValueError(f"{label} is {value!r}; {_NAME_RULE}")
    return value


class NetworkVolume(Declared):
    """A disk that workers share, mounted at `/runpod-volume`: by `name` and `size` in GB, or one that exists by its `id`.

    `datacenter` and `dataCenterId` are the same.
    """

    name = field(None, optional(text(empty=False)))
    size = field(100, integer(1, VOLUME_SIZE_MAX_GB, unit="GB"))
    dataCenterId = field(DataCenter.EU_RO_1, member(DataCenter))
    datacenter = field(None, optional(member(DataCenter)))
    id = field(None, optional(text()))

    def _settle(self, given: frozenset[str]) -> None:
        if not (self.name or self.id):
            raise TypeError("NetworkVolume needs name=, or the id= of one that exists")
        values = self.__dict__
        if self.datacenter is None:
            values["datacenter"] = self.dataCenterId
        elif "dataCenterId" in given and self.dataCenterId is not self.datacenter:
            raise ValueError(
                f"NetworkVolume.datacenter is {self.datacenter.value} and dataCenterId is {self.dataCenterId.value}; "
                "they are the same thing, so give one of them"
            )
        else:
            values["dataCenterId"] = self.datacenter


class KeyValuePair(Declared):
    """An environment variable of a `PodTemplate`."""

    key = field(REQUIRED, text(empty=False))
    value = field(REQUIRED, text())


class PodTemplate(Declared):
    """Details of a worker's container. `env` is a list of `{"key": …, "value": …}` or `KeyValuePair`."""

    name = field("", text())
    imageName = field("", text())
    containerDiskInGb = field(CONTAINER_DISK_DEFAULT_GB, integer(1, unit="GB"))
    env = field([], lambda name, value: _pairs(name, value))
    dockerArgs = field("", text())
    ports = field("", text())
    startScript = field("", text())
    advancedStart = field(False, boolean)
    containerRegistryAuthId = field("", text())
    config = field({}, mapping)
    id = field(None, optional(text()))


class ServerlessResource(Declared):
    """Fields that all resources share."""

    name = field(REQUIRED, resource_name)
    gpus = field((GpuGroup.ANY,), members(GpuGroup, GpuType))
    gpuCount = field(1, integer(1, unit="GPUs"))
    cudaVersions = field((), members(CudaVersion))
    workersMin = field(0, integer(0, unit="workers"))
    workersMax = field(3, integer(1, unit="workers"))
    workersPFBTarget = field(0, integer(0))
    idleTimeout = field(5, integer(1, unit="seconds"))
    executionTimeoutMs = field(0, integer(0, unit="milliseconds; 0 = no limit"))
    scalerType = field(ServerlessScalerType.QUEUE_DELAY, member(ServerlessScalerType))
    scalerValue = field(4, integer(1))
    env = field({}, optional(text_map))
    networkVolume = field(None, optional(instance(NetworkVolume)))
    networkVolumeId = field(None, optional(text()))
    datacenter = field(DataCenter.EU_RO_1, member(DataCenter))
    locations = field(None, optional(text()))
    imageName = field("", optional(text()))
    template = field(None, optional(instance(PodTemplate)))
    templateId = field(None, optional(text()))
    flashboot = field(True, boolean)
    type = field(ServerlessType.QB, member(ServerlessType))
    # Comma-separated forms of `gpus` and `cudaVersions`.
    gpuIds = field("", text())
    allowedCudaVersions = field("", text())
    # Assigned by a provider; accepted so that a description read from one can be declared again.
    id = field(None, optional(text()))
    activeBuildid = field(None, optional(text()))
    aiKey = field(None, optional(text()))
    computeType = field(None, optional(text()))
    createdAt = field(None, optional(text()))
    hubRelease = field(None, optional(text()))
    repo = field(None, optional(text()))
    userId = field(None, optional(text()))

    is_load_balanced = False
    is_live = False

    def _settle(self, given: frozenset[str]) -> None:
        kind, values = type(self).__name__, self.__dict__
        if self.workersMin > self.workersMax:
            raise ValueError(
                f"{kind}.workersMin is {self.workersMin} and workersMax is {self.workersMax}; "
                "workersMin cannot be larger than workersMax"
            )
        volume = self.networkVolume
        if volume is not None:
            if volume.dataCenterId is not self.datacenter:
                raise ValueError(
                    f"{kind}.networkVolume {volume.name or volume.id!r} is in {volume.dataCenterId.value} and the resource in "
                    f"{self.datacenter.value}; they have to be in one data centre"
                )
            if volume.id and not self.networkVolumeId:
                values["networkVolumeId"] = volume.id
        if self.env is None:
            values["env"] = {}
        if self.imageName is None:
            values["imageName"] = ""
        if not self.locations:
            values["locations"] = self.datacenter.value
        self._settle_hardware(given)

    def _settle_hardware(self, given: frozenset[str]) -> None:
        kind, values = type(self).__name__, self.__dict__
        if self.gpuIds and "gpus" not in given:
            values["gpus"] = members(GpuGroup)(f"{kind}.gpuIds", self.gpuIds.split(","))
        if GpuGroup.ANY in self.gpus or GpuType.ANY in self.gpus:
            values["gpus"] = tuple(GpuGroup.all())
        values["gpuIds"] = gpu_ids(self.gpus)
        if self.allowedCudaVersions and "cudaVersions" not in given:
            split = self.allowedCudaVersions.split(",")
            values["cudaVersions"] = members(CudaVersion)(f"{kind}.allowedCudaVersions", split)
        values["allowedCudaVersions"] = ",".join(version.value for version in self.cudaVersions)


class _OwnImage:
    """The user says which container image to run."""

    def _settle(self, given: frozenset[str]) -> None:
        super()._settle(given)  # type: ignore[misc]
        if not (self.imageName or self.template or self.templateId):  # type: ignore[attr-defined]
            raise ValueError(f"{type(self).__name__} needs one of imageName, template or templateId")


class _LiveImage:
    """The image is Flash's own and cannot be chosen."""

    is_live = True
    _image_variable: str
    _image_name: str

    def _settle(self, given: frozenset[str]) -> None:
        tag = os.environ.get("TETRA_IMAGE_TAG", "latest")
        image = os.environ.get(self._image_variable) or f"{self._image_name}:{tag}"
        self.__dict__["imageName"] = image
        super()._settle(given)  # type: ignore[misc]


class _Cpu:
    """No GPU; `instanceIds` say which machines."""

    instanceIds = field((CpuInstanceType.ANY,), members(CpuInstanceType, least=1))

    def _settle_hardware(self, given: frozenset[str]) -> None:
        values = self.__dict__
        if CpuInstanceType.ANY in self.instanceIds:
            values["instanceIds"] = tuple(CpuInstanceType.all())
        values.update(gpus=(), gpuCount=0, gpuIds="", cudaVersions=(), allowedCudaVersions="")
        template = self.template  # type: ignore[attr-defined]
        if template is None or template.containerDiskInGb == CONTAINER_DISK_DEFAULT_GB:
            return  # not chosen: the disk is made as large as the machine allows
        limits = {item.value: item.container_disk_max_gb for item in values["instanceIds"]}
        most = min(limits.values())
        if template.containerDiskInGb > most:
            shown = ", ".join(f"{name}: {limit}" for name, limit in limits.items())
            raise ValueError(
                f"{type(self).__name__}.template.containerDiskInGb is {template.containerDiskInGb}; "
                f"allowed: {most} GB at most with these instanceIds ({shown})"
            )


class _LoadBalanced:
    """Plain HTTP: the type is always LB, and scaling goes by requests."""

    is_load_balanced = True

    def _settle(self, given: frozenset[str]) -> None:
        values = self.__dict__
        values["type"] = ServerlessType.LB
        if "scalerType" not in given:
            values["scalerType"] = ServerlessScalerType.REQUEST_COUNT
        elif values["scalerType"] is not ServerlessScalerType.REQUEST_COUNT:
            raise ValueError(
                f"{type(self).__name__}.scalerType is {values['scalerType'].value}; "
                "allowed for load-balanced resources: REQUEST_COUNT"
            )
        super()._settle(given)  # type: ignore[misc]


class ServerlessEndpoint(_OwnImage, ServerlessResource):
    """A GPU queue endpoint with an image of the user's."""


class LiveServerless(_LiveImage, ServerlessEndpoint):
    """A GPU queue endpoint."""

    _image_variable, _image_name = "TETRA_GPU_IMAGE", "runpod/tetra-rp"


class CpuServerlessEndpoint(_Cpu, ServerlessEndpoint):
    """A CPU queue endpoint with an image of the user's."""


class CpuLiveServerless(_LiveImage, CpuServerlessEndpoint):
    """A CPU queue endpoint."""

    _image_variable, _image_name = "TETRA_CPU_IMAGE", "runpod/tetra-rp-cpu"


class LoadBalancerSlsResource(_LoadBalanced, _OwnImage, ServerlessResource):
    """A GPU HTTP endpoint with an image of the user's."""


class LiveLoadBalancer(_LiveImage, LoadBalancerSlsResource):
    """A GPU HTTP endpoint."""

    _image_variable, _image_name = "TETRA_LB_IMAGE", "runpod/tetra-rp-lb"


class CpuLoadBalancerSlsResource(_Cpu, LoadBalancerSlsResource):
    """A CPU HTTP endpoint with an image of the user's."""


class CpuLiveLoadBalancer(_LiveImage, CpuLoadBalancerSlsResource):
    """A CPU HTTP endpoint."""

    _image_variable, _image_name = "TETRA_CPU_LB_IMAGE", "runpod/tetra-rp-lb-cpu"


def _pairs(label: str, value: Any) -> list[dict[str, str]]:
    if isinstance(value, dict):
        value = [{"key": name, "value": item} for name, item in value.items()]
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{label} is a list of {{'key': …, 'value': …}}, not {value!r}")
    pairs = [{"key": pair.key, "value": pair.value} if isinstance(pair, KeyValuePair) else pair for pair in value]
    for at, pair in enumerate(pairs):
        if not isinstance(pair, dict) or pair.keys() != {"key", "value"}:
            raise ValueError(f"{label}[{at}] is {pair!r}; each entry is {{'key': …, 'value': …}}")
    return [dict(pair) for pair in pairs]
