from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys

import runpod_flash
import tetra_rp

REFERENCE = {
    "remote", "CpuInstanceType", "CpuLiveLoadBalancer", "CpuLiveServerless", "CpuLoadBalancerSlsResource",
    "CpuServerlessEndpoint", "CudaVersion", "DataCenter", "FlashApp", "GpuGroup", "LiveLoadBalancer", "LiveServerless",
    "LoadBalancerSlsResource", "NetworkVolume", "PodTemplate", "ResourceManager", "ServerlessEndpoint", "ServerlessType",
}  # fmt: skip
OURS = {
    "ServerlessScalerType", "Endpoint", "EndpointJob", "GpuType", "KeyValuePair", "WaitTimeoutError",
    "FlashError", "NotRunningError", "TransportError", "CallError", "RemoteExecutionError", "WorkerDiedError",
    "SerializationError", "UnknownFunctionError", "UnauthorizedError", "OverloadedError", "RemoteTimeoutError",
    "WorkerStartError", "UnreachableError", "ArgumentsError",
}  # fmt: skip


def test_all_is_the_public_list():
    assert set(tetra_rp.__all__) == REFERENCE | OURS
    assert tetra_rp.__all__ == sorted(tetra_rp.__all__)
    found = [sys.executable, "-c", "import tetra_rp; print(*vars(tetra_rp))"]
    names = subprocess.run(found, capture_output=True, text=True, check=True).stdout.split()
    public = {name for name in names if not name.startswith("_")}
    assert public == set(tetra_rp.__all__)


def test_the_second_door_leads_to_the_same_objects():
    assert runpod_flash.__all__ == tetra_rp.__all__
    assert runpod_flash.__version__ == tetra_rp.__version__
    for name in tetra_rp.__all__:
        assert getattr(runpod_flash, name) is getattr(tetra_rp, name)


def test_submodules_have_the_same_two_doors():
    for name in ("http", "trace"):
        ours, theirs = (importlib.import_module(f"{package}.{name}") for package in ("tetra_rp", "runpod_flash"))
        assert ours.__all__ == theirs.__all__ == sorted(ours.__all__)
        assert all(getattr(ours, public) is getattr(theirs, public) for public in ours.__all__)


def test_the_listing_that_the_scanner_is_compared_with():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tetra_rp._names"], capture_output=True, text=True, check=True
    )
    names = json.loads(done.stdout)
    assert set(names["enumerations"]) == {
        "CpuInstanceType", "CudaVersion", "DataCenter", "GpuGroup", "GpuType", "ServerlessScalerType", "ServerlessType",
    }  # fmt: skip
    assert names["enumerations"]["GpuGroup"]["ANY"] == "any"
    for name, members in names["enumerations"].items():
        assert {member.name: member.value for member in getattr(tetra_rp, name)} == members
    assert len(names["resources"]) == 8
    assert "instanceIds" in names["resources"]["CpuLiveServerless"]
    assert "instanceIds" not in names["resources"]["LiveServerless"]
    assert names["nested"]["NetworkVolume"] == ["dataCenterId", "datacenter", "id", "name", "size"]
    endpoint = inspect.signature(tetra_rp.Endpoint).parameters.values()
    assert names["endpoint"] == sorted(found.name for found in endpoint if found.kind is not found.VAR_KEYWORD)
    remote = inspect.signature(tetra_rp.remote).parameters.values()
    assert names["remote"] == sorted(found.name for found in remote if found.kind is not found.VAR_KEYWORD)


def test_data_centres_are_named_after_their_value():
    assert len(tetra_rp.DataCenter) == 11
    for place in tetra_rp.DataCenter:
        assert place.name == place.value.replace("-", "_")


def test_paths_of_the_reference_lead_to_the_same_objects():
    source = """
from tetra_rp.core.resources import KeyValuePair, ServerlessScalerType, ServerlessResource
from tetra_rp.core.resources.template import PodTemplate
import runpod_flash.core.resources.gpu
import runpod_flash.core.resources.cpu as cpu
from runpod_flash.core import resources
import tetra_rp
assert KeyValuePair is tetra_rp.KeyValuePair and PodTemplate is tetra_rp.PodTemplate
assert runpod_flash.core.resources.gpu.GpuGroup is tetra_rp.GpuGroup
assert cpu.CpuInstanceType is tetra_rp.CpuInstanceType and resources.NetworkVolume is tetra_rp.NetworkVolume
assert issubclass(tetra_rp.LiveServerless, ServerlessResource)
try:
    import tetra_rp.core.nothing
except ModuleNotFoundError as error:
    assert error.name == "tetra_rp.core.nothing"
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-W", "error", "-c", source], check=True)
