"""What people do with the `runpod` package, done to a project that `runpod_client.rs` has started."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest
import requests
import runpod
from runpod.endpoint import Job
from runpod.http_client import AsyncClientSession

TOKEN = os.environ["FLASH_TEST_TOKEN"]
DEADLINE_SECONDS = 60


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setattr(runpod, "api_key", TOKEN)


def appears(path: Path) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not path.exists():
        assert time.monotonic() < deadline, f"no {path}"
        time.sleep(0.01)


def numbers(count: int) -> list[dict[str, int]]:
    return [{"number": number} for number in range(count)]


def test_run_gives_a_job_that_has_a_status_and_an_output():
    job = runpod.Endpoint("double").run({"input": {"x": 21}})
    assert job.output(timeout=DEADLINE_SECONDS) == 42
    assert job.status() == "COMPLETED"


def test_run_sync_gives_the_output():
    endpoint = runpod.Endpoint("double", api_key=TOKEN)
    assert endpoint.run_sync({"input": {"x": 4}}, timeout=DEADLINE_SECONDS) == 8
    assert endpoint.run_sync({"x": 5}, timeout=DEADLINE_SECONDS) == 10, "the client puts it into `input`"


def test_a_function_without_arguments_is_called_in_every_way():
    endpoint = runpod.Endpoint("bare")
    # The client wraps the second one once more.
    for given in ({}, {"input": {}}):
        assert endpoint.run_sync(given, timeout=DEADLINE_SECONDS) == "bare"


def test_a_base_url_may_end_with_a_slash(monkeypatch):
    monkeypatch.setattr(runpod, "endpoint_url_base", f"{runpod.endpoint_url_base}/")
    assert runpod.Endpoint("double").run_sync({"x": 6}, timeout=DEADLINE_SECONDS) == 12


def test_what_fails_has_no_output():
    endpoint = runpod.Endpoint("double")
    assert endpoint.run_sync({"input": {"x": -1}}, timeout=DEADLINE_SECONDS) is None
    job = endpoint.run({"input": {"x": -1}})
    assert job.output(timeout=DEADLINE_SECONDS) is None
    assert job.status() == "FAILED"


def test_a_stream_is_read_while_the_function_runs(tmp_path):
    go = tmp_path / "go"
    job = runpod.Endpoint("count").run({"input": {"to": 100, "go": str(go)}})
    stream = job.stream()
    assert next(stream) == {"number": 0}
    assert job.status() == "IN_PROGRESS"
    go.touch()
    assert list(stream) == numbers(100)[1:]
    assert job.status() == "COMPLETED"
    assert job.output() == numbers(100), "what it yielded, although it was read"


def test_a_stream_is_read_after_its_end():
    job = runpod.Endpoint("words").run({"input": {"text": "to be or not"}})
    assert job.output(timeout=DEADLINE_SECONDS) == ["to", "be", "or", "not"]
    assert list(job.stream()) == ["to", "be", "or", "not"]
    assert runpod.Endpoint("words").run_sync({"input": {"text": "to be"}}) == ["to", "be"]


def test_a_stream_that_fails_ends():
    job = runpod.Endpoint("count").run({"input": {"to": 3, "fails": True}})
    assert list(job.stream()) == numbers(3)
    assert job.status() == "FAILED"
    assert job.output() is None


def test_the_stream_of_a_function_that_is_none_is_empty():
    job = runpod.Endpoint("double").run({"input": {"x": 1}})
    assert list(job.stream()) == []
    assert job.output() == 2


def test_a_job_that_runs_can_be_cancelled(tmp_path):
    begun = tmp_path / "begun"
    job = runpod.Endpoint("hold").run({"input": {"begun": str(begun), "go": str(tmp_path / "never")}})
    appears(begun)
    assert job.cancel() == {"id": job.job_id, "status": "CANCELLED"}
    assert job.status() == "CANCELLED"
    assert job.output(timeout=DEADLINE_SECONDS) is None


def test_the_stream_of_a_cancelled_job_ends():
    job = runpod.Endpoint("count").run({"input": {"to": 2, "go": "/never"}})
    stream = job.stream()
    assert next(stream) == {"number": 0}
    job.cancel()
    # The client does not know this for an end, and would ask for ever.
    with pytest.raises(requests.HTTPError, match="409"):
        next(stream)


def test_health_has_all_counts():
    health = runpod.Endpoint("double").health()
    assert health["jobs"].keys() == {"completed", "failed", "inProgress", "inQueue", "retried"}
    assert health["workers"].keys() == {"idle", "initializing", "ready", "running", "throttled", "unhealthy"}
    counts = [*health["jobs"].values(), *health["workers"].values()]
    assert all(type(count) is int for count in counts)


def test_jobs_that_wait_are_purged(tmp_path):
    endpoint = runpod.Endpoint("hold")
    begun, go = tmp_path / "begun", tmp_path / "go"
    running = endpoint.run({"input": {"begun": str(begun), "go": str(go)}})
    appears(begun)
    waiting = [endpoint.run({"input": {"begun": "", "go": ""}}) for _ in range(2)]
    assert [job.status() for job in waiting] == ["IN_QUEUE"] * 2
    assert endpoint.purge_queue() == {"removed": 2, "status": "completed"}
    assert [job.status() for job in waiting] == ["CANCELLED"] * 2
    go.touch()
    assert running.output(timeout=DEADLINE_SECONDS) == "held"


def test_what_is_not_there_and_who_may_not_are_told():
    endpoint = runpod.Endpoint("double")
    for source in ("status", "stream"):
        with pytest.raises(requests.HTTPError, match="404"):
            Job("double", "nothing", endpoint.rp_client)._fetch_job(source)
    with pytest.raises(requests.HTTPError, match="404"):
        runpod.Endpoint("nothing").health()
    with pytest.raises(RuntimeError, match="401"):
        runpod.Endpoint("double", api_key="somebody").run({"input": {"x": 1}})


def test_the_asynchronous_client():
    async def drive() -> None:
        async with AsyncClientSession() as session:
            count = runpod.AsyncioEndpoint("count", session)
            job = await count.run({"to": 5})
            assert [part async for part in job.stream()] == numbers(5)
            assert await job.status() == "COMPLETED"
            assert await job.output(timeout=DEADLINE_SECONDS) == numbers(5)
            assert (await count.health())["jobs"]["inQueue"] == 0
            assert await count.purge_queue() == {"removed": 0, "status": "completed"}
            job = await count.run({"to": 2, "go": "/never"})
            assert (await job.cancel())["status"] == "CANCELLED"
            assert await job.status() == "CANCELLED"

    asyncio.run(drive())
