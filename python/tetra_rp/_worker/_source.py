"""The reference's `/execute` request: a function's source and its arguments as base64 pickles (REFERENCE §5.5, §9.3).

Fields that are null count as absent.
"""

from __future__ import annotations

import base64
import binascii
import pickle
from collections.abc import Sequence
from typing import Any, NamedTuple

from tetra_rp._payload import Buffer
from tetra_rp._worker import _envelope, _failures, _output, _replies, _requirements
from tetra_rp._worker._failures import INVALID_ARGUMENTS, INVALID_BODY, CallRefused

# What the code sees as `__name__`. No module has the name, so that cloudpickle sends what the code defines by value.
_MODULE_NAME = "__flash_execute__"


class Request(NamedTuple):
    """Arguments are pickles that nobody has opened yet."""

    function_name: str
    function_code: str
    args: list[bytes]
    kwargs: dict[str, bytes]
    dependencies: list[str]
    system_dependencies: list[str]


class NotRun(Exception):
    """Why no user code has run; the message says it all."""


def read(given: Any) -> Request:
    """Raises `CallRefused` for what is not such a request."""
    if isinstance(given, dict) and given.keys() == {"input"}:
        given = given["input"]
    if not isinstance(given, dict):
        raise CallRefused(INVALID_BODY, 400, "a request to /execute is a JSON object")
    if given.get("execution_type", "function") != "function":
        raise CallRefused(
            INVALID_ARGUMENTS, 422, "/execute runs functions only; a class belongs on a queue endpoint"
        )
    given = {key: value for key, value in given.items() if value is not None}
    args, kwargs = given.get("args", []), given.get("kwargs", {})
    if not isinstance(args, list) or not isinstance(kwargs, dict):
        raise CallRefused(INVALID_ARGUMENTS, 422, "args is an array and kwargs an object of base64 pickles")
    return Request(
        _text(given, "function_name"),
        _text(given, "function_code"),
        [_bytes(f"args[{index}]", value) for index, value in enumerate(args)],
        {name: _bytes(f"kwargs.{name}", value) for name, value in kwargs.items()},
        _texts(given, "dependencies"),
        _texts(given, "system_dependencies"),
    )


class Execution:
    """One such call, as function and reply of the executor's."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._printed = _output.Capture()

    def run(self) -> Any:
        """What the function gives, which may be an awaitable. On the sync thread: the code may block as it is defined."""
        _output.capture.set(self._printed)
        request = self._request
        _require_installed(request)
        namespace: dict[str, Any] = {"__name__": _MODULE_NAME}
        exec(compile(request.function_code, "<function_code>", "exec"), namespace)
        function = namespace.get(request.function_name)
        if not callable(function):
            raise NotRun(f"the code defines no function {request.function_name!r}")
        args = [pickle.loads(value) for value in request.args]
        kwargs = {name: pickle.loads(value) for name, value in request.kwargs.items()}
        return function(*args, **kwargs)

    def result(self, call_id: int, value: Any) -> Sequence[Buffer]:
        return self._document(call_id, {"success": True, "result": _envelope.encode(value)})

    def error(self, call_id: int, error: BaseException) -> Sequence[Buffer]:
        text = _failures.message(error)
        if not isinstance(error, NotRun):
            text = f"{text}\n{_failures.traceback_text(error)}"
        return self._document(call_id, {"success": False, "error": text})

    def cancelled(self, call_id: int, error: BaseException) -> Sequence[Buffer]:
        return _replies.JSON.cancelled(call_id, error)

    def _document(self, call_id: int, document: dict[str, Any]) -> Sequence[Buffer]:
        return _replies.document(call_id, None, {**document, "stdout": self._printed.text()})


def _require_installed(request: Request) -> None:
    lacks = []
    if missing := _requirements.missing(request.dependencies):
        lacks.append(
            f"not installed in this environment: {', '.join(missing)}. Name them in @remote(dependencies=[…]) "
            "so that `flash run` installs them"
        )
    if missing := _requirements.missing_system(request.system_dependencies):
        lacks.append(f"system packages not installed on this machine: {', '.join(missing)}. Install them there")
    if lacks:
        raise NotRun("; ".join(lacks))


def _text(given: dict[str, Any], key: str) -> str:
    value = given.get(key)
    if not isinstance(value, str) or not value.strip():
        raise CallRefused(INVALID_ARGUMENTS, 422, f"{key} must be text that is not empty")
    return value


def _texts(given: dict[str, Any], key: str) -> list[str]:
    value = given.get(key, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise CallRefused(INVALID_ARGUMENTS, 422, f"{key} must be an array of texts")
    return value


def _bytes(where: str, value: Any) -> bytes:
    if not isinstance(value, str):
        raise CallRefused(INVALID_ARGUMENTS, 422, f"{where} is not base64 text")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise CallRefused(INVALID_ARGUMENTS, 422, f"{where} is not base64: {error}") from None
