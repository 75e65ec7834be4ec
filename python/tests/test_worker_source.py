"""Functions that come as source (`/execute`)."""

from __future__ import annotations

import base64
import pickle
from typing import Any

import cloudpickle
import pytest
from gateway import ERROR, RESULT

from tetra_rp._worker import _source
from tetra_rp._worker._failures import CallRefused

SOURCE = """
    from tetra_rp import LiveLoadBalancer, remote

    api = LiveLoadBalancer(name="api")

    @remote(api, method="POST", path="/quick")
    def quick():
        return "quick"
"""


def pickled(value: Any) -> str:
    return base64.b64encode(cloudpickle.dumps(value)).decode()


def request(code: str, *args: Any, **more: Any) -> dict[str, Any]:
    return {"function_name": "f", "function_code": code, "args": [pickled(value) for value in args], **more}


def test_code_is_run_and_nothing_of_it_is_left(worker):
    gateway = worker(SOURCE, ["quick"])
    for code in ["left = 3\ndef f(x):\n    return x + left", "left = 3\nasync def f(x):\n    return x + left"]:
        answer = gateway.call({"form": "source"}, request(code, 4))
        assert (answer.kind, answer.json()["success"]) == (RESULT, True), answer
        assert pickle.loads(base64.b64decode(answer.json()["result"])) == 7
    failed = gateway.call({"form": "source"}, request("def f():\n    return left")).json()
    assert (failed["success"], failed["error"]) == (False, "name 'left' is not defined")
    assert "NameError" in failed["traceback"]
    assert gateway.route("quick").json() == "quick"


def test_what_is_no_function_is_refused(worker):
    answer = worker(SOURCE, ["quick"]).call({"form": "source"}, {"function_name": "f"})
    assert (answer.kind, answer.header["status"], answer.header["code"]) == (ERROR, 400, "FL311")


@pytest.mark.parametrize("given", [None, [], {}, request(""), request("x", kwargs=3), request("x", args=[3]), request("x", dependencies="a")])
def test_requests_that_are_none(given):
    with pytest.raises(CallRefused):
        _source.read(given)


def test_a_request_may_lack_what_it_does_not_need():
    assert _source.read({"input": {"function_name": "f", "function_code": "c", "args": None}}) == ("f", "c", [], {}, [])


def test_what_is_not_installed_is_named():
    missing = request("def f(): pass", dependencies=["cloudpickle>=1", "Cloud_Pickle_", "no-such-thing[extra]==1", "!"])
    with pytest.raises(ModuleNotFoundError, match=r"^not installed in this endpoint: Cloud_Pickle_, no-such-thing\[extra\]==1, !\. Name"):
        _source.read(missing).run()
