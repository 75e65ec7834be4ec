"""Whose is what user code prints."""

from __future__ import annotations

import signal

import pytest
from gateway import RESULT, Gateway

from tetra_rp._worker._output import PIECE_SIZE_MAX_BYTES

SOURCE = """
    import asyncio, ctypes, logging, os, subprocess, sys, threading

    print("import")

    async def say_async(word: str, count: int):
        for number in range(count):
            print(word, number)
            await asyncio.sleep(0)
        await asyncio.create_task(say_later(word))

    async def say_later(word):
        print(word, "later", file=sys.stderr)

    def say_sync(word: str):
        print(word)
        asyncio.run(say_later(word))
        logging.getLogger("x").warning("logged %s", word)
        sys.stdout.buffer.write(b"bytes\\n")
        sys.stdout.write("no end")

    def say_elsewhere():
        thread = threading.Thread(target=print, args=("bare thread",))
        thread.start()
        thread.join()
        async def other_thread():
            await asyncio.to_thread(print, "to_thread")
        asyncio.run(other_thread())
        os.write(1, b"descriptor\\n")
        ctypes.CDLL(None).write(2, b"library\\n", 8)
        subprocess.run([sys.executable, "-c", "print('child')"], check=True)
        pid = os.fork()
        if pid == 0:
            print("forked")
            os._exit(0)
        os.waitpid(pid, 0)

    def say_long(size: int):
        print("é" * size)

    def catch():
        reading, writing = os.pipe()
        kept = os.dup(1)
        os.dup2(writing, 1)
        print("caught")
        os.dup2(kept, 1)
        print("free")
        return os.read(reading, 100).decode()

    def leave():
        print("line")
        print("part", end="")
        os.kill(os.getpid(), 9)

    def steps():
        print("first")
        yield 1
        print("second")
        yield 2

    async def async_steps():
        print("async first")
        yield 1

    class Model:
        def __init__(self):
            print("made")

        def use(self):
            print("used")

    def close():
        sys.stdout.buffer.write(memoryview(b"view\\n"))
        try:
            sys.stdout.buffer.write(5)
        except TypeError:
            print(sys.stdout.name, sys.stdout.fileno(), sys.stdout.isatty(), sys.stdout.encoding)
        os.close(1)
        print("nobody hears this")
        return "still here"
"""
FUNCTIONS = [
    "say_async", "say_sync", "say_elsewhere", "say_long", "catch", "leave", "steps", "async_steps", "close",
    {"name": "Model", "is_class": True},
]


def route(function: str) -> dict[str, str]:
    return {"form": "route", "function": function}


@pytest.fixture
def gateway(worker) -> Gateway:
    return worker(SOURCE, FUNCTIONS)


def test_async_calls_that_run_together_are_told_apart(gateway):
    ids = {word: gateway.begin(route("say_async"), {"word": word, "count": 20}) for word in "abcdefgh"}
    for _ in ids:
        assert gateway.receive().kind == RESULT
    for word, call_id in ids.items():
        expected = "".join(f"{word} {number}\n" for number in range(20)) + f"{word} later\n"
        assert gateway.printed(call_id) == expected
    assert gateway.printed(0) == "import\n"


def test_sync_calls_mark_whatever_python_writes(gateway):
    for word in ("one", "two"):
        call_id = gateway.begin(route("say_sync"), {"word": word})
        assert gateway.receive().kind == RESULT
        assert gateway.printed(call_id) == f"{word}\n{word} later\nlogged {word}\nbytes\nno end"


def test_what_runs_past_the_call_is_not_its(gateway):
    call_id = gateway.begin(route("say_elsewhere"))
    assert gateway.receive().kind == RESULT
    assert gateway.printed(call_id) == "to_thread\nforked\n"
    assert gateway.printed(0) == "import\nbare thread\n"
    assert gateway.printed(None) == "descriptor\nlibrary\nchild\n"


def test_long_texts_come_in_pieces_that_the_kernel_keeps_whole(gateway):
    call_id = gateway.begin(route("say_long"), {"size": 10_000})
    assert gateway.receive().kind == RESULT
    assert gateway.printed(call_id) == "é" * 10_000 + "\n"
    sizes = [len(f"\x1e{call}:{len(text)}\x1f") + len(text) for call, text in gateway.pieces()]
    assert max(sizes) <= PIECE_SIZE_MAX_BYTES


def test_user_code_that_catches_its_output_sees_no_marks(gateway):
    call_id = gateway.begin(route("catch"))
    assert gateway.receive().json() == "caught\n"
    assert gateway.printed(call_id) == "free\n"


def test_what_was_printed_before_a_kill_is_there(gateway):
    call_id = gateway.begin(route("leave"))
    assert gateway.exit_code() == -signal.SIGKILL
    assert gateway.printed(call_id) == "line\npart"


def test_generators_print_as_their_call(gateway):
    assert len(gateway.stream("steps")) == 3
    assert gateway.printed(1) == "first\nsecond\n"
    assert len(gateway.stream("async_steps")) == 2
    assert gateway.printed(2) == "async first\n"


def test_an_object_is_made_by_the_call_that_needs_it_first(gateway):
    for _ in range(2):
        gateway.call({"form": "json", "function": "Model", "method": "use"}, {})
    assert (gateway.printed(1), gateway.printed(2)) == ("made\nused\n", "used\n")


def test_the_streams_are_what_libraries_expect(gateway):
    assert gateway.route("close").json() == "still here"
    assert gateway.printed(1) == "view\n<stdout> 1 False utf-8\n"
