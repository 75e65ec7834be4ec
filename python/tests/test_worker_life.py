"""Start, cancel, stop, end of file, concurrency."""

from __future__ import annotations

import signal

import pytest
from gateway import CALL, CANCEL, ERROR, FAILED, READY, RESULT, STOP, Gateway

SOURCE = """
    import asyncio, contextvars, threading
    from tetra_rp import LiveServerless, LiveLoadBalancer, remote

    api = LiveLoadBalancer(name="api")
    other = LiveServerless(name="other")
    seen = []
    gate = None
    marker = contextvars.ContextVar("marker", default="clean")

    @remote(other)
    async def tell(what): ...

    @remote(api, method="POST", path="/quick")
    async def quick():
        return "quick"

    @remote(api, method="POST", path="/meet")
    async def meet(count: int):
        global gate
        gate = gate or asyncio.Event()
        seen.append(count)
        if len(seen) == count:
            gate.set()
        await gate.wait()
        return len(seen)

    @remote(api, method="POST", path="/forever")
    async def forever():
        try:
            await tell("begun")
            await asyncio.Event().wait()
        finally:
            seen.append("cancelled")

    @remote(api, method="POST", path="/look")
    async def look():
        return seen

    @remote(api, method="POST", path="/block")
    def block():
        asyncio.run(tell("blocking"))
        threading.Event().wait()

    @remote(api, method="POST", path="/hold")
    def hold():
        return asyncio.run(tell("holding"))

    @remote(api, method="POST", path="/order")
    def order(number: int):
        seen.append(number)
        return list(seen)

    @remote(api, method="POST", path="/block_loop")
    async def block_loop():
        await tell("blocking the loop")
        threading.Event().wait()

    @remote(api, method="POST", path="/mark")
    def mark():
        before = marker.get()
        marker.set("dirty")
        return [before, threading.current_thread().name]

    @remote(api, method="POST", path="/task_exit")
    async def task_exit():
        async def leave():
            raise SystemExit(9)
        asyncio.get_running_loop().create_task(leave())
        await tell("exiting")
        return "still here"

    @remote(api, method="POST", path="/deadline")
    async def deadline():
        try:
            await asyncio.wait_for(asyncio.Event().wait(), 0.001)
        except asyncio.TimeoutError:
            return asyncio.current_task() is not None
"""
FUNCTIONS = ["quick", "meet", "forever", "look", "block", "hold", "order", "block_loop", "mark", "task_exit", "deadline"]


def route(function: str) -> dict[str, str]:
    return {"form": "route", "function": function}


def expect_told(gateway: Gateway, what: str) -> int:
    """The worker's own call of `tell(what)`; its id."""
    frame = gateway.receive()
    assert frame.kind == CALL
    assert frame.header == {"form": "pickle", "function": "tell"}
    assert frame.value() == {"args": (what,), "kwargs": {}}
    return frame.call_id


def answer_none(gateway: Gateway, call_id: int) -> None:
    from tetra_rp import _payload

    gateway.send(RESULT, call_id, None, _payload.dump_bytes(None))


