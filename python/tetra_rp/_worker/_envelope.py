"""The reference's job: function name and arguments as base64 pickles, the result likewise (REFERENCE §5.2).

Its answers are always COMPLETED jobs whose output says whether it went well.
"""

from __future__ import annotations

import base64
import binascii
import pickle
from typing import Any, NamedTuple

from tetra_rp import _payload
from tetra_rp._worker import _encoding

_KEYS = frozenset(
    ("function_name", "execution_type", "args", "kwargs", "method_name", "method_args", "method_kwargs")
)
# Base64 of the byte 0x80, with which every pickle of protocol 2 and later begins, and of the bits after it.
_PICKLE_BASE64_START = "gA"


class Envelope(NamedTuple):
    """Arguments still in base64."""

    function_name: str
    is_class: bool
    args: list[str]
    kwargs: dict[str, str]
    method_name: str
    method_args: list[str]
    method_kwargs: dict[str, str]


def recognise(given: dict[str, Any]) -> Envelope | None:
    """`given` as an envelope, or None: plain JSON that merely has a `function_name` is not one."""
    name = given.get("function_name")
    if not isinstance(name, str) or not given.keys() <= _KEYS:
        return None
    args, kwargs = given.get("args", []), given.get("kwargs", {})
    method_args, method_kwargs = given.get("method_args", []), given.get("method_kwargs", {})
    if not isinstance(args, list) or not isinstance(method_args, list):
        return None
    if not isinstance(kwargs, dict) or not isinstance(method_kwargs, dict):
        return None
    values = [*args, *kwargs.values(), *method_args, *method_kwargs.values()]
    if not all(isinstance(value, str) and value.startswith(_PICKLE_BASE64_START) for value in values):
        return None
    if not values and "kwargs" in given and not given.keys() & {"args", "execution_type"}:
        return None  # `{"function_name": …, "kwargs": {}}` is the plain form of a call without arguments
    return Envelope(
        name,
        given.get("execution_type") == "class",
        args,
        kwargs,
        str(given.get("method_name", "__call__")),
        method_args,
        method_kwargs,
    )


def decode(args: list[str], kwargs: dict[str, str]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Raises what base64 or unpickling raise."""
    return tuple(map(_value, args)), {name: _value(text) for name, text in kwargs.items()}


def encode(value: Any) -> str:
    """Raises what pickling raises, and `NotSerializable`."""
    _encoding.refuse_generator(value)
    import cloudpickle  # type: ignore[import-untyped]

    return base64.b64encode(cloudpickle.dumps(value, protocol=_payload.PICKLE_PROTOCOL)).decode()


def _value(text: str) -> Any:
    try:
        return pickle.loads(base64.b64decode(text, validate=True))
    except binascii.Error as error:
        raise ValueError(f"an argument is not base64: {error}") from None
