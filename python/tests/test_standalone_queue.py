"""Generated queue handlers: the reference's golden rows, plain JSON, and the start under runpod's loop."""

from __future__ import annotations

import asyncio
import base64
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import cloudpickle
import pytest
from standalone import Artifact, forget_modules

import tetra_rp
from tetra_rp import _context, _standalone
from tetra_rp._worker._load import LoadError

SDK = Path(tetra_rp.__file__).resolve().parent.parent

SOURCE = """
    import asyncio, threading
    from tetra_rp import Endpoint, LiveServerless, remote

    mine = LiveServerless(name="mine")
    other = Endpoint(name="other")

    @remote(mine)
    def add(a: int, b: int) -> int:
        return a + b

    @remote(mine)
    async def later(text: str = "hi") -> str:
        await asyncio.sleep(0)
        return f"{text} {await add(1, 2)}"

    @remote(mine)
    class M:
        made = 0

        def __init__(self, factor: int = 1):
            type(self).made += 1
            self.factor = factor

        def mul(self, x: int) -> int:
            return self.factor * x

        async def count(self) -> int:
            return self.made

        def __call__(self) -> str:
            return f"called {self.factor}"

    @remote(mine)
    def boom():
        raise ValueError("bad")

    @remote(mine)
    async def ask() -> int:
        return await elsewhere(3)

    @other
    def elsewhere(x: int) -> int: ...

    @remote(mine)
    def leave():
        raise SystemExit("bye")

    @remote(mine)
    def stop():
        raise StopIteration(1)

    @remote(mine)
    async def through_proxy() -> int:
        return await M(5).mul(2)

    @remote(mine)
    def lock():
        return threading.Lock()

    @remote(mine)
    def counts():
        yield 1

    @remote(mine)
    async def later_counts():
        yield 1
"""
FUNCTIONS = ["add", {"name": "M", "is_class": True}, "boom", "later", "ask", "leave", "stop", "through_proxy", "lock"]
FUNCTIONS += ["counts", "later_counts"]
# Bytes of appendix E.3.
TWO, FIVE, NONE = "gAVLAi4=", "gAVLBS4=", "gAVOLg=="


def b64(value: Any) -> str:
    return base64.b64encode(cloudpickle.dumps(value, protocol=5)).decode()


