"""Async functions without an `await` run to their end at once, and are otherwise like all others."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from gateway import ERROR, RESULT

from tetra_rp._worker._tasks import never_waits

SOURCE = """
    import asyncio, contextvars
    from tetra_rp import LiveLoadBalancer, remote

    api = LiveLoadBalancer(name="api")
    variable = contextvars.ContextVar("variable", default="clean")
    later = None

    @remote(api, method="POST", path="/mark")
    async def mark():
        before = variable.get()
        variable.set("dirty")
        return before

    @remote(api, method="POST", path="/begin")
    async def begin():
        global later
        async def end():
            await asyncio.sleep(0)
            return "ended"
        later = asyncio.create_task(end())

    @remote(api, method="POST", path="/end")
    async def end():
        return await later

    @remote(api, method="POST", path="/fail")
    async def fail(kind: str):
        raise SystemExit(3) if kind == "exit" else StopIteration(kind)

    @remote(api, method="POST", path="/count")
    async def count():
        return (number for number in range(3))

    @remote(api, method="POST", path="/has_task")
    async def has_task():
        return asyncio.current_task() is not None
"""
FUNCTIONS = ["mark", "begin", "end", "fail", "count", "has_task"]


def test_calls_share_no_context_and_reach_the_loop(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    assert [gateway.route("mark").json() for _ in range(2)] == ["clean", "clean"]
    assert gateway.route("begin").json() is None
    assert gateway.route("end").json() == "ended"


@pytest.mark.parametrize(("kind", "told"), [("exit", "SystemExit"), ("stop", "RuntimeError")])
def test_what_they_raise_is_told_and_ends_nothing(worker, kind, told):
    gateway = worker(SOURCE, FUNCTIONS)
    answer = gateway.route("fail", {"kind": kind})
    assert (answer.kind, answer.header["type"]) == (ERROR, told)
    assert gateway.route("mark").kind == RESULT


def test_no_form_of_call_makes_a_task_for_them(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    job = gateway.job({"function_name": "has_task", "kwargs": {}})
    answers = [gateway.route("has_task").json(), gateway.pickle("has_task").value(), job.json()]
    assert answers == [False, False, False]


def test_generators_that_they_return_are_streamed(worker):
    *parts, end = worker(SOURCE, FUNCTIONS).stream("count")
    assert b"".join(part.body for part in parts) == b"0\n1\n2\n"
    assert end.kind == RESULT


async def plain() -> int:
    return 1


async def awaits() -> int:
    return await plain()


async def iterates(items: AsyncIterator[int]) -> list[int]:
    return [item async for item in items]


async def enters(lock: asyncio.Lock) -> None:
    async with lock:
        pass


async def yields() -> AsyncIterator[int]:
    yield 1


async def only_a_function_inside_waits() -> Any:
    async def inner() -> int:
        return await plain()

    return inner


@functools.wraps(plain)
async def wrapper() -> int:
    return await plain()


def test_they_are_known_by_their_code():
    assert [function for function in (plain, only_a_function_inside_waits) if not never_waits(function)] == []
    waiting: list[Callable[..., Any]] = [awaits, iterates, enters, yields, wrapper, functools.partial(plain), len]
    assert [function for function in waiting if never_waits(function)] == []
