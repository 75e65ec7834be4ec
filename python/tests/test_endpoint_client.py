"""`Endpoint` as a client, against a server that keeps jobs."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest
from data_plane import DataPlane

from tetra_rp import (
    CallError,
    Endpoint,
    EndpointJob,
    FlashError,
    NotRunningError,
    RemoteTimeoutError,
    SerializationError,
    TransportError,
    WaitTimeoutError,
    _context,
    _endpoint_client,
)

KEY = "s3cret"
VARIABLES = ("RUNPOD_ENDPOINT_BASE_URL", "RUNPOD_API_KEY", "FLASH_MOTHERSHIP_URL", "FLASH_TOKEN")


@pytest.fixture(autouse=True)
def no_surroundings(monkeypatch, tmp_path):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def plane(monkeypatch):
    """The provider's data plane."""
    plane = DataPlane(KEY, queues=("abc",), routes=("abc",))
    monkeypatch.setenv("RUNPOD_ENDPOINT_BASE_URL", f"{plane.url}/v2/")
    monkeypatch.setenv("RUNPOD_API_KEY", KEY)
    yield plane
    plane.close()


@pytest.fixture
def mothership(monkeypatch):
    mothership = DataPlane("t0ken", queues=("model", "vllm"), routes=("api", "vllm"))
    monkeypatch.setenv("FLASH_MOTHERSHIP_URL", mothership.url)
    monkeypatch.setenv("FLASH_TOKEN", "t0ken")
    yield mothership
    mothership.close()


@pytest.fixture
def pauses(monkeypatch):
    """What `wait` sleeps, without sleeping."""
    found: list[float] = []

    async def sleep(seconds: float) -> None:
        found.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return found


def run(awaitable: Any) -> Any:
    async def wrapped() -> Any:
        return await awaitable

    return asyncio.run(wrapped())


def test_a_job_from_beginning_to_end(plane, pauses):
    async def whole() -> EndpointJob:
        job = await Endpoint(id="abc").run({"polls": 2, "text": "hi"}, webhook="https://example.org/done")
        assert (job.id, job.done, job.output, job.error) == ("job-1", False, None, None)
        assert repr(job) == "EndpointJob('job-1', IN_QUEUE)"
        assert await job.status() == "IN_PROGRESS"
        assert await job.wait() is job
        return job

    job = run(whole())
    assert (job.done, job.output, job.error) == (True, {"polls": 2, "text": "hi"}, None)
    method, path, document = plane.requests[0]
    assert (method, path) == ("POST", "/v2/abc/run")
    assert document == {"input": {"polls": 2, "text": "hi"}, "webhook": "https://example.org/done"}
    assert [path for _, path, _ in plane.requests[1:]] == ["/v2/abc/status/job-1"] * 3


def test_pauses_between_polls_grow_to_five_seconds(plane, pauses):
    job = run(Endpoint(id="abc").run({"polls": 12}))
    run(job.wait())
    assert pauses[:4] == [0.25, 0.375, 0.5625, 0.84375]
    assert pauses[-1] == 5.0 and max(pauses) == 5.0 and len(pauses) == 12


def test_runsync(plane, pauses):
    endpoint = Endpoint(id="abc")
    assert run(endpoint.runsync({"x": 1})).output == {"x": 1}
    assert run(endpoint.runsync({"polls": 3}, timeout=2000)).done
    assert run(Endpoint(id="abc", execution_timeout_ms=5000).runsync()).output == {"__empty": True}
    waits = [path for _, path, _ in plane.requests if "runsync" in path]
    assert waits == [f"/v2/abc/runsync?wait={ms}" for ms in (60_000, 300_000, 5_000)]


def test_failure_is_told_and_not_raised(plane):
    job = run(Endpoint(id="abc").runsync({"fail": "out of memory"}))
    assert (job.done, job.error, job.output) == (True, "out of memory", None)


async def read(job: EndpointJob, into: list[Any]) -> None:
    async for part in job.stream():
        into.append(part)


def test_parts_are_read_to_the_end(plane, pauses):
    job = run(Endpoint(id="abc").run({"yields": [["a", {"b": 1}], [], [None]]}))
    parts: list[Any] = []
    run(read(job, parts))
    assert parts == ["a", {"b": 1}, None]
    assert job.done and job.error is None
    assert pauses == [0.25], "one answer had nothing"


@pytest.mark.parametrize(
    ("ending", "error", "words"),
    [
        ({"fail": "no more"}, CallError, "job job-1 is FAILED: no more"),
        ({"polls": 10**9, "state": "TIMED_OUT"}, RemoteTimeoutError, "job job-1 is TIMED_OUT"),
        ({"polls": 10**9, "state": "CANCELLED"}, CallError, "job job-1 is CANCELLED"),
    ],
)
def test_a_job_that_did_not_complete_is_raised_after_its_parts(plane, pauses, ending, error, words):
    job = run(Endpoint(id="abc").run({"yields": [["a"], ["b"]], **ending}))
    plane.jobs[job.id]["status"] = ending.get("state", "IN_PROGRESS")
    parts: list[Any] = []
    with pytest.raises(error, match=words):
        run(read(job, parts))
    assert parts == ["a", "b"] and job.done


