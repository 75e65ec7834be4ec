from __future__ import annotations

import copy
import pickle

import pytest

import tetra_rp
from tetra_rp import (
    CpuInstanceType,
    CpuLiveLoadBalancer,
    CpuLiveServerless,
    CpuLoadBalancerSlsResource,
    CpuServerlessEndpoint,
    CudaVersion,
    DataCenter,
    GpuGroup,
    GpuType,
    KeyValuePair,
    LiveLoadBalancer,
    LiveServerless,
    LoadBalancerSlsResource,
    NetworkVolume,
    PodTemplate,
    ServerlessEndpoint,
    ServerlessScalerType,
    ServerlessType,
)

LIVE = [LiveServerless, CpuLiveServerless, LiveLoadBalancer, CpuLiveLoadBalancer]
OWN_IMAGE = [ServerlessEndpoint, CpuServerlessEndpoint, LoadBalancerSlsResource, CpuLoadBalancerSlsResource]
LOAD_BALANCED = [LiveLoadBalancer, CpuLiveLoadBalancer, LoadBalancerSlsResource, CpuLoadBalancerSlsResource]


def make(kind, **given):
    image = {"imageName": "own/image:1"} if kind in OWN_IMAGE else {}
    return kind(**{"name": "x", **image, **given})


def test_defaults_are_the_references():
    resource = LiveServerless(name="x")
    expected = {
        "name": "x", "cudaVersions": (), "env": {}, "flashboot": True, "networkVolume": None,
        "datacenter": DataCenter.EU_RO_1, "executionTimeoutMs": 0, "gpuCount": 1, "idleTimeout": 5, "locations": "EU-RO-1",
        "networkVolumeId": None, "scalerType": ServerlessScalerType.QUEUE_DELAY, "scalerValue": 4, "templateId": None,
        "type": ServerlessType.QB, "workersMax": 3, "workersMin": 0, "workersPFBTarget": 0, "allowedCudaVersions": "",
        "template": None, "id": None, "activeBuildid": None, "aiKey": None, "computeType": None, "createdAt": None,
        "hubRelease": None, "repo": None, "userId": None, "gpus": tuple(GpuGroup.all()),
        "gpuIds": "AMPERE_48,ADA_24,ADA_32_PRO,ADA_48_PRO,ADA_80_PRO,AMPERE_16,AMPERE_24,AMPERE_80,HOPPER_141,"
        "BLACKWELL_96,BLACKWELL_180",
        "imageName": "runpod/tetra-rp:latest",
    }  # fmt: skip
    assert {name: getattr(resource, name) for name in expected} == expected
    assert resource._fields.keys() == expected.keys()
    template = PodTemplate()
    assert (template.containerDiskInGb, template.env, template.config, template.ports) == (64, [], {}, "")
    volume = NetworkVolume(name="v")
    assert (volume.size, volume.dataCenterId, volume.datacenter, volume.id) == (
        100, DataCenter.EU_RO_1, DataCenter.EU_RO_1, None,
    )  # fmt: skip


@pytest.mark.parametrize("kind", LIVE + OWN_IMAGE)
def test_type_and_scaler_follow_the_class(kind):
    resource = make(kind)
    balanced = kind in LOAD_BALANCED
    assert resource.is_load_balanced is balanced
    assert resource.is_live is (kind in LIVE)
    assert resource.type is (ServerlessType.LB if balanced else ServerlessType.QB)
    wanted = ServerlessScalerType.REQUEST_COUNT if balanced else ServerlessScalerType.QUEUE_DELAY
    assert resource.scalerType is wanted


@pytest.mark.parametrize("kind", LOAD_BALANCED)
def test_load_balanced_classes_force_their_type(kind):
    assert make(kind, type=ServerlessType.QB).type is ServerlessType.LB
    with pytest.raises(ValueError, match=r"scalerType is QUEUE_DELAY; allowed for load-balanced resources: REQUEST_COUNT"):
        make(kind, scalerType=ServerlessScalerType.QUEUE_DELAY)


@pytest.mark.parametrize("kind", LIVE)
def test_live_classes_lock_the_image(kind, monkeypatch):
    locked = kind(name="x").imageName
    assert locked.startswith("runpod/tetra-rp")
    assert kind(name="x", imageName="mine").imageName == locked
    monkeypatch.setenv("TETRA_IMAGE_TAG", "v7")
    assert kind(name="x").imageName.endswith(":v7")


@pytest.mark.parametrize("kind", OWN_IMAGE)
def test_other_classes_need_an_image(kind):
    with pytest.raises(ValueError, match="needs one of imageName, template or templateId"):
        kind(name="x")
    kind(name="x", templateId="abc")
    kind(name="x", template=PodTemplate(imageName="a"))


