"""The `execute` form: source of a function that runs as one call."""

from __future__ import annotations

import base64
import importlib.metadata
import pickle
from typing import Any

import pytest
from gateway import ERROR, RESULT

from tetra_rp._worker import _output, _requirements

NOTHING = """
    def unused():
        pass
"""


def pickled(value: Any) -> str:
    return base64.b64encode(pickle.dumps(value, protocol=5)).decode()


def execute(gateway: Any, code: str, *args: Any, **more: Any) -> Any:
    request = {"function_name": "f", "function_code": code, "args": [pickled(arg) for arg in args], **more}
    return gateway.call({"form": "execute"}, request)


def test_result_and_what_was_printed(worker):
    gateway = worker(NOTHING, ["unused"])
    code = "import sys\ndef f(x):\n    print('out')\n    print('err', file=sys.stderr)\n    return [x]\n"
    answer = execute(gateway, code, 3)
    document = answer.json()
    assert (answer.kind, document["success"], document["stdout"]) == (RESULT, True, "out\nerr\n")
    assert pickle.loads(base64.b64decode(document["result"])) == [3]


def test_each_call_has_a_namespace_of_its_own(worker):
    gateway = worker(NOTHING, ["unused"])
    assert execute(gateway, "kept = 1\ndef f(): return kept\n").json()["success"] is True
    answer = execute(gateway, "def f(): return kept\n").json()
    assert answer["success"] is False
    assert "name 'kept' is not defined" in answer["error"]
    assert "Traceback" in answer["error"]


def test_system_exit_does_not_end_the_worker(worker):
    gateway = worker(NOTHING, ["unused"])
    assert execute(gateway, "def f(): raise SystemExit(3)\n").json()["success"] is False
    assert execute(gateway, "def f(): return 1\n").json()["success"] is True


def test_what_is_no_request_is_refused(worker):
    gateway = worker(NOTHING, ["unused"])
    for body, status in [([], 400), ({"function_name": "f"}, 422), ({"function_name": 1, "function_code": "x"}, 422)]:
        answer = gateway.call({"form": "execute"}, body)
        assert (answer.kind, answer.header["status"]) == (ERROR, status)


def test_captured_text_is_bounded():
    capture = _output.Capture()
    capture.add(b"a" * _output.CAPTURED_SIZE_MAX_BYTES)
    assert capture.text().endswith("a")
    capture.add(b"b")
    assert len(capture.text()) == _output.CAPTURED_SIZE_MAX_BYTES + len("[…]")


@pytest.mark.parametrize(
    ("requirement", "is_met"),
    [
        ("thing", True),
        ("thing==1.10", True),
        ("thing[extra]>=1.9,<2", True),
        ("thing (>=1.9)", True),
        ("thing>1.10", False),
        ("thing!=1.10.0", False),
        ("thing==1.1", False),
        ("thing~=9.0", True),  # not a comparison of plain numbers
        ("thing @ https://example.org/thing.whl", True),
        ("other", False),
        ("--option", False),
    ],
)
def test_requirements(monkeypatch, requirement, is_met):
    def version(name: str) -> str:
        if name != "thing":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.10.0"

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert (_requirements.missing([requirement]) == []) is is_met


def test_system_packages(tmp_path):
    status = tmp_path / "status"
    status.write_text(
        "Package: here\nStatus: install ok installed\n\nPackage: gone\nStatus: deinstall ok config-files\n"
    )
    assert _requirements.missing_system(["here", "gone", "never"], status) == ["gone", "never"]
    assert _requirements.missing_system(["here"], tmp_path / "absent") == ["here"]
