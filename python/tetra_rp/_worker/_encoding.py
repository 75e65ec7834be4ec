"""Results → JSON text, strictly: what JSON cannot hold is an error that says what it was and what to do."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import types
import uuid
from collections.abc import Callable
from pathlib import PurePath
from typing import Any


_GENERATORS = (types.GeneratorType, types.AsyncGeneratorType)
_NO_STREAMS = "it is a generator, and streamed results are not supported here; return a list"


class NotSerializable(Exception):
    """The value cannot be written in the form that was asked for (FL306)."""


def to_json(value: Any) -> bytes:
    """UTF-8 JSON without spaces. Raises `NotSerializable`."""
    try:
        try:
            return _encode(value).encode()
        except TypeError as error:
            if not str(error).startswith("keys must be"):
                raise
            return _encode(_with_plain_keys(value)).encode()
    except (TypeError, ValueError, RecursionError) as error:
        # UnicodeEncodeError (a lone surrogate) is a ValueError.
        raise NotSerializable(_explain(value, error)) from error


def refuse_generator(value: Any) -> None:
    """Pickling would only say that it cannot. Raises `NotSerializable`."""
    if isinstance(value, _GENERATORS):
        raise NotSerializable(f"the result ({type(value).__name__}) cannot be sent: {_NO_STREAMS}")


def _default(value: Any) -> Any:
    """Called by the encoder for everything that is not a JSON type by itself."""
    dump = getattr(value, "model_dump", None)
    if dump is not None and not isinstance(value, type):
        return dump(mode="json", by_alias=True)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (uuid.UUID, PurePath)):
        return str(value)
    if isinstance(value, decimal.Decimal):
        return str(value)
    if isinstance(value, (set, frozenset)):
        return list(value)
    if type(value).__module__.partition(".")[0] == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(_refusal(value))


def _with_plain_keys(value: Any) -> Any:
    """Keys such as UUIDs and dates as their texts. Raises `TypeError`."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, dict):
        return {_plain_key(key): _with_plain_keys(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_plain_keys(item) for item in value]
    return _with_plain_keys(_default(value))


def _plain_key(key: Any) -> Any:
    if key is None or isinstance(key, (str, int, float)):
        return key
    plain = None if isinstance(key, tuple) else _default(key)
    if not isinstance(plain, (str, int, float)):
        raise TypeError(f"keys must be texts, not {type(key).__name__}")
    return plain


def _refusal(value: Any) -> str:
    kind = type(value)
    if isinstance(value, _GENERATORS):
        return _NO_STREAMS
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"it holds {kind.__name__}; return base64 text, or decode it"
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    if hasattr(value, "tolist"):
        return f"it holds an object of type {name}; return its .tolist()"
    return f"it holds an object of type {name}, which JSON has no form for"


def _explain(value: Any, error: Exception) -> str:
    reason = str(error)
    if isinstance(error, RecursionError):
        reason = "it is nested too deeply, or contains itself"
    elif isinstance(error, UnicodeEncodeError):
        reason = "it holds text with lone surrogates"
    elif reason.startswith("Out of range float"):
        reason = "it holds NaN or an infinity, which JSON has no form for"
    elif reason.startswith("keys must be"):
        reason = f"{reason[:1].lower()}{reason[1:]}: JSON has text keys only"
    return f"the result ({type(value).__name__}) cannot be written as JSON: {reason}"


def _make_encoder() -> Callable[[Any], str]:
    accelerated = json.encoder.c_make_encoder  # type: ignore[attr-defined]
    if accelerated is None:  # no C accelerator in this Python
        return json.JSONEncoder(
            separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False, default=_default
        ).encode
    # JSONEncoder.encode makes this object anew for every value, which costs more than encoding a small one.
    # No table of open containers: a cycle ends in RecursionError, and nothing is shared between threads.
    write = accelerated(
        None, _default, json.encoder.encode_basestring, None, ":", ",", False, False, False
    )

    def encode(value: Any) -> str:
        return "".join(write(value, 0))

    return encode


_encode = _make_encoder()