def test_parts_that_are_lost_are_not_passed_over(plane):
    job = run(Endpoint(id="abc").run({"yields": [["a"]]}))
    plane.cut = 1
    with pytest.raises(TransportError):
        run(read(job, []))


def test_what_is_no_stream(plane, monkeypatch):
    job = run(Endpoint(id="abc").run({}))
    monkeypatch.setattr(plane, "stream", lambda job: (200, {"status": "COMPLETED"}))
    with pytest.raises(CallError, match="was not answered with parts"):
        run(read(job, []))


def test_cancel(plane):
    endpoint = Endpoint(id="abc")
    job = run(endpoint.run({"polls": 99}))
    assert run(job.cancel()) is job
    assert job.done and run(job.status()) == "CANCELLED"
    other = run(endpoint.run({"polls": 99}))
    assert run(endpoint.cancel(other.id)).done
    with pytest.raises(CallError, match="404: no such job") as raised:
        run(endpoint.cancel("a/b?c"))
    assert raised.value.status == 404
    assert plane.requests[-1][1] == "/v2/abc/cancel/a%2Fb%3Fc"


def test_waiting_ends_at_its_deadline(plane):
    job = run(Endpoint(id="abc").run({"polls": 10**9}))
    with pytest.raises(WaitTimeoutError, match=r"job job-1 is IN_(QUEUE|PROGRESS) after 0.3 s"):
        run(job.wait(timeout=0.3))
    with pytest.raises(TimeoutError):
        run(job.wait(timeout=0))


def test_five_lost_requests_in_a_row_are_borne(plane, pauses):
    job = run(Endpoint(id="abc").run({"polls": 3}))
    plane.cut = 5
    assert run(job.wait()).done
    job = run(Endpoint(id="abc").run({"polls": 3}))
    plane.cut = 6
    with pytest.raises(TransportError):
        run(job.wait())


def test_an_answer_that_is_an_error_is_raised_at_once(plane, pauses):
    job = run(Endpoint(id="abc").run({"polls": 3}))
    plane.jobs.clear()
    with pytest.raises(CallError) as raised:
        run(job.wait())
    assert raised.value.status == 404 and pauses == []


def test_a_request_is_no_route_decorator(plane):
    with pytest.raises(ValueError, match=r"Endpoint\(id='abc'\) is a client of an endpoint that exists; f cannot be a route"):

        @Endpoint(id="abc").get("/x")
        def f(): ...

    async def several() -> list[Any]:
        endpoint = Endpoint(id="abc")
        task = asyncio.create_task(endpoint.get("/a"))
        return [await task, *await asyncio.gather(endpoint.get("/b"), endpoint.post("/c"))]

    assert [answer["path"] for answer in asyncio.run(several())] == ["/a", "/b", "/c"]
    assert asyncio.run(Endpoint(id="abc").put("/d"))["path"] == "/d"


@pytest.mark.parametrize("method", ["get", "post", "put", "delete", "patch"])
def test_verbs(plane, method):
    verb = getattr(Endpoint(id="abc"), method)
    assert run(verb("/a/ü")) == {"method": method.upper(), "path": "/a/%C3%BC", "query": {}, "data": None}
    answer = run(verb("/a?b=1", {"c": [1, 2], "d": True, "e": None}))
    if method == "get":
        assert (answer["query"], answer["data"]) == ({"b": ["1"], "c": ["1", "2"], "d": ["true"]}, None)
    else:
        assert (answer["query"], answer["data"]) == ({"b": ["1"]}, {"c": [1, 2], "d": True, "e": None})


def test_answers_of_routes(plane):
    endpoint = Endpoint(id="abc")
    assert run(endpoint.get("/nothing")) is None
    for path, status, words in [
        ("/page", 200, "no JSON: <p>hi</p>"),
        ("/broken", 500, "answered 500: boom"),
        ("/refused", 422, "answered 422: [{'loc': ['body', 'x']}]"),
        ("/moved", 302, "answered 302"),
    ]:
        with pytest.raises(CallError) as raised:
            run(endpoint.get(path))
        assert words in str(raised.value) and raised.value.status == status
    with pytest.raises(ValueError, match="has to start with '/'"):
        run(endpoint.get("x"))
    with pytest.raises(TypeError, match="dict of query parameters"):
        run(endpoint.get("/x", [1]))
    with pytest.raises(SerializationError, match="cannot be written as JSON"):
        run(endpoint.post("/x", {"a": object()}))
    with pytest.raises(SerializationError):
        run(endpoint.run({"a": float("nan")}))


def test_a_wrong_key(plane, monkeypatch):
    monkeypatch.setenv("RUNPOD_API_KEY", "other")
    with pytest.raises(CallError, match="401: who are you") as raised:
        run(Endpoint(id="abc").run({}))
    assert raised.value.status == 401