@pytest.fixture
def artifact(project, client_context, monkeypatch):
    """Makes an artifact and forgets all that its handler did to this process."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("FLASH_RESOURCE_NAME", "")
    made: list[Path] = []

    def make(source: str, functions: list[Any], **options: Any) -> Artifact:
        root = project(source, **options.pop("files", {}))
        made.append(root)
        return Artifact(root, functions, **options)

    yield make
    for root in made:
        forget_modules(root)


@pytest.fixture
def handler(artifact):
    return artifact(SOURCE, FUNCTIONS).load().handler


def test_generators_are_refused_in_both_forms_with_what_to_do(handler):
    for name in ("counts", "later_counts"):
        for form in ({}, {"args": []}):
            answer = handler({"input": {"function_name": name, **form}})
            assert answer["success"] is False and answer["traceback"] == ""
            assert "streamed results are not supported here; return a list" in answer["error"]


def test_golden_rows(handler):
    def row(given: Any) -> Any:
        return handler({"input": given})

    added = row({"function_name": "add", "args": [TWO], "kwargs": {"b": b64(3)}})
    assert added.keys() == {"success", "result"} and added["success"] is True
    assert pickle.loads(base64.b64decode(added["result"])) == 5 == pickle.loads(base64.b64decode(FIVE))
    as_class = {"function_name": "M", "execution_type": "class", "args": [TWO]}
    multiplied = row({**as_class, "method_name": "mul", "method_args": [b64(21)]})
    assert pickle.loads(base64.b64decode(multiplied["result"])) == 42
    assert pickle.loads(base64.b64decode(row(as_class)["result"])) == "called 2"
    assert row({"function_name": "nope", "args": []}) == {
        "success": False,
        "error": f"Function 'nope' not found in registry. Available: {[f if isinstance(f, str) else f['name'] for f in FUNCTIONS]}",
        "traceback": "",
    }
    failed = row({"function_name": "boom", "args": []})
    assert failed["success"] is False and failed["error"] == "bad"
    assert failed["traceback"].startswith("Traceback (most recent call last):\n")
    assert failed["traceback"].endswith("ValueError: bad\n")
    nameless = row({})
    assert nameless.keys() == {"success", "error", "traceback"}
    assert (nameless["success"], nameless["traceback"]) == (False, "") and "add, M, boom" in nameless["error"]
    with pytest.raises(ValueError, match="has no input"):
        row(None)
    with pytest.raises(ValueError, match="has no input"):
        handler({"id": "1"})


def test_tracebacks_begin_with_the_users_code(handler):
    trace = handler({"input": {"function_name": "boom"}})["traceback"]
    assert trace.splitlines()[1].strip().startswith("File") and "main.py" in trace.splitlines()[1]


def test_coroutines_are_awaited_and_own_functions_run_here(handler):
    answer = handler({"input": {"function_name": "later", "args": [b64("ho")]}})
    assert pickle.loads(base64.b64decode(answer["result"])) == "ho 3"
    assert handler({"input": {"function_name": "later", "kwargs": {}}}) == "hi 3"
    assert os.environ["FLASH_RESOURCE_NAME"] == "mine"


def test_plain_json(handler):
    def call(name: str, **kwargs: Any) -> Any:
        return handler({"input": {"function_name": name, "kwargs": kwargs}})

    assert call("add", a=1, b="2") == 3
    assert handler({"input": {"function_name": "add", "a": 1, "b": 2}}) == 3
    assert call("add", a=1) == {"success": False, "error": "the arguments do not fit: b: Field required", "traceback": ""}
    assert call("M", x=2) == {"success": False, "error": "say which method of M to call: __call__, count, mul", "traceback": ""}
    assert handler({"input": {"function_name": "M", "method": "mul", "x": 2}}) == 2
    assert handler({"input": {"function_name": "M", "method": "mul", "x": 2, "constructor_kwargs": {"factor": 4}}}) == 8
    failed = call("boom")
    assert failed["error"] == "bad" and "ValueError: bad" in failed["traceback"]
    assert call("leave")["error"] == "bye"
    assert "StopIteration" in call("stop")["error"]
    assert "cannot be written as JSON" in call("lock")["error"]
    assert handler({"input": "text"}) == {"success": False, "error": "a job's input is an object, not text", "traceback": ""}


def test_one_object_for_each_constructor_arguments(handler):
    def call(method: str, **rest: Any) -> Any:
        return handler({"input": {"function_name": "M", "method": method, **rest}})

    for _ in range(3):
        assert call("mul", x=1) == 1
        assert call("mul", x=1, constructor_kwargs={"factor": 5}) == 5
    assert handler({"input": {"function_name": "through_proxy", "kwargs": {}}}) == 10  # made from positional arguments
    assert call("count") == 3


def test_a_resource_with_one_function_takes_its_arguments_as_they_are(artifact):
    handler = artifact("def one(x: int = 7):\n    return {'x': x, 'nothing': None}", ["one"]).load().handler
    for given, expected in [({"x": "3"}, 3), ({}, 7), ({"__empty": True}, 7)]:
        assert handler({"input": given}) == {"x": expected, "nothing": None}


def test_inside_an_event_loop_it_is_awaited(handler):
    async def several() -> list[Any]:
        jobs = [{"input": {"function_name": "add", "a": number, "b": 1}} for number in range(20)]
        return list(await asyncio.gather(*map(handler, jobs)))

    assert asyncio.run(several()) == list(range(1, 21))


def test_functions_of_other_resources_are_called_over_the_network(handler):
    class Recording:
        calls: list[Any] = []

        async def call(self, function: str, argument: dict[str, Any]) -> Any:
            self.calls.append((function, argument))
            return "far"

    assert isinstance(_context.current().transport, tetra_rp._transport.HttpTransport)
    assert _context.current().resource == "mine"
    _context.current().transport = Recording()
    assert handler({"input": {"function_name": "ask", "kwargs": {}}}) == "far"
    assert Recording.calls == [("elsewhere", {"args": (3,), "kwargs": {}})]


def test_code_that_cannot_be_imported_is_told_in_the_output(artifact):
    handler = artifact("import nothing_of_that_name\ndef f(): ...", ["f"]).load().handler
    for given in ({}, {"function_name": "f", "args": []}):
        answer = handler({"input": given})
        assert answer["success"] is False
        assert answer["error"] == "No module named 'nothing_of_that_name'"
        assert 'main.py", line 1' in answer["traceback"]
    handler = artifact("x = 1", ["f"]).load().handler
    assert "has no f once imported" in handler({"input": {}})["error"]


def test_modules_of_nested_projects_and_of_src(artifact):
    handler = artifact(
        "",
        [
            {"name": "f", "module": "01_app.worker", "file": "01_app/worker.py"},
            {"name": "g", "module": "package.more", "file": "src/package/more.py"},
        ],
        files={
            "01_app/worker.py": "from sibling import three\ndef f():\n    return three",
            "01_app/sibling.py": "three = 3",
            "src/package/more.py": "def g():\n    return 4",
        },
    ).load().handler
    assert handler({"input": {"function_name": "f", "kwargs": {}}}) == 3
    assert handler({"input": {"function_name": "g", "kwargs": {}}}) == 4


def test_a_folder_that_is_no_artifact(tmp_path, artifact):
    with pytest.raises(LoadError, match="cannot read the manifest"):
        _standalone.queue_handler(tmp_path, "mine")
    (tmp_path / "flash_manifest.json").write_text("{")
    with pytest.raises(LoadError, match="is not JSON"):
        _standalone.queue_handler(tmp_path, "mine")
    (tmp_path / "flash_manifest.json").write_text("[]")
    with pytest.raises(LoadError, match="is not a manifest"):
        _standalone.queue_handler(tmp_path, "mine")
    made = artifact("def f(): ...", ["f"])
    with pytest.raises(LoadError, match="has no resource 'other'; it has: mine"):
        _standalone.queue_handler(made.root, "other")


RUNPOD = """
import asyncio, json, sys