def test_cpu_classes_have_no_gpu():
    resource = CpuLiveServerless(name="x", gpus=[GpuGroup.ADA_24], gpuCount=4)
    assert (resource.gpus, resource.gpuCount, resource.gpuIds) == ((), 0, "")
    assert resource.instanceIds == tuple(CpuInstanceType.all())
    assert len(resource.instanceIds) == 12


def test_values_are_accepted_in_their_spellings():
    assert LiveServerless(name="x", gpus=["ADA_24"]).gpus == (GpuGroup.ADA_24,)
    assert LiveServerless(name="x", gpuIds="ADA_24,AMPERE_80").gpus == (GpuGroup.ADA_24, GpuGroup.AMPERE_80)
    assert LiveServerless(name="x", gpus=[GpuGroup.ADA_24, GpuGroup.ANY]).gpus == tuple(GpuGroup.all())
    assert LiveServerless(name="x", cudaVersions=[CudaVersion.V12_4]).allowedCudaVersions == "12.4"
    assert LiveServerless(name="x", allowedCudaVersions="12.4").cudaVersions == (CudaVersion.V12_4,)
    assert CpuLiveServerless(name="x", instanceIds=["cpu3c-1-2"]).instanceIds == (CpuInstanceType.CPU3C_1_2,)
    assert LiveServerless(name="x", env=None).env == {}
    assert LiveServerless(name="01_03_preprocess_worker").name == "01_03_preprocess_worker"
    assert LiveServerless(name="x", workersMax=2.0).workersMax == 2
    assert PodTemplate(env={"A": "1"}).env == [{"key": "A", "value": "1"}]
    assert PodTemplate(env=[KeyValuePair(key="A", value="1")]).env == [{"key": "A", "value": "1"}]
    volume = NetworkVolume(name="v", id="vol1")
    assert LiveServerless(name="x", networkVolume=volume).networkVolumeId == "vol1"


@pytest.mark.parametrize(
    ("kind", "given", "error", "words"),
    [
        (LiveServerless, {"name": "x", "workerMax": 3}, TypeError, "no field 'workerMax'; did you mean 'workersMax'?"),
        (LiveServerless, {"name": "x", "workers_max": 3}, TypeError, "did you mean 'workersMax'?"),
        (LiveServerless, {"name": "x", "zzz": 3}, TypeError, "no field 'zzz'; known are: activeBuildid"),
        (LiveServerless, {}, TypeError, "LiveServerless needs name="),
        (LiveServerless, {"name": ""}, ValueError, "LiveServerless.name is ''; use letters, digits"),
        (LiveServerless, {"name": "a/b"}, ValueError, "LiveServerless.name is 'a/b'"),
        (LiveServerless, {"name": "-a"}, ValueError, "starting with a letter"),
        (LiveServerless, {"name": "ü"}, ValueError, "use letters"),
        (LiveServerless, {"name": 3}, TypeError, "LiveServerless.name is text, not 3 (int)"),
        (LiveServerless, {"name": "x" * 129}, ValueError, "128 at most"),
        (LiveServerless, {"name": "x", "workersMax": -1}, ValueError, "workersMax is -1; allowed: 1 or more workers"),
        (LiveServerless, {"name": "x", "workersMin": 5}, ValueError, "workersMin is 5 and workersMax is 3"),
        (LiveServerless, {"name": "x", "idleTimeout": 0}, ValueError, "idleTimeout is 0; allowed: 1 or more seconds"),
        (LiveServerless, {"name": "x", "gpuCount": 0}, ValueError, "gpuCount is 0; allowed: 1 or more GPUs"),
        (LiveServerless, {"name": "x", "workersMax": "3"}, TypeError, "workersMax is a whole number"),
        (LiveServerless, {"name": "x", "workersMax": True}, TypeError, "workersMax is a whole number"),
        (LiveServerless, {"name": "x", "flashboot": "no"}, TypeError, "flashboot is True or False"),
        (LiveServerless, {"name": "x", "gpus": ["ADA_25"]}, ValueError, "gpus[0]: 'ADA_25' (str) is no GpuGroup or GpuType; did you mean 'ADA_24'?"),
        (LiveServerless, {"name": "x", "gpus": GpuGroup.ADA_24}, TypeError, "write [GpuGroup.ADA_24]"),
        (LiveServerless, {"name": "x", "datacenter": "US_GA_2"}, ValueError, "is no DataCenter"),
        (LiveServerless, {"name": "x", "env": {"A": 1}}, TypeError, "env['A'] is 1 (int)"),
        (LiveServerless, {"name": "x", "env": "A=1"}, TypeError, "env is a dict"),
        (LiveServerless, {"name": "x", "networkVolume": "v"}, TypeError, "networkVolume is a NetworkVolume"),
        (CpuLiveServerless, {"name": "x", "instanceIds": []}, ValueError, "instanceIds is empty"),
        (CpuLiveServerless, {"name": "x", "instanceIds": ["cpu3c-1-3"]}, ValueError, "did you mean 'cpu3c-1-2'?"),
        (
            CpuLiveServerless,
            {"name": "x", "instanceIds": ["cpu3c-1-2", "cpu5c-1-2"], "template": PodTemplate(containerDiskInGb=12)},
            ValueError,
            "containerDiskInGb is 12; allowed: 10 GB at most with these instanceIds (cpu3c-1-2: 10, cpu5c-1-2: 15)",
        ),
        (NetworkVolume, {"name": "v", "size": 0}, ValueError, "NetworkVolume.size is 0; allowed: 1 to 4096 GB"),
        (NetworkVolume, {"size": 5}, TypeError, "NetworkVolume needs name=, or the id= of one that exists"),
        (
            NetworkVolume,
            {"name": "v", "datacenter": "EU-CZ-1", "dataCenterId": "EU-RO-1"},
            ValueError,
            "datacenter is EU-CZ-1 and dataCenterId is EU-RO-1",
        ),
        (PodTemplate, {"env": [{"name": "A"}]}, ValueError, "PodTemplate.env[0]"),
    ],
)  # fmt: skip
def test_refusals_name_field_value_and_what_is_allowed(kind, given, error, words):
    with pytest.raises(error) as raised:
        kind(**given)
    assert words in str(raised.value)


