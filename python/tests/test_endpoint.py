"""The later dialect, as declarations: what a decorated function becomes, and what is refused."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

from runpod_flash import Endpoint as EndpointOfTheOtherDoor
from tetra_rp import (
    CpuInstanceType,
    CpuLiveLoadBalancer,
    CpuLiveServerless,
    CudaVersion,
    DataCenter,
    Endpoint,
    GpuGroup,
    GpuType,
    LiveLoadBalancer,
    LiveServerless,
    NetworkVolume,
    PodTemplate,
    ServerlessScalerType,
    _context,
    remote,
)


def test_both_doors_lead_to_one_class():
    assert EndpointOfTheOtherDoor is Endpoint


def test_defaults():
    endpoint = Endpoint("x")
    expected = {
        "name": "x", "id": None, "gpus": None, "cpus": None, "workers_min": 0, "workers_max": 1, "idle_timeout": 60,
        "dependencies": None, "system_dependencies": None, "accelerate_downloads": True, "volumes": (),
        "datacenters": tuple(DataCenter), "env": {}, "gpu_count": 1, "execution_timeout_ms": 0, "flashboot": True, "image": None,
        "scaler_type": None, "scaler_value": 4, "template": None, "min_cuda_version": CudaVersion.V12_8,
        "max_concurrency": None,
    }  # fmt: skip
    assert {name: getattr(endpoint, name) for name in expected} == expected
    assert [*inspect.signature(Endpoint).parameters][0] == "name"


def test_a_decorated_function_is_what_remote_makes():
    @Endpoint(
        name="model", gpu=GpuGroup.ADA_24, workers=(1, 5), idle_timeout=30, dependencies=["torch"],
        system_dependencies=["ffmpeg"], env={"A": "1"}, gpu_count=2, execution_timeout_ms=5000, scaler_value=9,
        min_cuda_version="12.9",
    )  # fmt: skip
    def infer(text: str, top: int = 1) -> list[str]:
        """Says what the text is."""
        return [text] * top

    @remote(LiveServerless(name="model"))
    def other(text: str, top: int = 1) -> list[str]: ...

    assert inspect.iscoroutinefunction(infer)
    assert (infer.__name__, infer.__doc__) == ("infer", "Says what the text is.")
    assert inspect.signature(infer) == inspect.signature(other)
    record = infer.__remote_config__
    assert record.keys() >= other.__remote_config__.keys()
    assert record["dependencies"] == ["torch"] and record["system_dependencies"] == ["ffmpeg"]
    assert record["method"] is None and record["path"] is None
    resource = record["resource_config"]
    assert type(resource) is LiveServerless
    assert resource == LiveServerless(
        name="model", gpus=[GpuGroup.ADA_24], gpuCount=2, workersMin=1, workersMax=5, idleTimeout=30, env={"A": "1"},
        executionTimeoutMs=5000, scalerValue=9, cudaVersions=["12.9", "13.0"],
        locations=",".join(place.value for place in DataCenter), datacenter="US-CA-2",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "kind", "fields"),
    [
        ({}, LiveServerless, {"gpus": tuple(GpuGroup.all()), "workersMin": 0, "workersMax": 1, "idleTimeout": 60}),
        ({"gpu": GpuType.NVIDIA_L4}, LiveServerless, {"gpus": (GpuType.NVIDIA_L4,)}),
        ({"gpu": "NVIDIA L4"}, LiveServerless, {"gpus": (GpuType.NVIDIA_L4,)}),
        ({"gpu": [GpuGroup.ADA_24, "NVIDIA L4"]}, LiveServerless, {"gpus": (GpuGroup.ADA_24, GpuType.NVIDIA_L4)}),
        ({"cpu": "cpu3c-1-2"}, CpuLiveServerless, {"instanceIds": (CpuInstanceType.CPU3C_1_2,), "locations": "EU-RO-1"}),
        ({"cpu": CpuInstanceType.ANY}, CpuLiveServerless, {"instanceIds": tuple(CpuInstanceType.all())}),
        (
            {"cpu": ["cpu3c-1-2", CpuInstanceType.CPU5C_2_4]},
            CpuLiveServerless,
            {"instanceIds": (CpuInstanceType.CPU3C_1_2, CpuInstanceType.CPU5C_2_4)},
        ),
        ({"workers": 5}, LiveServerless, {"workersMin": 0, "workersMax": 5}),
        ({"workers": [2, 2]}, LiveServerless, {"workersMin": 2, "workersMax": 2}),
        ({"datacenter": DataCenter.US_KS_2}, LiveServerless, {"locations": "US-KS-2"}),
        ({"datacenter": ["US-KS-2", DataCenter.EU_CZ_1]}, LiveServerless, {"locations": "US-KS-2,EU-CZ-1"}),
        (
            {"volume": NetworkVolume(name="v", datacenter="EU-CZ-1")},
            LiveServerless,
            {"locations": "EU-CZ-1", "networkVolume": NetworkVolume(name="v", datacenter="EU-CZ-1")},
        ),
        (
            {"volume": [NetworkVolume(name="v"), NetworkVolume(id="w", datacenter="US-KS-2")]},
            LiveServerless,
            {"locations": "EU-RO-1,US-KS-2"},
        ),
        ({"scaler_type": "REQUEST_COUNT"}, LiveServerless, {"scalerType": ServerlessScalerType.REQUEST_COUNT}),
        ({"min_cuda_version": None}, LiveServerless, {"cudaVersions": ()}),
        ({"template": PodTemplate(containerDiskInGb=9), "cpu": "cpu3c-1-2"}, CpuLiveServerless, {}),
    ],
)
def test_hardware_and_settings_become_a_resource(given: dict[str, Any], kind: type, fields: dict[str, Any]):
    @Endpoint(name="x", **given)
    async def f(): ...

    resource = f.__remote_config__["resource_config"]
    assert type(resource) is kind
    assert {name: getattr(resource, name) for name in fields} == fields


def test_the_name_comes_from_what_is_decorated():
    @Endpoint(gpu=GpuGroup.ADA_24)
    class Model:
        def predict(self, x: int) -> int: ...

    assert Model.__remote_config__["resource_config"].name == "Model"
    shared = Endpoint(cpu="cpu3c-1-2")

    @shared
    def first(): ...

    assert first.__remote_config__["resource_config"].name == "first"
    with pytest.raises(ValueError, match=r"named after first; to decorate second with it too, give it a name"):

        @shared
        def second(): ...


def test_a_named_endpoint_decorates_several():
    both = Endpoint("both")

    @both
    def first(): ...

    @both
    class Second: ...

    assert first.__remote_config__["resource_config"] == Second.__remote_config__["resource_config"]


def test_routes():
    api = Endpoint(name="api", cpu="cpu3c-1-2", workers=(1, 3))

    @api.get("/users/{id}")
    def user(id: int): ...

    @api.delete("/users/{id}")
    def forget(id: int): ...

    @api.post("/users")
    async def add(name: str): ...

    @api.put("/files/{rest:path}")
    async def put(rest: str): ...

    @api.patch("/")
    async def patch(): ...

    found = [(f.__remote_config__["method"], f.__remote_config__["path"]) for f in (user, forget, add, put, patch)]
    assert found == [
        ("GET", "/users/{id}"), ("DELETE", "/users/{id}"), ("POST", "/users"), ("PUT", "/files/{rest:path}"), ("PATCH", "/"),
    ]  # fmt: skip
    resource = add.__remote_config__["resource_config"]
    assert type(resource) is CpuLiveLoadBalancer and (resource.workersMin, resource.workersMax) == (1, 3)

    @Endpoint(name="gpu_api", gpu="any").get("/x")
    def on_gpu(): ...

    assert type(on_gpu.__remote_config__["resource_config"]) is LiveLoadBalancer


def test_remote_takes_endpoints_too():
    queue = Endpoint(name="queue", cpu="cpu3c-1-2", dependencies=["a"])

    @remote(queue, dependencies=["b", "a"])
    def f(): ...

    record = f.__remote_config__
    assert type(record["resource_config"]) is CpuLiveServerless and record["endpoint"] is queue
    assert (record["dependencies"], record["system_dependencies"]) == (["a", "b"], None)
    api = Endpoint(name="api")

    @remote(api, method="GET", path="/x")
    def g(): ...

    @remote(api, method="POST", path="/x", local=True)
    def at_home():
        return 1

    assert (g.__remote_config__["method"], g.__remote_config__["path"]) == ("GET", "/x")
    assert at_home() == 1
    for given, words in [
        ({"method": "GET", "path": "/x"}, "has the route GET /x already, for g"),
        ({"method": "GET"}, "needs method and path, got method='GET', path=None"),
        ({"method": "get", "path": "/y"}, "did you mean 'GET'"),
        ({"method": "GET", "path": "/ping"}, "which Flash answers itself"),
        ({}, "has routes"),
    ]:
        with pytest.raises(ValueError, match=words):
            remote(api, **given)(lambda: None)
    with pytest.raises(ValueError, match="@remote on h declares a route, and an endpoint with routes needs a name"):

        @remote(Endpoint(), method="GET", path="/x")
        def h(): ...

    with pytest.raises(ValueError, match="is a client"):
        remote(Endpoint(id="abc"))(lambda: None)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"idletimeout": 5}, TypeError, "no argument 'idletimeout'; did you mean 'idle_timeout'?"),
        ({"GPU": "any"}, TypeError, "did you mean 'gpu'?"),
        ({"workersMax": 5}, TypeError, "did you mean 'workers'?"),
        ({"gpu": "any", "cpu": "any"}, ValueError, "both gpu= and cpu="),
        ({"id": "a", "image": "b"}, ValueError, "both id= and image="),
        ({"name": None, "image": "b"}, ValueError, "needs a name"),
        ({"name": "a/b"}, ValueError, "Endpoint.name is 'a/b'"),
        ({"id": ""}, ValueError, "Endpoint.id is empty"),
        ({"gpu": []}, ValueError, "Endpoint.gpu is empty"),
        ({"gpu": "ADA_25"}, ValueError, "did you mean 'ADA_24'?"),
        ({"gpu": "cpu3c-1-2"}, ValueError, "is no GpuGroup or GpuType"),
        ({"cpu": "cpu3c-1-3"}, ValueError, "did you mean 'cpu3c-1-2'?"),
        ({"workers": 0}, ValueError, "Endpoint.workers is 0; allowed: 1 or more workers"),
        ({"workers": -1}, ValueError, "Endpoint.workers is -1"),
        ({"workers": (3, 1)}, ValueError, "the least cannot be more than the most"),
        ({"workers": (-1, 1)}, ValueError, "Endpoint.workers[0] is -1"),
        ({"workers": (1,)}, ValueError, "it has to be the most, or (least, most)"),
        ({"workers": "3"}, TypeError, "Endpoint.workers is a whole number"),
        ({"idle_timeout": 0}, ValueError, "Endpoint.idle_timeout is 0"),
        ({"max_concurrency": 0}, ValueError, "Endpoint.max_concurrency is 0; allowed: 1 or more calls"),
        ({"gpu_count": 0}, ValueError, "Endpoint.gpu_count is 0"),
        ({"dependencies": "torch"}, TypeError, "Endpoint.dependencies is a list of text"),
        ({"env": {"A": 1}}, TypeError, "Endpoint.env['A'] is 1 (int)"),
        ({"volume": []}, ValueError, "Endpoint.volume is an empty list"),
        ({"volume": "v"}, TypeError, "Endpoint.volume is a NetworkVolume"),
        ({"volume": [NetworkVolume(name="v"), NetworkVolume(name="w")]}, ValueError, "'v' and 'w' are both in EU-RO-1"),
        (
            {"volume": NetworkVolume(name="v"), "datacenter": "US-KS-2"},
            ValueError,
            "'v' is in EU-RO-1, and the endpoint in US-KS-2",
        ),
        ({"datacenter": "US-GA-2"}, ValueError, "is no DataCenter"),
        ({"cpu": "any", "datacenter": "US-KS-2"}, ValueError, "no CPU machines; allowed with cpu=: EU-RO-1"),
        ({"scaler_type": "X"}, ValueError, "is no ServerlessScalerType"),
        ({"min_cuda_version": "9.0"}, ValueError, "is no CudaVersion"),
        ({"template": {}}, TypeError, "Endpoint.template is a PodTemplate"),
    ],
)
def test_wrong_declarations_are_refused(given: dict[str, Any], error: type[Exception], words: str):
    with pytest.raises(error) as raised:
        Endpoint(**{"name": "x", **given})
    assert words in str(raised.value)


def test_what_cannot_be_mixed():
    def f(): ...

    api = Endpoint(name="api")
    api.get("/x")(f)
    with pytest.raises(ValueError, match=r"has routes \(GET /x\), so f needs one too"):
        api(f)
    with pytest.raises(ValueError, match="has the route GET /x already, for f"):
        api.get("/x")(lambda: None)
    api.get("/u/{id}")(f)
    with pytest.raises(ValueError, match="has the route GET /u/{name} already"):
        api.get("/u/{name}")(f)
    queue = Endpoint(name="queue")
    queue(f)
    with pytest.raises(ValueError, match="decorates f directly, so it is a queue and cannot have routes"):
        queue.post("/x")
    for client in (Endpoint(id="abc"), Endpoint(name="x", image="y")):
        with pytest.raises(ValueError, match="is a client of an endpoint that exists; f cannot be decorated"):
            client(f)
    with pytest.raises(ValueError, match="needs a name"):
        Endpoint().get("/x")
    with pytest.raises(TypeError, match=r"Endpoint.post\(\) of Endpoint\(name='api'\) declares a route and takes only its path"):
        api.post("/y", {"a": 1})
    with pytest.raises(TypeError, match="decorated with @Endpoint"):
        queue(queue(f))
    with pytest.raises(TypeError, match="decorates a function or class, not 3"):
        queue(3)
    with pytest.raises(TypeError, match=r"@Endpoint is written with parentheses: @Endpoint\(\)"):
        Endpoint(f)
    with pytest.raises(ValueError, match="QUEUE_DELAY; allowed for load-balanced"):
        Endpoint(name="z", scaler_type="QUEUE_DELAY").get("/x")(f)


@pytest.mark.parametrize("path", ["/ping", "/execute", "/manifest", "/ping/", "/_flash", "/_flash/x", "x", "", "/a b", "/a?b", "/{}", "/x{y}", "/{a}/{a}", "/{1a}"])
def test_paths_that_no_function_may_have(path: str):
    with pytest.raises(ValueError, match=r"Endpoint.get\(\) path is"):
        Endpoint(name="api").get(path)


class Recording:
    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    async def call(self, function: str, argument: dict[str, Any]) -> Any:
        self.calls.append((function, argument))
        return "far"


def test_calls_run_here_or_travel_like_those_of_remote(client_context):
    near = Endpoint(name="near")

    @near
    def own(x: int) -> int:
        return x + 1

    @Endpoint(name="away", gpu="any")
    def other(x: int) -> int: ...

    @Endpoint(name="away2").post("/x")
    async def routed(x: int) -> int: ...

    transport = Recording()
    _context.replace(_context.Context(transport, resource="near", own=frozenset(("own",))))

    async def calls() -> list[Any]:
        return [await own(1), await other(2), await routed(x=3)]

    assert asyncio.run(calls()) == [2, "far", "far"]
    assert transport.calls == [("other", {"args": (2,), "kwargs": {}}), ("routed", {"args": (), "kwargs": {"x": 3}})]


def test_a_worker_finds_the_function_by_module_and_name(worker):
    gateway = worker(
        """
        from runpod_flash import Endpoint
        from tetra_rp import LiveServerless, remote

        @Endpoint(gpu="any")
        async def double(x: int) -> int:
            return 2 * await helper(x)

        @Endpoint(name="double_helper")
        def helper(x: int) -> int:
            return x + 1

        @Endpoint(cpu="cpu3c-1-2")
        class Model:
            def predict(self, x: int) -> int:
                return -x

        @remote(LiveServerless(name="old"))
        def old(x: int) -> int:
            return x
        """,
        ["double", "helper", "Model", "old"],
    )
    call = {"form": "json"}
    assert gateway.call({**call, "function": "double"}, {"x": 3}).json() == 8
    assert gateway.call({**call, "function": "Model", "method": "predict"}, {"x": 3}).json() == -3
    assert gateway.call({**call, "function": "old"}, {"x": 3}).json() == 3
