"""Results that come piece by piece: PART frames, CREDIT for more of them, and the end."""

from __future__ import annotations

import pytest
from gateway import CANCEL, DEADLINE_SECONDS, ERROR, PART, RESULT

SOURCE = """
    import asyncio, contextvars, pathlib, threading

    async def texts(count: int = 3):
        for number in range(count):
            yield f"{number} ü\\n"

    def texts_sync(count: int = 3):
        for number in range(count):
            yield f"{number} ü\\n"

    async def rows():
        yield {"a": 1}
        yield "text"

    def rows_sync():
        yield [1]
        yield None

    async def blob():
        yield b"x" * 200_000
        yield bytearray(b"yz")

    async def nothing():
        for _ in ():
            yield

    def hollow():
        yield ""
        yield ""

    def handed():
        return texts(2)

    async def handed_sync():
        return texts_sync(2)

    class Model:
        async def tokens(self, count: int):
            for number in range(count):
                yield str(number)

    class Plain:
        def tokens(self, count: int):
            for number in range(count):
                yield str(number)

    async def fails_at_once():
        raise ValueError("no luck")
        yield

    def fails_later():
        yield "some"
        raise ValueError("no luck")

    async def mixed():
        yield "some"
        yield {"a": 1}

    async def endless():
        number = 0
        try:
            while True:
                yield "x"
                number += 1
        finally:
            pathlib.Path("closed").write_text(str(number))

    def endless_sync():
        number = 0
        try:
            while True:
                yield "x"
                number += 1
        finally:
            pathlib.Path("closed").write_text(f"{number} {threading.current_thread().name}")

    async def waiting():
        try:
            yield "begun"
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            pathlib.Path("closed").write_text("cancelled")
            raise

    variable = contextvars.ContextVar("variable", default=0)

    def remembering():
        variable.set(7)
        yield "set"
        yield str(variable.get())

    def plain():
        return variable.get()
"""
ASYNC = ["texts", "rows", "blob", "nothing", "handed_sync", "fails_at_once", "mixed", "endless", "waiting"]
SYNC = ["texts_sync", "rows_sync", "hollow", "handed", "fails_later", "endless_sync", "remembering", "plain"]
CLASSES = ["Model", "Plain"]
FUNCTIONS = [
    *ASYNC, *({"name": name, "is_async": False} for name in SYNC), *({"name": name, "is_class": True} for name in CLASSES),
]  # fmt: skip

TEXT = {"content_type": "text/plain; charset=utf-8"}
LINES = {"content_type": "application/jsonl"}