class serverless:
    @staticmethod
    def start(settings):
        modifier = settings.get("concurrency_modifier")
        async def loop():
            outputs = [await settings["handler"]({"id": str(n), "input": {"x": n}}) for n in range(3)]
            print(json.dumps({"outputs": outputs, "concurrency": modifier and modifier(1)}))
        asyncio.run(loop())
"""


def start(artifact: Artifact, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", str(artifact.file)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(SDK), **environment},
    )


@pytest.mark.parametrize(("spec", "concurrency"), [({}, "null"), ({"maxConcurrency": 4}, "4")])
def test_serving_hands_the_handler_to_runpod(artifact, spec, concurrency):
    source = "async def f(x: int):\n    return x * 2"
    done = start(artifact(source, ["f"], files={"runpod.py": RUNPOD}, **spec))
    assert done.stdout == f'{{"outputs": [0, 2, 4], "concurrency": {concurrency}}}\n', done.stderr


def test_serving_without_runpod_says_what_to_install(artifact):
    done = start(artifact("def f(): ...", ["f"]))
    assert done.returncode == 1
    assert done.stderr.startswith("error: taking jobs of a queue endpoint needs the package runpod")
    assert "hint: pip install runpod, or add runpod to the project's requirements.txt" in done.stderr


def test_a_runpod_that_lacks_something_is_not_said_to_be_missing(artifact):
    done = start(artifact("def f(): ...", ["f"], files={"runpod.py": "import something_else"}))
    assert "No module named 'something_else'" in done.stderr and "pip install runpod" not in done.stderr


def test_serving_code_that_cannot_be_imported_ends_with_its_traceback(artifact):
    done = start(artifact("import nothing_of_that_name", ["f"], files={"runpod.py": RUNPOD}))
    assert done.returncode == 1 and "ModuleNotFoundError: No module named 'nothing_of_that_name'" in done.stderr
    assert done.stdout == ""
