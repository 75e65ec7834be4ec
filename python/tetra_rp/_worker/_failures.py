"""Exceptions → the header of ERROR (and FAILED): `{"code", "status", "type", "message", "traceback"}`.

`type` is "" where no exception of user code is behind it; the message then stands alone.
"""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Mapping
from types import TracebackType

from tetra_rp._errors import RemoteExecutionError
from tetra_rp._worker._encoding import NotSerializable
from tetra_rp._worker._frames import FrameTooLarge

USER_EXCEPTION = "FL305"
NOT_SERIALIZABLE = "FL306"
UNKNOWN_FUNCTION = "FL307"
OVERLOADED = "FL309"
INVALID_BODY = "FL311"
INVALID_ARGUMENTS = "FL318"

# The status that HTTP servers note for a caller who went away; nobody reads the answer.
STATUS_CLIENT_GONE = 499

MESSAGE_LENGTH_MAX_CHARS = 64 * 1024
TRACEBACK_LENGTH_MAX_CHARS = 256 * 1024

_SHIM_FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class CallRefused(Exception):
    """The shim itself refuses a call; user code has not run."""

    def __init__(self, code: str, status: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.message = message


def error_header(error: BaseException) -> bytes:
    """The ERROR header for whatever a call ended with."""
    if isinstance(error, CallRefused):
        return _header(error.code, error.status, "", error.message, "")
    if isinstance(error, (NotSerializable, FrameTooLarge)):
        cause = error.__cause__ or error
        return _header(NOT_SERIALIZABLE, 500, type_name(type(cause)), message(error), "")
    return _header(USER_EXCEPTION, 500, type_name(type(error)), message(error), traceback_text(error))


def cancelled_header(error: BaseException) -> bytes:
    """The ERROR header for a call that ended because its caller went away."""
    return _header(USER_EXCEPTION, STATUS_CLIENT_GONE, type_name(type(error)), "the call was cancelled", "")


def failed_header(error: BaseException) -> bytes:
    """The FAILED header: the code cannot be loaded."""
    document = {
        "type": type_name(type(error)),
        "message": message(error),
        "traceback": traceback_text(error),
    }
    return _to_bytes(document)


def type_name(kind: type[BaseException]) -> str:
    """`ValueError`, or `package.module.Class`."""
    if kind.__module__ in ("builtins", "__main__"):
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def traceback_text(error: BaseException) -> str:
    """The traceback as Python prints it, less the shim's own frames at its top."""
    try:
        text = "".join(traceback.format_exception(type(error), error, _user_frames(error.__traceback__)))
    except Exception as broken:  # an exception whose __str__ raises, a broken __cause__
        text = f"{type_name(type(error))} (its traceback cannot be printed: {type(broken).__name__})\n"
    if len(text) > TRACEBACK_LENGTH_MAX_CHARS:
        text = "[…]\n" + text[-TRACEBACK_LENGTH_MAX_CHARS:]
    return text


def _user_frames(found: TracebackType | None) -> TracebackType | None:
    at = found
    while at is not None and at.tb_frame.f_code.co_filename.startswith(_SHIM_FOLDER):
        at = at.tb_next
    # All frames are the shim's: better to show them than nothing.
    return at or found


def message(error: BaseException) -> str:
    """What the exception says, in bounds."""
    if isinstance(error, RemoteExecutionError):
        return error.detail  # str() would put the remote traceback into a one-line message
    try:
        text = str(error)
    except Exception as broken:
        text = f"(its message cannot be made: {type(broken).__name__})"
    return text[:MESSAGE_LENGTH_MAX_CHARS]


def _header(code: str, status: int, kind: str, message: str, trace: str) -> bytes:
    return _to_bytes({"code": code, "status": status, "type": kind, "message": message, "traceback": trace})


def _to_bytes(document: Mapping[str, object]) -> bytes:
    # ASCII with escapes, so that lone surrogates in a message cannot break the answer.
    return json.dumps(document, separators=(",", ":")).encode()
