"""A job's input → which function runs with which arguments: plain JSON, or the reference's envelope."""

from __future__ import annotations

from typing import Any, NamedTuple

from tetra_rp._worker import _envelope, _targets
from tetra_rp._worker._failures import INVALID_ARGUMENTS, UNKNOWN_FUNCTION, CallRefused
from tetra_rp._worker._load import Method, Target
from tetra_rp._worker._targets import Targets

# What runpod's client makes of `{"input": {}}`, which it takes for an input that was not wrapped yet.
_WRAPPED_TWICE: dict[str, Any] = {"input": {}}

# What a job for a class says beside the method's arguments.
_CLASS_KEYS = frozenset(("method", "constructor_kwargs"))

_JSON_NAMES = {bool: "a boolean", int: "a number", float: "a number", str: "text", list: "an array"}


class Job(NamedTuple):
    """`made_with` are the constructor's arguments if the target is a class."""

    target: Target
    method: Method
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    made_with: tuple[tuple[Any, ...], dict[str, Any]]


def recognise(targets: Targets, given: Any) -> _envelope.Envelope | None:
    """`given` as an envelope, if it is one. Raises `CallRefused` for what cannot be a job's input at all."""
    if not isinstance(given, dict):
        shown = "null" if given is None else _JSON_NAMES.get(type(given), type(given).__name__)
        raise CallRefused(INVALID_ARGUMENTS, 422, f"a job's input is an object, not {shown}")
    envelope = _envelope.recognise(given)
    only = _targets.only(targets)
    if only is not None and only.method is not None and "function_name" in only.method.binding.names:
        return None  # it is an argument
    return envelope


def read(targets: Targets, given: dict[str, Any]) -> Job:
    """A job in plain JSON. Raises `CallRefused` and `Unprocessable`."""
    if given == {"__empty": True}:
        given = {}
    target = _targets.only(targets)
    if target is None:
        target = _targets.find(targets, given.get("function_name"))
        given = _named_arguments(given, target)
    elif given == _WRAPPED_TWICE and target.method is not None and "input" not in target.method.binding.names:
        given = {}
    made_with: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
    method_name = None
    if target.is_class:
        assert target.constructor is not None
        given = dict(given)
        if given.get("method") in target.methods or target.sole_method is None:
            method_name = given.pop("method", None)
        if "constructor_kwargs" in given:
            made_with = ((), target.constructor.keywords(given.pop("constructor_kwargs")))
    method = _targets.find_method(target, method_name)
    return Job(target, method, (), method.binding.keywords(given), made_with)


def open_envelope(targets: Targets, envelope: _envelope.Envelope) -> Job:
    """Raises `CallRefused`, and what base64 or unpickling raise."""
    target = targets.get(envelope.function_name)
    if target is None:
        raise CallRefused(
            UNKNOWN_FUNCTION,
            404,
            f"Function '{envelope.function_name}' not found in registry. Available: {list(targets)}",
        )
    args, kwargs = _envelope.decode(envelope.args, envelope.kwargs)
    made_with: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
    method_name = None
    if target.is_class:
        made_with = (args, kwargs)
        args, kwargs = _envelope.decode(envelope.method_args, envelope.method_kwargs)
        method_name = envelope.method_name
    return Job(target, _targets.find_method(target, method_name), args, kwargs, made_with)


def _named_arguments(given: dict[str, Any], target: Target) -> dict[str, Any]:
    """A job's input that names its function → what it would be if that were the only one.

    The arguments are those under `kwargs`, or without it all the other keys. Raises `CallRefused`.
    """
    rest = {key: value for key, value in given.items() if key != "function_name"}
    if "kwargs" not in rest:
        return rest
    arguments = rest.pop("kwargs")
    if not isinstance(arguments, dict):
        raise CallRefused(INVALID_ARGUMENTS, 422, "a job's kwargs is an object of keyword arguments")
    unexpected = [key for key in rest if not (target.is_class and key in _CLASS_KEYS)]
    if unexpected:
        names = ", ".join(map(repr, unexpected))
        raise CallRefused(
            INVALID_ARGUMENTS, 422, f"unexpected beside kwargs: {names}; arguments belong either all into kwargs or all beside it"
        )
    return {**rest, **arguments}
