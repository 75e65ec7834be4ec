from __future__ import annotations

import runpod_flash
import tetra_rp

REFERENCE = {
    "remote", "CpuInstanceType", "CpuLiveLoadBalancer", "CpuLiveServerless", "CpuLoadBalancerSlsResource",
    "CpuServerlessEndpoint", "CudaVersion", "DataCenter", "FlashApp", "GpuGroup", "LiveLoadBalancer", "LiveServerless",
    "LoadBalancerSlsResource", "NetworkVolume", "PodTemplate", "ResourceManager", "ServerlessEndpoint", "ServerlessType",
}  # fmt: skip
OURS = {
    "ServerlessScalerType",
    "FlashError", "NotRunningError", "TransportError", "CallError", "RemoteExecutionError", "WorkerDiedError",
    "SerializationError", "UnknownFunctionError", "UnauthorizedError", "OverloadedError", "RemoteTimeoutError",
    "WorkerStartError", "UnreachableError", "ArgumentsError",
}  # fmt: skip


def test_all_is_the_public_list():
    assert set(tetra_rp.__all__) == REFERENCE | OURS
    assert tetra_rp.__all__ == sorted(tetra_rp.__all__)
    public = {name for name in vars(tetra_rp) if not name.startswith("_")}
    assert public == set(tetra_rp.__all__)


def test_the_second_door_leads_to_the_same_objects():
    assert runpod_flash.__all__ == tetra_rp.__all__
    assert runpod_flash.__version__ == tetra_rp.__version__
    for name in tetra_rp.__all__:
        assert getattr(runpod_flash, name) is getattr(tetra_rp, name)
