"""SIGTERM: what runs is unwound, nothing is answered, and user code that has a handler of its own decides."""

from __future__ import annotations

import signal
import textwrap
import time

import pytest
from gateway import CALL, DEADLINE_SECONDS, RESULT, Gateway

from tetra_rp import _payload

SOURCE = """
    import asyncio, atexit, os, pathlib, signal, threading, time
    from tetra_rp import LiveServerless, remote

    api = LiveServerless(name="api")
    other = LiveServerless(name="other")

    @remote(other)
    async def tell(what): ...

    def note(name):
        pathlib.Path(name).write_text("noted")

    atexit.register(note, "atexit")

    @remote(api)
    async def is_deaf():
        await tell("begun")
        note("goes on")
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass

    @remote(api)
    async def holds_the_loop():
        try:
            await tell("begun")
            note("goes on")
            while True:
                pass
        finally:
            note("finally")

    @remote(api)
    def works():
        try:
            asyncio.run(tell("begun"))
            note("goes on")
            while True:
                pass
        finally:
            note("finally")

    @remote(api)
    def makes_do():
        try:
            asyncio.run(tell("begun"))
            note("goes on")
            while True:
                pass
        except SystemExit:
            note("finally")
        return "not an answer"

    @remote(api)
    async def makes_do_async():
        try:
            await tell("begun")
            note("goes on")
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            note("finally")
        return "not an answer"

    @remote(api)
    def is_stuck():
        asyncio.run(tell("begun"))
        note("goes on")
        threading.Event().wait()

    @remote(api)
    def quick():
        return "quick"

    @remote(api)
    def forks():
        pid = os.fork()
        if pid == 0:
            while True:
                time.sleep(1)
        os.kill(pid, signal.SIGTERM)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""
FUNCTIONS = [
    *("is_deaf", "holds_the_loop", "makes_do_async"),
    *({"name": name, "is_async": False} for name in ("works", "makes_do", "is_stuck", "quick", "forks")),
]
TERMINATED = 128 + signal.SIGTERM


def begin(gateway: Gateway, function: str) -> None:
    """A call that has told so, and has gone on."""
    gone_on = gateway.log.with_name("goes on")
    gone_on.unlink(missing_ok=True)
    gateway.begin({"form": "pickle", "function": function}, _payload.dump_bytes({"args": (), "kwargs": {}}))
    frame = gateway.receive()
    assert (frame.kind, frame.value()["args"]) == (CALL, ("begun",))
    gateway.send(RESULT, frame.call_id, None, _payload.dump_bytes(None))
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not gone_on.exists():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def terminate(gateway: Gateway) -> int:
    gateway.process.send_signal(signal.SIGTERM)
    return gateway.exit_code()


@pytest.mark.parametrize("function", ["works", "makes_do", "makes_do_async", "holds_the_loop"])
def test_what_runs_is_unwound_and_answers_nothing(worker, tmp_path, function):
    gateway = worker(SOURCE, FUNCTIONS)
    begin(gateway, function)
    assert terminate(gateway) == TERMINATED, gateway.printed()
    assert (tmp_path / "atexit").exists()
    assert (tmp_path / "finally").exists()
    assert gateway.at_end(), "the call was answered"


@pytest.mark.parametrize("stuck", ["is_deaf", "is_stuck"])
def test_a_call_that_does_not_end_keeps_no_other_from_its_end(worker, tmp_path, stuck):
    gateway = worker(SOURCE, FUNCTIONS)
    begin(gateway, stuck)
    begin(gateway, "makes_do_async")
    assert terminate(gateway) == TERMINATED, gateway.printed()
    assert (tmp_path / "finally").exists()
    assert (tmp_path / "atexit").exists()


def test_an_idle_worker_ends(worker, tmp_path):
    assert terminate(worker(SOURCE, FUNCTIONS)) == TERMINATED
    assert (tmp_path / "atexit").exists()


def with_handler(handler: str) -> str:
    return f"{textwrap.dedent(SOURCE)}\nsignal.signal(signal.SIGTERM, {handler})\n"


def test_a_handler_of_user_code_may_end_the_worker(worker, tmp_path):
    gateway = worker(with_handler("lambda *_: exit(7)"), FUNCTIONS)
    begin(gateway, "works")
    assert terminate(gateway) == TERMINATED
    assert (tmp_path / "finally").exists()


def test_a_handler_of_user_code_may_let_it_go_on(worker, tmp_path):
    gateway = worker(with_handler("lambda *_: note('noticed')"), FUNCTIONS)
    gateway.process.send_signal(signal.SIGTERM)
    assert gateway.pickle("quick").value() == "quick"
    assert (tmp_path / "noticed").exists()


def test_what_user_code_forks_ends_by_the_signal_itself(worker):
    assert worker(SOURCE, FUNCTIONS).pickle("forks").value() == -signal.SIGTERM
