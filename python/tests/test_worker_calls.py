"""The `json`, `job` and `pickle` forms."""

from __future__ import annotations

import base64
import pickle
from typing import Any

import cloudpickle
import pytest
from gateway import ERROR, RESULT

SOURCE = """
    import asyncio
    from tetra_rp import LiveServerless, remote

    gpu = LiveServerless(name="gpu")

    @remote(gpu)
    def add(a, b):
        return a + b

    @remote(gpu)
    async def clean(text: str, times: int = 1) -> str:
        return text.strip() * times

    @remote(gpu)
    def boom():
        raise ValueError("bad")

    @remote(gpu)
    def nothing():
        return None

    @remote(gpu)
    def later():
        return asyncio.sleep(0, "awaited")

    @remote(gpu)
    def lock():
        import threading
        return threading.Lock()

    @remote(gpu)
    def fill(array):
        array[0] = 7
        return array[0]

    @remote(gpu)
    class M:
        made = 0

        def __init__(self, factor: int = 1):
            M.made += 1
            self.factor = factor
            self.calls = 0

        def mul(self, x: int):
            self.calls += 1
            return self.factor * x

        async def state(self):
            return {"made": M.made, "calls": self.calls}

        def __call__(self):
            return "called"

    @remote(gpu)
    class Single:
        def __init__(self, greeting="hello"):
            self.greeting = greeting

        def greet(self, name: str):
            return f"{self.greeting} {name}"

        def _private(self):
            return "secret"
"""


def pickled(value: Any) -> str:
    return base64.b64encode(pickle.dumps(value, protocol=5)).decode()


def unpickled(text: str) -> Any:
    return pickle.loads(base64.b64decode(text))


def test_json(worker):
    gateway = worker(SOURCE, ["clean", "nothing", "later", {"name": "M", "is_class": True}, {"name": "Single", "is_class": True}])
    for header, body, expected in [
        ({"function": "clean"}, {"text": " a "}, "a"),
        ({"function": "clean"}, {"text": "a", "times": "3"}, "aaa"),
        ({"function": "nothing"}, b"", None),
        ({"function": "nothing"}, {}, None),
        ({"function": "later"}, {}, "awaited"),
        ({"function": "M", "method": "mul"}, {"x": 4}, 4),
        ({"function": "M", "method": "state"}, {}, {"made": 1, "calls": 1}),
        ({"function": "Single"}, {"name": "you"}, "hello you"),
    ]:
        answer = gateway.call({"form": "json", **header}, body)
        assert (answer.kind, answer.header, answer.json()) == (RESULT, {}, expected), header


def test_json_refusals(worker):
    gateway = worker(SOURCE, ["clean", {"name": "M", "is_class": True}, {"name": "Single", "is_class": True}])
    for header, body, code, status, words in [
        ({"function": "clean"}, {}, "FL318", 422, "text: Field required"),
        ({"function": "clean"}, {"test": "a"}, "FL318", 422, "did you mean 'text'?"),
        ({"function": "clean"}, {"text": "a", "times": []}, "FL318", 422, "times: Input should be a valid integer"),
        ({"function": "clean"}, [1], "FL318", 422, "object of keyword arguments"),
        ({"function": "clean"}, b"{", "FL311", 400, "not JSON"),
        ({"function": "clear"}, {}, "FL307", 404, "no function 'clear'"),
        ({"function": "M"}, {}, "FL318", 422, "which method of M to call: __call__, mul, state"),
        ({"function": "M", "method": "div"}, {}, "FL307", 404, "no public method 'div'"),
        ({"function": "Single", "method": "_private"}, {}, "FL307", 404, "no public method"),
    ]:
        answer = gateway.call({"form": "json", **header}, body)
        assert (answer.kind, answer.header["code"], answer.header["status"]) == (ERROR, code, status), header
        assert words in answer.header["message"]
        # No exception of user code, so no type that would be shown before the message.
        assert (answer.header["type"], answer.header["traceback"]) == ("", "")


def test_job_with_one_function(worker):
    gateway = worker(SOURCE, ["clean"])
    assert gateway.job({"text": " a "}).json() == "a"
    assert gateway.job({"text": "a", "times": 2}).json() == "aa"
    answer = gateway.job({"__empty": True})
    assert (answer.kind, answer.header["code"]) == (ERROR, "FL318")
    for given in (None, 3, "text", [1], True):
        answer = gateway.job(given)
        assert (answer.kind, answer.header["code"]) == (ERROR, "FL318")
        assert "a job's input is an object" in answer.header["message"]


