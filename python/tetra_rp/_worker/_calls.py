"""The four forms of CALL: header and body → which user code runs with which arguments."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from tetra_rp import _payload
from tetra_rp._worker import _binding, _envelope, _replies
from tetra_rp._worker._binding import Unprocessable
from tetra_rp._worker._channel import Channel
from tetra_rp._worker._execute import Executor, Reply
from tetra_rp._worker._failures import (
    INVALID_ARGUMENTS,
    INVALID_BODY,
    OVERLOADED,
    UNKNOWN_FUNCTION,
    CallRefused,
)
from tetra_rp._worker._frames import Body
from tetra_rp._worker._instances import Instances
from tetra_rp._worker._load import Method, Target

# Calls of one route share their header's bytes; what was worked out for them is kept.
PREPARED_MAX = 1024
PREPARED_HEADER_SIZE_MAX_BYTES = 1024

# What a job for a class says beside the method's arguments.
_CLASS_KEYS = frozenset(("method", "constructor_kwargs"))

Prepared = Callable[[int, Body], None]
"""Runs one call: call id, body. May raise `CallRefused` and `Unprocessable`."""


class Calls:
    """Belongs to the main loop's thread."""

    def __init__(
        self, targets: dict[str, Target], executor: Executor, instances: Instances, channel: Channel
    ) -> None:
        self._targets = targets
        self._executor = executor
        self._instances = instances
        self._channel = channel
        self._prepared: dict[bytes, Prepared] = {}
        self.stopping = False

    def call(self, call_id: int, header: bytes, body: Body) -> None:
        """Starts the call that a frame asks for; whatever happens, it is answered once."""
        try:
            if self.stopping:
                raise CallRefused(OVERLOADED, 503, "the worker is stopping")
            run = self._prepared.get(header)
            if run is None:
                run = self._prepare(header)
            run(call_id, body)
        except Unprocessable as mismatch:
            refused = CallRefused(INVALID_ARGUMENTS, 422, f"the arguments do not fit: {mismatch}")
            self._channel.send_pieces(_replies.JSON.error(call_id, refused))
        except BaseException as error:
            self._channel.send_pieces(_replies.JSON.error(call_id, error))

    def _prepare(self, header: bytes) -> Prepared:
        try:
            document = json.loads(header) if header else {}
        except ValueError as error:
            raise CallRefused(INVALID_BODY, 400, f"the call's header is not JSON: {error}") from None
        form = document.get("form")
        if form == "route":
            run = self._route(document)
        elif form == "json":
            run = self._json(document)
        elif form == "job":
            run = self._job
        elif form == "pickle":
            run = self._pickle(document)
        else:
            raise CallRefused(INVALID_BODY, 400, f"unknown form of call {form!r}")
        if len(header) <= PREPARED_HEADER_SIZE_MAX_BYTES:
            if len(self._prepared) >= PREPARED_MAX:
                self._prepared.clear()
            self._prepared[header] = run
        return run

    def _route(self, document: dict[str, Any]) -> Prepared:
        target = self._target(document.get("function"))
        method = self._method(target, None)
        content_type = document.get("content_type", "")
        query = [(name, text) for name, text in document.get("query", ())]
        route = method.binding.route(target.http_method, document.get("path", {}), query)
        start = self._starter(target, method, _replies.ROUTE)
        bind = route.bind

        def run(call_id: int, body: Body) -> None:
            try:
                arguments = bind(body, content_type)
            except Unprocessable as mismatch:
                self._channel.send_pieces(_replies.document(call_id, 422, mismatch.document()))
                return
            start(call_id, (), arguments)

        return run

    def _json(self, document: dict[str, Any]) -> Prepared:
        target = self._target(document.get("function"))
        method = self._method(target, document.get("method"))
        start = self._starter(target, method, _replies.JSON)

        def run(call_id: int, body: Body) -> None:
            start(call_id, (), method.binding.keywords(_read(body)))

        return run

    def _pickle(self, document: dict[str, Any]) -> Prepared:
        target = self._target(document.get("function"))

        def run(call_id: int, body: Body) -> None:
            try:
                argument = _payload.load(body)
                args, kwargs = tuple(argument["args"]), dict(argument["kwargs"])
            except Exception as error:
                raise CallRefused(
                    INVALID_BODY, 400, f"the arguments cannot be unpickled: {type(error).__name__}: {error}"
                ) from error
            method = self._method(target, argument.get("method"))
            made_with = (tuple(argument.get("constructor_args", ())), dict(argument.get("constructor_kwargs", {})))
            self._start(call_id, target, method, args, kwargs, _replies.PICKLE, made_with, by_keyword=False)

        return run

    def _job(self, call_id: int, body: Body) -> None:
        given = _read(body)
        if not isinstance(given, dict):
            raise CallRefused(INVALID_ARGUMENTS, 422, f"a job's input is an object, not {_json_name(given)}")
        envelope = _envelope.recognise(given)
        if envelope is not None and not self._expects_keyword("function_name"):
            self._run_envelope(call_id, envelope)
            return
        if given == {"__empty": True}:
            given = {}
        target = self._only()
        if target is None:
            target = self._target(given.get("function_name"))
            given = _named_arguments(given, target)
        made_with: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
        method_name = None
        if target.is_class:
            assert target.constructor is not None
            given = dict(given)
            if given.get("method") in target.methods or target.sole_method is None:
                method_name = given.pop("method", None)
            if "constructor_kwargs" in given:
                made_with = ((), target.constructor.keywords(given.pop("constructor_kwargs")))
        method = self._method(target, method_name)
        self._start(call_id, target, method, (), method.binding.keywords(given), _replies.JSON, made_with)

    def _run_envelope(self, call_id: int, envelope: _envelope.Envelope) -> None:
        try:
            target = self._targets.get(envelope.function_name)
            if target is None:
                names = list(self._targets)
                raise CallRefused(
                    UNKNOWN_FUNCTION, 404,
                    f"Function '{envelope.function_name}' not found in registry. Available: {names}",
                )
            args, kwargs = _envelope.decode(envelope.args, envelope.kwargs)
            made_with: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
            method_name = None
            if target.is_class:
                made_with = (args, kwargs)
                args, kwargs = _envelope.decode(envelope.method_args, envelope.method_kwargs)
                method_name = envelope.method_name
            method = self._method(target, method_name)
        except Exception as error:
            self._channel.send_pieces(_replies.ENVELOPE.error(call_id, error))
            return
        self._start(call_id, target, method, args, kwargs, _replies.ENVELOPE, made_with, by_keyword=False)

    def _starter(
        self, target: Target, method: Method, reply: Reply
    ) -> Callable[[int, tuple[Any, ...], dict[str, Any]], None]:
        """`_start` for calls that name no constructor arguments; for plain functions without its decisions."""
        if not target.is_class:
            begin = self._executor.call_async if method.is_async else self._executor.call_sync
            function = method.call
            return lambda call_id, args, kwargs: begin(call_id, function, args, kwargs, reply)
        return lambda call_id, args, kwargs: self._start(call_id, target, method, args, kwargs, reply, ((), {}))

    def _start(
        self,
        call_id: int,
        target: Target,
        method: Method,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        reply: Reply,
        made_with: tuple[tuple[Any, ...], dict[str, Any]],
        *,
        by_keyword: bool = True,
    ) -> None:
        begin = self._executor.call_async if method.is_async else self._executor.call_sync
        if not target.is_class:
            function = method.call if by_keyword else target.original
            begin(call_id, function, args, kwargs, reply)
            return
        instance = self._instances.ready(target.name, *made_with)
        if instance is not None:
            begin(call_id, _bound(instance, method, by_keyword), args, kwargs, reply)
            return

        async def construct_and_call() -> Any:
            made = await self._instances.get(target.name, target.original, *made_with)
            function = _bound(made, method, by_keyword)
            if method.is_async:
                return await function(*args, **kwargs)
            result = await self._executor.on_sync_thread(lambda: function(*args, **kwargs))
            return await result if asyncio.iscoroutine(result) else result

        self._executor.call_async(call_id, construct_and_call, (), {}, reply)

    def _target(self, name: Any) -> Target:
        target = self._targets.get(name) if isinstance(name, str) else None
        if target is None:
            known = ", ".join(self._targets) or "none"
            if name is None:
                raise CallRefused(
                    INVALID_ARGUMENTS, 422, f"the input must name one of several functions as function_name: {known}"
                )
            raise CallRefused(UNKNOWN_FUNCTION, 404, f"no function {name!r} in this resource; it has: {known}")
        return target

    def _method(self, target: Target, name: str | None) -> Method:
        """The function itself, or the class's method of that name (the sole public one if there is no name)."""
        if target.method is not None:
            return target.method
        wanted = target.sole_method if name is None else name
        method = target.methods.get(wanted) if isinstance(wanted, str) else None
        if method is None:
            known = ", ".join(target.methods) or "none"
            if name is None:
                raise CallRefused(INVALID_ARGUMENTS, 422, f"say which method of {target.name} to call: {known}")
            raise CallRefused(UNKNOWN_FUNCTION, 404, f"{target.name} has no public method {name!r}; it has: {known}")
        return method

    def _only(self) -> Target | None:
        return next(iter(self._targets.values())) if len(self._targets) == 1 else None

    def _expects_keyword(self, name: str) -> bool:
        only = self._only()
        return only is not None and only.method is not None and name in only.method.binding.names


def _bound(instance: Any, method: Method, by_keyword: bool) -> Callable[..., Any]:
    function = getattr(instance, method.name)
    if by_keyword and method.binding.positional_only:
        from tetra_rp._worker._load import by_keyword as adapt

        return adapt(function, method.binding)
    return function  # type: ignore[no-any-return]


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


def _read(body: Body) -> Any:
    try:
        return _binding.loads(body) if body else {}
    except ValueError as error:
        raise CallRefused(INVALID_BODY, 400, f"the input is not JSON: {error}") from None


def _json_name(value: Any) -> str:
    if value is None:
        return "null"
    return {bool: "a boolean", int: "a number", float: "a number", str: "text", list: "an array"}[type(value)]