def test_async_calls_run_at_the_same_time(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    ids = {gateway.begin(route("meet"), {"count": 20}) for _ in range(20)}
    answers = [gateway.receive() for _ in ids]
    assert {answer.call_id for answer in answers} == ids
    assert all(answer.json() == 20 for answer in answers)


def test_sync_calls_run_one_at_a_time_in_order(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    ids = [gateway.begin(route("order"), {"number": number}) for number in range(5)]
    answers = [gateway.receive() for _ in ids]
    assert [answer.call_id for answer in answers] == ids
    assert [answer.json() for answer in answers] == [list(range(number + 1)) for number in range(5)]


def test_async_calls_go_on_while_a_sync_one_runs(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    held = gateway.begin(route("hold"))
    telling = expect_told(gateway, "holding")
    assert gateway.route("quick").json() == "quick"
    answer_none(gateway, telling)
    assert gateway.receive().call_id == held


def test_context_variables_do_not_leak_between_sync_calls(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    first, second = gateway.route("mark").json(), gateway.route("mark").json()
    assert first == second == ["clean", "flash-sync"]


def test_calls_have_a_task_of_their_own(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    assert gateway.route("deadline").json() is True


def test_cancel_stops_an_async_call(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    call_id = gateway.begin(route("forever"))
    answer_none(gateway, expect_told(gateway, "begun"))
    gateway.send(CANCEL, call_id)
    answer = gateway.receive()
    assert (answer.kind, answer.call_id, answer.header["status"]) == (ERROR, call_id, 499)
    assert gateway.route("look").json() == ["cancelled"]


def test_cancel_drops_a_sync_call_that_waits(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    held = gateway.begin(route("hold"))
    waiting = gateway.begin(route("order"), {"number": 1})
    telling = expect_told(gateway, "holding")
    gateway.send(CANCEL, waiting)
    answer = gateway.receive()
    assert (answer.kind, answer.call_id) == (ERROR, waiting)
    gateway.send(CANCEL, held)  # runs: cannot be stopped
    answer_none(gateway, telling)
    assert gateway.receive().call_id == held
    assert gateway.route("look").json() == []


def test_cancel_of_something_answered_is_ignored(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    gateway.route("quick")
    gateway.send(CANCEL, 1)
    assert gateway.route("quick").json() == "quick"


def test_stop_finishes_what_runs_and_takes_nothing_new(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    held = gateway.begin(route("hold"))
    forever = gateway.begin(route("forever"))
    telling = {gateway.receive().call_id for _ in range(2)}
    queued = gateway.begin(route("order"), {"number": 1})
    gateway.send(STOP, 0)
    refused = gateway.call(route("quick"))
    assert (refused.kind, refused.header["code"], refused.header["status"]) == (ERROR, "FL309", 503)
    for call_id in telling:
        answer_none(gateway, call_id)
    assert [gateway.receive().call_id for _ in range(2)] == [held, queued]
    gateway.send(CANCEL, forever)
    assert gateway.receive().call_id == forever
    assert gateway.at_end()
    assert gateway.exit_code() == 0


def test_stop_when_idle(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    gateway.send(STOP, 0)
    assert gateway.at_end()
    assert gateway.exit_code() == 0


@pytest.mark.parametrize(("function", "word"), [("block", "blocking"), ("block_loop", "blocking the loop")])
def test_end_of_file_ends_the_worker_whatever_runs(worker, function, word):
    gateway = worker(SOURCE, FUNCTIONS)
    gateway.begin(route(function))
    answer_none(gateway, expect_told(gateway, word))
    gateway.socket.close()
    assert gateway.process.wait(timeout=1.0) == 0


def test_an_exit_in_a_task_of_user_code_does_not_end_the_worker(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    gateway.begin(route("task_exit"))
    answer_none(gateway, expect_told(gateway, "exiting"))
    assert gateway.receive().json() == "still here"
    assert "SystemExit: 9" in gateway.printed()


def test_interrupts_from_the_terminal_are_ignored(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    gateway.process.send_signal(signal.SIGINT)
    assert gateway.route("quick").json() == "quick"


@pytest.mark.parametrize(
    ("source", "functions", "kind", "words"),
    [
        ("import does_not_exist", ["f"], "ModuleNotFoundError", "does_not_exist"),
        ("1 / 0", ["f"], "ZeroDivisionError", "division"),
        ("import sys; sys.exit(4)", ["f"], "SystemExit", "4"),
        ("def f(:", ["f"], "SyntaxError", "syntax"),
        ("x = 1", ["f"], "tetra_rp._worker._load.LoadError", "has no f"),
    ],
)
def test_code_that_cannot_be_loaded_is_failed(project, source, functions, kind, words):
    with Gateway(project(source), functions) as gateway:
        assert gateway.first.kind == FAILED
        assert gateway.first.header["type"] == kind
        assert words in gateway.first.header["message"]
        assert "Traceback" in gateway.first.header["traceback"]
        assert gateway.at_end()
        assert gateway.exit_code() == 1


def test_standard_input_is_not_the_socket(worker):
    source = """
        import sys
        from tetra_rp import LiveLoadBalancer, remote

        @remote(LiveLoadBalancer(name="api"), method="POST", path="/read")
        def read():
            import subprocess
            child = subprocess.run([sys.executable, "-c", "import sys; print(repr(sys.stdin.read()))"], capture_output=True)
            return [sys.stdin.read(), child.stdout.decode().strip()]
    """
    assert worker(source, ["read"]).route("read").json() == ["", "''"]


def test_the_main_guard_of_a_module_does_not_run(worker):
    gateway = worker(SOURCE + '\n    if __name__ == "__main__":\n        raise SystemExit("ran")\n', FUNCTIONS)
    assert gateway.first.kind == READY


def test_module_paths_may_begin_with_digits(project):
    source = """
        from tetra_rp import LiveServerless, remote
        @remote(LiveServerless(name="gpu"))
        def f(): return __name__
    """
    folder = project("", **{"01_first/02-second/gpu_worker.py": source})
    with Gateway(folder, [{"name": "f", "module": "01_first.02-second.gpu_worker"}]) as gateway:
        assert gateway.call({"form": "json", "function": "f"}).json() == "01_first.02-second.gpu_worker"


def test_import_paths_come_last(project):
    source = """
        import json, sys
        from cpu_worker import origin
        from tetra_rp import LiveServerless, remote

        @remote(LiveServerless(name="gpu"))
        def f(): return [origin, json.dumps([1]), sys.path]
    """
    files = {
        "01_x/02_y/pipeline.py": source,
        "01_x/02_y/cpu_worker.py": "origin = 'sibling'",
        "01_x/02_y/json.py": "raise ImportError('shadows the standard library')",
        "01_x/02_y/cloudpickle.py": "raise ImportError('shadows site-packages')",
    }
    folder = project("", **files)
    nested = str(folder / "01_x/02_y")
    function = {"name": "f", "module": "01_x.02_y.pipeline"}
    with Gateway(folder, [function], import_paths=[nested, str(folder), nested]) as gateway:
        origin, dumped, path = gateway.call({"form": "json", "function": "f"}).json()
        assert (origin, dumped) == ("sibling", "[1]")
        assert path[-1] == nested  # once, and what was there already is not added again
        assert path.count(nested) == 1
        assert gateway.pickle("f").value()[0] == "sibling"
    with Gateway(folder, [function]) as gateway:
        assert "No module named 'cpu_worker'" in gateway.first.header["message"]