def test_job_without_arguments(worker):
    gateway = worker(SOURCE, ["nothing"])
    assert gateway.job({"__empty": True}).json() is None
    assert gateway.job({}).json() is None
    assert gateway.job({"input": {}}).json() is None
    assert gateway.job({"input": {"x": 1}}).header["code"] == "FL318"


def test_job_with_an_argument_that_is_called_input(worker):
    gateway = worker("def size(input: dict):\n    return len(input)", [{"name": "size", "is_async": False}])
    assert gateway.job({"input": {}}).json() == 0


def test_job_that_raises_is_an_error(worker):
    gateway = worker(SOURCE, ["boom"])
    answer = gateway.job({})
    assert (answer.kind, answer.header["code"], answer.header["type"]) == (ERROR, "FL305", "ValueError")


def test_job_with_several_functions_names_one(worker):
    gateway = worker(SOURCE, ["clean", "nothing", {"name": "M", "is_class": True}])
    assert gateway.job({"function_name": "clean", "kwargs": {"text": " b "}}).json() == "b"
    assert gateway.job({"function_name": "nothing", "kwargs": {}}).json() is None
    assert gateway.job({"function_name": "M", "method": "mul", "kwargs": {"x": 2}}).json() == 2
    answer = gateway.job({"text": "a"})
    assert (answer.kind, answer.header["code"]) == (ERROR, "FL318")
    assert "clean, nothing, M" in answer.header["message"]
    assert answer.header["type"] == ""


def test_job_with_several_functions_takes_arguments_beside_the_name(worker):
    gateway = worker(SOURCE, ["clean", "nothing", {"name": "M", "is_class": True}])
    assert gateway.job({"function_name": "clean", "text": " b ", "times": 2}).json() == "bb"
    given = {"function_name": "M", "method": "mul", "constructor_kwargs": {"factor": 3}, "x": 2}
    assert gateway.job(given).json() == 6
    assert gateway.job({"function_name": "M", "method": "mul", "constructor_kwargs": {"factor": 4}, "kwargs": {"x": 2}}).json() == 8
    for given, words in [
        ({"function_name": "clean", "test": "b"}, "did you mean 'text'?"),
        ({"function_name": "clean", "text": "b", "kwargs": {"times": 2}}, "unexpected beside kwargs: 'text'"),
        ({"function_name": "clean", "method": "x", "kwargs": {"text": "b"}}, "unexpected beside kwargs: 'method'"),
        ({"function_name": "M", "method": "mul", "x": 1, "y": 2, "kwargs": {}}, "unexpected beside kwargs: 'x', 'y'"),
        ({"function_name": "clean", "kwargs": [1]}, "kwargs is an object"),
    ]:
        answer = gateway.job(given)
        assert (answer.kind, answer.header["code"], answer.header["status"]) == (ERROR, "FL318", 422), given
        assert words in answer.header["message"]


def test_job_for_a_class(worker):
    gateway = worker(SOURCE, [{"name": "M", "is_class": True}])
    assert gateway.job({"method": "mul", "x": 4}).json() == 4
    assert gateway.job({"method": "mul", "x": 4, "constructor_kwargs": {"factor": 3}}).json() == 12
    assert gateway.job({"method": "mul", "x": 5, "constructor_kwargs": {"factor": "3"}}).json() == 15
    assert gateway.job({"method": "state", "constructor_kwargs": {"factor": 3}}).json() == {"made": 2, "calls": 2}
    assert gateway.job({"method": "state"}).json() == {"made": 2, "calls": 1}


def test_job_for_a_class_with_one_public_method(worker):
    gateway = worker(SOURCE, [{"name": "Single", "is_class": True}])
    assert gateway.job({"name": "you"}).json() == "hello you"
    assert gateway.job({"method": "greet", "name": "me"}).json() == "hello me"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"function_name": "add", "args": ["gAVLAi4="], "kwargs": {"b": pickled(3)}}, 5),
        ({"function_name": "clean", "args": [pickled(" x ")]}, "x"),
        ({"function_name": "nothing", "args": []}, None),
        ({"function_name": "M", "execution_type": "class", "args": [pickled(2)], "method_name": "mul", "method_args": [pickled(21)]}, 42),
        ({"function_name": "M", "execution_type": "class", "args": [pickled(2)]}, "called"),
    ],
)  # fmt: skip
def test_the_references_envelope(worker, given, expected):
    gateway = worker(SOURCE, ["add", "clean", "nothing", "boom", {"name": "M", "is_class": True}])
    answer = gateway.job(given)
    assert (answer.kind, answer.header) == (RESULT, {})
    output = answer.json()
    assert output.keys() == {"success", "result"}
    assert output["success"] is True
    assert unpickled(output["result"]) == expected


