"""Flash: Python functions that run on the hardware they ask for.

    from tetra_rp import LiveServerless, GpuGroup, remote

    model = LiveServerless(name="model", gpus=[GpuGroup.ADA_24])

    @remote(model, dependencies=["torch"])
    async def infer(text: str) -> dict: ...

The later dialect says the same in one:

    @Endpoint(name="model", gpu=GpuGroup.ADA_24, dependencies=["torch"])
    async def infer(text: str) -> dict: ...

Start the project with `flash run`; then `await infer("…")` runs on the endpoint, from another function or a script.
Importing this package does nothing else: no settings are read, nothing is configured, nobody is contacted.
"""

from tetra_rp._app import FlashApp, ResourceManager
from tetra_rp._endpoint import Endpoint
from tetra_rp._endpoint_job import EndpointJob
from tetra_rp._errors import (
    ArgumentsError,
    CallError,
    FlashError,
    NotRunningError,
    OverloadedError,
    RemoteExecutionError,
    RemoteTimeoutError,
    SerializationError,
    TransportError,
    UnauthorizedError,
    UnknownFunctionError,
    UnreachableError,
    WaitTimeoutError,
    WorkerDiedError,
    WorkerStartError,
)
from tetra_rp._hardware import (
    CpuInstanceType,
    CudaVersion,
    DataCenter,
    GpuGroup,
    GpuType,
    ServerlessScalerType,
    ServerlessType,
)
from tetra_rp._remote import remote
from tetra_rp._resources import (
    CpuLiveLoadBalancer,
    CpuLiveServerless,
    CpuLoadBalancerSlsResource,
    CpuServerlessEndpoint,
    KeyValuePair,
    LiveLoadBalancer,
    LiveServerless,
    LoadBalancerSlsResource,
    NetworkVolume,
    PodTemplate,
    ServerlessEndpoint,
)

__version__ = "0.1.0"

__all__ = [
    "ArgumentsError",
    "CallError",
    "CpuInstanceType",
    "CpuLiveLoadBalancer",
    "CpuLiveServerless",
    "CpuLoadBalancerSlsResource",
    "CpuServerlessEndpoint",
    "CudaVersion",
    "DataCenter",
    "Endpoint",
    "EndpointJob",
    "FlashApp",
    "FlashError",
    "GpuGroup",
    "GpuType",
    "KeyValuePair",
    "LiveLoadBalancer",
    "LiveServerless",
    "LoadBalancerSlsResource",
    "NetworkVolume",
    "NotRunningError",
    "OverloadedError",
    "PodTemplate",
    "RemoteExecutionError",
    "RemoteTimeoutError",
    "ResourceManager",
    "SerializationError",
    "ServerlessEndpoint",
    "ServerlessScalerType",
    "ServerlessType",
    "TransportError",
    "UnauthorizedError",
    "UnknownFunctionError",
    "UnreachableError",
    "WaitTimeoutError",
    "WorkerDiedError",
    "WorkerStartError",
    "remote",
]
