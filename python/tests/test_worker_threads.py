"""More plain functions than one at the same time, for workers that are told so."""

from __future__ import annotations

import pytest
from gateway import CALL, CANCEL, RESULT, STOP

SOURCE = """
    import asyncio, threading
    from tetra_rp import LiveLoadBalancer, LiveServerless, remote

    api = LiveLoadBalancer(name="api")
    other = LiveServerless(name="other")
    meeting = threading.Barrier(2)

    @remote(other)
    async def tell(what): ...

    @remote(api, method="POST", path="/meet")
    def meet():
        meeting.wait(30)
        return threading.current_thread().name

    @remote(api, method="POST", path="/hold")
    def hold():
        return asyncio.run(tell("holding"))

    @remote(api, method="POST", path="/quick")
    def quick():
        return threading.get_ident()

    @remote(api, method="POST", path="/numbers")
    def numbers():
        yield from range(3)
"""
FUNCTIONS = ["meet", "hold", "quick", "numbers"]


def test_two_run_at_the_same_time(worker):
    gateway = worker(SOURCE, FUNCTIONS, sync_threads=2)
    calls = [gateway.begin({"form": "route", "function": "meet"}) for _ in range(2)]
    answers = [gateway.receive() for _ in calls]
    assert sorted(answer.call_id for answer in answers) == calls
    assert [answer.json() for answer in answers] == ["flash-sync"] * 2


def test_one_that_takes_long_holds_up_no_other_and_is_waited_for_at_the_end(worker):
    gateway = worker(SOURCE, FUNCTIONS, sync_threads=2)
    held = gateway.begin({"form": "route", "function": "hold"})
    told = gateway.receive()
    assert told.kind == CALL
    assert len({gateway.route("quick").json() for _ in range(5)}) == 1
    *parts, _ = gateway.stream("numbers")
    assert b"".join(part.body for part in parts) == b"0\n1\n2\n"
    gateway.send(STOP, 0)
    gateway.send(RESULT, told.call_id, None, _pickled_none())
    answer = gateway.receive()
    assert (answer.call_id, answer.kind) == (held, RESULT)
    assert gateway.exit_code() == 0


@pytest.mark.parametrize("threads", [1, 2])
def test_one_that_waits_for_a_thread_is_cancelled_unbegun(worker, threads):
    gateway = worker(SOURCE, FUNCTIONS, sync_threads=threads)
    held = [gateway.begin({"form": "route", "function": "hold"}) for _ in range(threads)]
    told = [gateway.receive() for _ in held]
    waiting = gateway.begin({"form": "route", "function": "quick"})
    gateway.send(CANCEL, waiting)
    answer = gateway.receive()
    assert (answer.call_id, answer.header["status"]) == (waiting, 499)
    for call in told:
        gateway.send(RESULT, call.call_id, None, _pickled_none())
    assert sorted(gateway.receive().call_id for _ in held) == held


def _pickled_none() -> bytes:
    from tetra_rp import _payload

    return _payload.dump_bytes(None)