def test_items_come_one_by_one_in_the_form_that_the_first_one_has(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    for function, body, head, expected in [
        ("texts", {"count": 2}, TEXT, ["0 ü\n", "1 ü\n"]),
        ("texts_sync", {"count": 2}, TEXT, ["0 ü\n", "1 ü\n"]),
        ("handed", b"", TEXT, ["0 ü\n", "1 ü\n"]),
        ("handed_sync", b"", TEXT, ["0 ü\n", "1 ü\n"]),
        ("Model", {"count": 2}, TEXT, ["0", "1"]),
        ("Plain", {"count": 2}, TEXT, ["0", "1"]),
        ("hollow", b"", TEXT, [""]),
        ("rows", b"", LINES, ['{"a":1}\n', '"text"\n']),
        ("rows_sync", b"", LINES, ["[1]\n", "null\n"]),
        ("remembering", b"", TEXT, ["set", "7"]),
    ]:
        *parts, end = gateway.stream(function, body)
        assert [part.body.decode() for part in parts] == expected, function
        assert [part.header for part in parts] == [head, *({} for _ in parts[1:])]
        assert (end.kind, end.header, end.body) == (RESULT, {}, b"")
    assert gateway.route("plain").json() == 0


def test_large_items_come_in_pieces(worker):
    *parts, end = worker(SOURCE, FUNCTIONS).stream("blob")
    assert b"".join(part.body for part in parts) == b"x" * 200_000 + b"yz"
    assert max(len(part.body) for part in parts) <= 64 * 1024
    assert parts[0].header == {"content_type": "application/octet-stream"}
    assert end.kind == RESULT


def test_an_empty_stream_is_an_empty_result(worker):
    (end,) = worker(SOURCE, FUNCTIONS).stream("nothing")
    assert (end.kind, end.header, end.body) == (RESULT, LINES, b"")


def test_what_fails_before_the_first_item_is_an_error_and_nothing_else(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    (end,) = gateway.stream("fails_at_once")
    assert (end.kind, end.header["status"], end.header["message"]) == (ERROR, 500, "no luck")
    for function, code in [("fails_later", "FL305"), ("mixed", "FL306")]:
        part, end = gateway.stream(function)
        assert (part.body, end.kind, end.header["code"]) == (b"some", ERROR, code)


@pytest.mark.parametrize("function", ["endless", "endless_sync"])
def test_no_more_parts_than_there_is_credit_for(worker, project, function):
    gateway = worker(SOURCE, FUNCTIONS)
    call_id = gateway.begin({"form": "route", "function": function})
    assert [gateway.receive().kind for _ in range(16)] == [PART] * 16
    # What is asked after them is answered next: nothing else is on its way, and nothing holds up the worker.
    assert gateway.route("plain").json() == 0
    gateway.credit(call_id, 3)
    assert [gateway.receive().kind for _ in range(3)] == [PART] * 3
    assert gateway.route("plain").json() == 0

    gateway.send(CANCEL, call_id)
    end = gateway.receive()
    assert (end.call_id, end.kind, end.header["status"]) == (call_id, ERROR, 499)
    last, *where = (project() / "closed").read_text().split()
    # The item that there was no credit for may have been made already.
    assert last in ("18", "19")
    assert where == ([] if function == "endless" else ["flash-sync"])
    assert gateway.route("plain").json() == 0


def test_a_stream_that_waits_is_cancelled_where_it_waits(worker, project):
    gateway = worker(SOURCE, FUNCTIONS)
    call_id = gateway.begin({"form": "route", "function": "waiting"})
    assert gateway.receive().body == b"begun"
    gateway.send(CANCEL, call_id)
    assert gateway.receive().header["status"] == 499
    assert (project() / "closed").read_text() == "cancelled"


def test_streams_of_many_calls_share_a_worker(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    functions = ["texts", "texts_sync"] * 20
    pending = {gateway.begin({"form": "route", "function": function}, {"count": 30}): "" for function in functions}
    expected = "".join(f"{number} ü\n" for number in range(30))
    done = []
    while pending:
        frame = gateway.receive()
        if frame.kind == PART:
            pending[frame.call_id] += frame.body.decode()
            gateway.credit(frame.call_id, 1)
        else:
            assert frame.kind == RESULT
            done.append(pending.pop(frame.call_id))
    assert done == [expected] * len(functions)


def test_a_credit_for_nobody_is_nothing_and_a_broken_one_ends_the_worker(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    gateway.credit(99, 5)
    assert gateway.route("plain").json() == 0
    gateway.send(10, 1, None, b"abc")
    assert gateway.process.wait(DEADLINE_SECONDS) == 1


def test_what_a_job_yields_comes_as_lines_whatever_it_is(worker):
    gateway = worker(SOURCE, FUNCTIONS)
    for function, kwargs, expected in [
        ("texts", {"count": 2}, ['"0 ü\\n"\n', '"1 ü\\n"\n']),
        ("texts_sync", {"count": 1}, ['"0 ü\\n"\n']),
        ("rows_sync", {}, ["[1]\n", "null\n"]),
        ("nothing", {}, []),
        ("Model", {"count": 1}, ['"0"\n']),
    ]:
        head, *parts, end = gateway.stream_job({"function_name": function, "kwargs": kwargs})
        assert (head.header, head.body) == (LINES, b""), function
        assert [part.body.decode() for part in parts] == expected
        assert (end.kind, end.header, end.body) == (RESULT, {}, b"")
    for function, code in [("fails_later", "FL305"), ("blob", "FL306")]:
        *_, end = gateway.stream_job({"function_name": function, "kwargs": {}})
        assert (end.kind, end.header["code"]) == (ERROR, code)
    assert gateway.job({"function_name": "plain", "kwargs": {}}).json() == 0
