"""The trace that a call belongs to: what user code sees of it, and where it goes on."""

from __future__ import annotations

import json
import threading
import urllib.request

import pytest
from gateway import CALL, PART, RESULT

from tetra_rp import _payload, trace

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
OTHER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"

SOURCE = """
    import asyncio
    from tetra_rp import LiveLoadBalancer, LiveServerless, remote, trace

    @remote(LiveServerless(name="model"))
    async def infer(x): ...

    def seen():
        now = trace.current()
        return now and [now.traceparent, now.tracestate, now.trace_id, now.span_id, now.is_sampled]

    async def later():
        await asyncio.sleep(0)
        return seen()

    async def task():
        return await asyncio.create_task(later())

    async def thread():
        return await asyncio.to_thread(seen)

    def plain():
        return seen()

    def handed():
        return later()

    def items():
        yield repr(seen())

    async def call_async():
        return await infer(1)

    def call_sync():
        return asyncio.run(infer(1))

    class Kept:
        def look(self):
            return seen()
"""
FUNCTIONS = [
    "later", "task", "thread", *({"name": name, "is_async": False} for name in ("plain", "handed", "items")),
    "call_async", {"name": "call_sync", "is_async": False},
    {"name": "Kept", "is_async": False, "is_class": True},
]  # fmt: skip


def view(traceparent, tracestate=""):
    return [traceparent, tracestate, traceparent[3:35], traceparent[36:52], traceparent.endswith("1")]


@pytest.mark.parametrize("function", ["later", "task", "thread", "plain", "handed", "Kept"])
def test_a_call_sees_its_own_trace_and_no_others(worker, function):
    gateway = worker(SOURCE, FUNCTIONS)

    def seen(trace):
        return gateway.call({"form": "route", "function": function}, {}, trace).json()

    assert seen("") is None
    assert seen(f"{PARENT}\ncongo=t61rcWkgMzE,rojo=1") == view(PARENT, "congo=t61rcWkgMzE,rojo=1")
    assert seen(OTHER) == view(OTHER)
    assert seen("") is None


def test_jobs_and_streams_see_it_too(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    job = {"function_name": "plain", "kwargs": {}}
    assert gateway.call({"form": "job"}, job, PARENT).json() == view(PARENT)
    gateway.begin({"form": "route", "function": "items"}, {}, PARENT)
    part = gateway.receive()
    assert (part.kind, part.body.decode()) == (PART, repr(view(PARENT)))
    assert gateway.receive().kind == RESULT


@pytest.mark.parametrize("function", ["call_async", "call_sync"])
@pytest.mark.parametrize("trace", ["", PARENT, f"{PARENT}\ncongo=t61rcWkgMzE"])
def test_calls_of_other_resources_carry_it_on(worker, function, trace):
    gateway = worker(SOURCE, FUNCTIONS)
    gateway.begin({"form": "route", "function": function}, {}, trace)
    call = gateway.receive()
    assert (call.kind, call.header, call.trace) == (CALL, {"form": "pickle", "function": "infer"}, trace)
    gateway.send(RESULT, call.call_id, None, _payload.dump_bytes(None))
    assert gateway.receive().kind == RESULT


def test_a_web_application_follows_its_requests(worker):
    source = """
        from fastapi import FastAPI
        from tetra_rp import LiveServerless, remote, trace

        app = FastAPI()

        @remote(LiveServerless(name="model"))
        async def infer(): ...

        @app.get("/")
        async def root():
            return trace.current()

        @app.get("/infer")
        async def call():
            return await infer()
    """
    gateway = worker(source, [], asgi="main:app")

    def get(path, *headers):
        request = urllib.request.Request(f"http://127.0.0.1:{gateway.first.header['port']}{path}")
        for name, value in headers:
            request.add_header(name, value)
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)

    parent, state = ("traceparent", PARENT), ("tracestate", "congo=t61rcWkgMzE")
    assert get("/") is None
    assert get("/", parent, state) == [PARENT, "congo=t61rcWkgMzE"]
    assert get("/", parent, ("tracestate", "x=" + "y" * 600)) == [PARENT, ""]
    assert get("/", ("traceparent", "nonsense"), state) is None
    answers = []
    asking = threading.Thread(target=lambda: answers.append(get("/infer", parent, state)))
    asking.start()
    call = gateway.receive()
    assert call.trace == f"{PARENT}\ncongo=t61rcWkgMzE"
    gateway.send(RESULT, call.call_id, None, _payload.dump_bytes(1))
    asking.join()
    assert answers == [1]


def test_a_trace_is_followed_as_long_as_it_is_asked_for():
    assert trace.current() is None
    with trace.follow(PARENT, "a=1") as outer:
        assert trace.current() is outer
        assert outer.headers() == {"traceparent": PARENT, "tracestate": "a=1"}
        with trace.follow(OTHER):
            assert trace.current().headers() == {"traceparent": OTHER}
        assert trace.current() is outer
    assert trace.current() is None


@pytest.mark.parametrize(
    "traceparent",
    ["", "x", PARENT[:-1], PARENT.upper(), "ff" + PARENT[2:], "00-" + "0" * 32 + PARENT[35:], PARENT[:36] + "0" * 16 + "-01"],
)
def test_what_is_no_traceparent_is_refused(traceparent):
    with pytest.raises(ValueError, match="is not a traceparent"), trace.follow(traceparent):
        pass
    with pytest.raises(ValueError, match="is not a tracestate"), trace.follow(PARENT, "a=1\nb"):
        pass