def test_nobody_there_and_nobody_answering(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("RUNPOD_ENDPOINT_BASE_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/v2")
        with pytest.raises(WaitTimeoutError, match=r"was not answered within 0.2 s"):
            run(Endpoint(id="abc").get("/x", timeout=0.2))
    with pytest.raises(TransportError, match="ConnectionRefusedError"):
        run(Endpoint(id="abc").get("/x"))


def test_endpoints_of_a_project_go_through_its_mothership(mothership):
    assert run(Endpoint(name="vllm", image="vllm/vllm-openai:v1").post("/v1/completions", {"a": 1}))["data"] == {"a": 1}
    assert run(Endpoint(name="vllm", image="vllm/vllm-openai:v1").runsync({"a": 1})).output == {"a": 1}
    assert run(Endpoint(id="ep-model").runsync({"a": 1})).output == {"a": 1}
    assert run(Endpoint(id="api").get("/x"))["path"] == "/x"
    assert [path.partition("?")[0] for _, path, _ in mothership.requests] == [
        "/lb/vllm/v1/completions", "/v2/vllm/runsync", "/v2/ep-model/runsync", "/lb/api/x",
    ]  # fmt: skip
    with pytest.raises(CallError) as raised:
        run(Endpoint(name="gone", image="x").run({}))
    assert (raised.value.code, raised.value.status) == ("FL315", 404)
    assert str(raised.value) == "FL315: there is no endpoint 'gone' (hint: there is: others)"


def test_a_decorated_endpoint_takes_jobs_under_its_name(mothership):
    endpoint = Endpoint()

    @endpoint
    def model(x: int): ...

    assert run(endpoint.runsync({"x": 1})).output == {"x": 1}
    with pytest.raises(ValueError, match="nothing to call"):
        run(Endpoint().run({}))
    api = Endpoint(name="api")
    api.get("/x")(lambda: None)
    with pytest.raises(ValueError, match="has routes and takes no jobs"):
        run(api.run({}))


def test_an_id_that_the_mothership_does_not_know_is_the_providers(mothership, monkeypatch):
    provider = DataPlane(KEY, queues=("far",))
    monkeypatch.setattr(_endpoint_client, "BASE_URL_DEFAULT", f"{provider.url}/v2")
    monkeypatch.setenv("RUNPOD_API_KEY", KEY)
    try:
        assert run(Endpoint(id="far").runsync({"a": 1})).output == {"a": 1}
        near = Endpoint(id="ep-model")
        assert run(near.runsync({"a": 2})).output == {"a": 2}
        assert run(near.runsync({"a": 3})).output == {"a": 3}
    finally:
        provider.close()
    assert [path for _, path, _ in mothership.requests].count("/manifest") == 2


def test_nothing_to_reach_an_endpoint_by():
    with pytest.raises(NotRunningError, match=r"Endpoint\(id='abc'\) cannot be reached: set RUNPOD_API_KEY") as raised:
        run(Endpoint(id="abc").run({}))
    assert "flash run" in str(raised.value)
    with pytest.raises(NotRunningError, match=r"Endpoint\(name='vllm'\) is made and reached by the mothership") as raised:
        run(Endpoint(name="vllm", image="x").get("/v1/models"))
    assert "flash run" in str(raised.value)


def test_a_base_url_that_is_none(monkeypatch):
    monkeypatch.setenv("RUNPOD_ENDPOINT_BASE_URL", "api.runpod.ai/v2")
    with pytest.raises(ValueError, match="RUNPOD_ENDPOINT_BASE_URL is 'api.runpod.ai/v2'; it has to be an http"):
        run(Endpoint(id="abc").run({}))


@pytest.mark.parametrize(
    ("base", "jobs", "routes"),
    [
        ("https://api.runpod.ai/v2", "https://api.runpod.ai/v2/abc", "https://abc.api.runpod.ai"),
        ("http://127.0.0.1:8888/v2", "http://127.0.0.1:8888/v2/abc", "http://127.0.0.1:8888/lb/abc"),
        ("http://localhost:8888/v2", "http://localhost:8888/v2/abc", "http://localhost:8888/lb/abc"),
        ("http://[::1]:8888/v2", "http://[::1]:8888/v2/abc", "http://[::1]:8888/lb/abc"),
    ],
)
def test_routes_have_a_host_of_their_own_where_hosts_have_subdomains(base, jobs, routes):
    door = _endpoint_client._data_plane(base, KEY, "abc")
    assert (door.jobs, door.routes) == (jobs, routes)


def test_a_probe_calls_nobody(plane, monkeypatch):
    monkeypatch.setattr(_context, "calls_refused", "this is a probe")
    with pytest.raises(FlashError, match=r"Endpoint\(id='abc'\) is not called: this is a probe"):
        run(Endpoint(id="abc").run({}))
    assert plane.requests == []


def test_what_is_no_job(plane, monkeypatch):
    monkeypatch.setattr(DataPlane, "queue", lambda *_: (200, json.loads('["x"]')))
    with pytest.raises(CallError, match=r"was not answered with a job"):
        run(Endpoint(id="abc").run({}))