def test_resources_cannot_be_changed():
    resource = LiveServerless(name="x")
    with pytest.raises(AttributeError, match="cannot be changed once made"):
        resource.workersMax = 5
    with pytest.raises(AttributeError):
        del resource.name


def test_equality_hash_repr_copy_and_pickle():
    first = LiveServerless(name="x", env={"A": "1"}, gpus=[GpuGroup.ADA_24])
    second = LiveServerless(gpus=["ADA_24"], name="x", env={"A": "1"})
    assert first == second
    assert len({first, second, LiveServerless(name="y")}) == 2
    assert first != LiveLoadBalancer(name="x", env={"A": "1"}, gpus=[GpuGroup.ADA_24])
    assert repr(LiveServerless(name="x", workersMax=2)) == "LiveServerless(name='x', workersMax=2)"
    for other in (copy.copy(first), copy.deepcopy(first), pickle.loads(pickle.dumps(first))):
        assert other == first
        assert repr(other) == repr(first)


def test_defaults_are_not_shared():
    assert LiveServerless(name="x").env is not LiveServerless(name="x").env
    given = {"A": "1"}
    resource = LiveServerless(name="x", env=given)
    given["B"] = "2"
    assert resource.env == {"A": "1"}


def test_flash_app_remembers_its_resources():
    app = tetra_rp.FlashApp("shop")
    gpu = LiveServerless(name="gpu")

    @app.remote(resource_config=gpu, dependencies=["torch"])
    async def infer(): ...

    assert app.resources == {"gpu": gpu}
    assert infer.__remote_config__["dependencies"] == ["torch"]


def test_volumes_of_later_projects():
    volume = NetworkVolume(name="v", size=50, datacenter=DataCenter.US_KS_2)
    assert (volume.dataCenterId, volume.datacenter) == (DataCenter.US_KS_2, DataCenter.US_KS_2)
    assert NetworkVolume(name="v", dataCenterId="US-KS-2").datacenter is DataCenter.US_KS_2
    assert NetworkVolume(id="vol_1").name is None
    with pytest.raises(ValueError, match="'vol_1' is in US-KS-2 and the resource in EU-RO-1"):
        LiveServerless(name="x", networkVolume=NetworkVolume(id="vol_1", datacenter="US-KS-2"))


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [
        ([GpuType.NVIDIA_L4], "AMPERE_24,-NVIDIA RTX A5000,-NVIDIA GeForce RTX 3090"),
        (["NVIDIA B200", GpuGroup.ADA_24], "BLACKWELL_180,ADA_24"),
        ([GpuType.NVIDIA_L40, GpuType.NVIDIA_L40S], "ADA_48_PRO,-NVIDIA RTX 6000 Ada Generation"),
        ([GpuType.NVIDIA_L40, GpuGroup.ADA_48_PRO], "ADA_48_PRO"),
        ([GpuType.ANY], LiveServerless(name="x").gpuIds),
    ],
)
def test_single_models_are_their_pool_without_the_rest(gpus, expected):
    assert LiveServerless(name="x", gpus=gpus).gpuIds == expected


def test_every_model_has_a_pool():
    for model in GpuType:
        assert (model.group is GpuGroup.ANY) is (model is GpuType.ANY)
