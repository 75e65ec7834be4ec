"""Objects of decorated classes: made once, shared, made again after a failure."""

from __future__ import annotations

from tetra_rp import _payload

SOURCE = """
    import asyncio, threading
    from tetra_rp import LiveServerless, remote

    gpu = LiveServerless(name="gpu")
    made = []
    fail = [True]

    @remote(gpu)
    class Slow:
        def __init__(self, name="default"):
            made.append([name, threading.current_thread().name])

        async def count(self):
            return len(made)

        async def wait(self):
            await asyncio.Event().wait()

        def where(self):
            return made

    @remote(gpu)
    class Fragile:
        def __init__(self):
            if fail.pop():
                fail.append(False)
                raise OSError("no weights")

        def use(self):
            return "fine"

    @remote(gpu)
    async def inside():
        slow = Slow()
        return [await slow.count(), isinstance(slow, Slow), await slow.where()]
"""
FUNCTIONS = [{"name": "Slow", "is_class": True}, {"name": "Fragile", "is_class": True}, "inside"]


def test_one_object_however_many_ask_at_once(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    ids = [gateway.begin({"form": "json", "function": "Slow", "method": "count"}, {}) for _ in range(30)]
    assert [gateway.receive().json() for _ in ids] == [1] * 30


def test_constructors_run_on_the_sync_thread_and_calls_inside_share_the_object(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    expected = [["default", "flash-sync"]]
    assert gateway.call({"form": "json", "function": "Slow", "method": "where"}).json() == expected
    assert gateway.call({"form": "json", "function": "inside"}).json() == [1, True, expected]


def test_different_arguments_make_different_objects(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    for name, count in [("a", 1), ("b", 2), ("a", 2)]:
        assert gateway.pickle("Slow", method="count", constructor_args=(name,)).value() == count
    assert gateway.pickle("Slow", method="count", constructor_kwargs={"name": "c"}).value() == 3


def test_objects_are_bounded(worker):
    from tetra_rp._worker._instances import INSTANCES_MAX

    gateway = worker(SOURCE, FUNCTIONS)
    for number in range(INSTANCES_MAX + 1):
        gateway.pickle("Slow", method="count", constructor_args=(number,))
    # The first was dropped for the last, so it is made anew; the last is still there.
    assert gateway.pickle("Slow", method="count", constructor_args=(INSTANCES_MAX,)).value() == INSTANCES_MAX + 1
    assert gateway.pickle("Slow", method="count", constructor_args=(0,)).value() == INSTANCES_MAX + 2


def test_an_object_that_a_call_runs_on_is_not_made_again(worker):
    from tetra_rp._worker._instances import INSTANCES_MAX

    gateway = worker(SOURCE, FUNCTIONS)
    busy = {"args": (), "kwargs": {}, "method": "wait", "constructor_args": ("busy",)}
    gateway.begin({"form": "pickle", "function": "Slow"}, _payload.dump_bytes(busy))
    for number in range(INSTANCES_MAX):
        gateway.pickle("Slow", method="count", constructor_args=(number,))
    assert gateway.pickle("Slow", method="count", constructor_args=("busy",)).value() == INSTANCES_MAX + 1


def test_a_failed_constructor_is_an_error_and_tried_again(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    header = {"form": "json", "function": "Fragile", "method": "use"}
    failed = gateway.call(header)
    assert (failed.header["code"], failed.header["type"], failed.header["message"]) == ("FL305", "OSError", "no weights")
    assert gateway.call(header).json() == "fine"