def test_the_references_envelope_when_it_fails(worker):
    gateway = worker(SOURCE, ["add", {"name": "M", "is_class": True}, "boom", "lock"])
    assert gateway.job({"function_name": "nope"}).json() == {
        "success": False,
        "error": "Function 'nope' not found in registry. Available: ['add', 'M', 'boom', 'lock']",
        "traceback": "",
    }
    output = gateway.job({"function_name": "boom"}).json()
    assert (output["success"], output["error"]) == (False, "bad")
    assert output["traceback"].endswith("ValueError: bad\n")
    assert gateway.job({"function_name": "add", "args": ["gAV!"]}).json()["success"] is False
    assert gateway.job({"function_name": "add", "args": [pickled(1)]}).json()["success"] is False
    assert gateway.job({"function_name": "lock", "args": []}).json()["success"] is False


def test_plain_json_that_only_looks_like_base64_is_no_envelope(worker):
    gateway = worker(SOURCE, ["clean", "nothing"])
    assert gateway.job({"function_name": "clean", "kwargs": {"text": "abcd"}}).json() == "abcd"


def test_pickle(worker):
    gateway = worker(SOURCE, ["add", "boom", "lock", {"name": "M", "is_class": True}])
    assert gateway.pickle("add", 1, 2).value() == 3
    assert gateway.pickle("add", {1, 2}, kwargs={"b": {3}}).header["type"] == "TypeError"
    assert gateway.pickle("add", b"x" * 1_000_000, b"y").value() == b"x" * 1_000_000 + b"y"
    assert gateway.pickle("boom").header["code"] == "FL305"
    answer = gateway.pickle("lock")
    assert (answer.kind, answer.header["code"]) == (ERROR, "FL306")
    assert gateway.pickle("M", 3, method="mul", constructor_args=(5,)).value() == 15
    assert gateway.pickle("M", method="state", constructor_args=(5,)).value() == {"made": 1, "calls": 1}


def test_pickled_code_of_the_callers_main_travels(worker):
    gateway = worker(SOURCE, ["add"])
    scope: dict[str, Any] = {"__name__": "__main__"}
    exec("class Money(int):\n def __add__(self, other): return Money(int(self) + int(other))", scope)
    body = {"args": (scope["Money"](1), 2), "kwargs": {}}
    pickle_bytes = cloudpickle.dumps(body, protocol=5)
    frame = (1).to_bytes(4, "little") + len(pickle_bytes).to_bytes(8, "little") + pickle_bytes
    assert gateway.call({"form": "pickle", "function": "add"}, frame).value() == 3


def test_arrays_arrive_writable_in_buffers_of_their_own(worker):
    gateway = worker(SOURCE, ["fill"])
    for size in (16, 1_000_000):
        array = bytearray(size)
        document = {"args": (pickle.PickleBuffer(array),), "kwargs": {}}
        main_buffers: list[pickle.PickleBuffer] = []
        main = pickle.dumps(document, protocol=5, buffer_callback=main_buffers.append)
        assert len(main_buffers) == 1
        body = (2).to_bytes(4, "little") + len(main).to_bytes(8, "little") + size.to_bytes(8, "little") + main + array
        answer = gateway.call({"form": "pickle", "function": "fill"}, body)
        assert answer.value() == 7


def test_broken_pickles_are_refused(worker):
    gateway = worker(SOURCE, ["add"])
    good = (1).to_bytes(4, "little") + (4).to_bytes(8, "little") + pickle.dumps(None, protocol=2)
    for body in (b"", b"\x01", b"\x01\0\0\0" + b"\xff" * 8, b"\0\0\0\0", b"\xff\xff\xff\xff" + b"x" * 64, good):
        answer = gateway.call({"form": "pickle", "function": "add"}, body)
        assert (answer.kind, answer.header["code"], answer.header["status"]) == (ERROR, "FL311", 400), body
    assert gateway.pickle("add", 1, 2).value() == 3
