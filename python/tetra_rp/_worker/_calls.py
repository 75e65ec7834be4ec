"""The five forms of CALL: header and body → which user code runs with which arguments."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

from tetra_rp import _payload, _trace
from tetra_rp._worker import _binding, _jobs, _replies, _streams, _targets
from tetra_rp._worker._binding import Unprocessable
from tetra_rp._worker._channel import Channel
from tetra_rp._worker._execute import Executor, Reply
from tetra_rp._worker._failures import (
    INVALID_ARGUMENTS,
    INVALID_BODY,
    OVERLOADED,
    CallRefused,
)
from tetra_rp._worker._frames import Body
from tetra_rp._worker._instances import Instances
from tetra_rp._worker._load import Method, Target
from tetra_rp._worker._targets import Targets

# Calls of one route share their header's bytes; what was worked out for them is kept.
PREPARED_MAX = 1024
PREPARED_HEADER_SIZE_MAX_BYTES = 1024

Prepared = Callable[[int, Body], None]
"""Runs one call: call id, body. May raise `CallRefused` and `Unprocessable`."""


class Calls:
    """Belongs to the main loop's thread."""

    def __init__(
        self, targets: Targets, executor: Executor, instances: Instances, channel: Channel
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
                header, trace = _trace.split(header)
                run = self._prepared.get(header) or self._prepare(header)
                if trace is not None:
                    _trace.run(trace, run, call_id, body)
                    return
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
        elif form == "execute":
            run = self._execute
        else:
            raise CallRefused(INVALID_BODY, 400, f"unknown form of call {form!r}")
        if len(header) <= PREPARED_HEADER_SIZE_MAX_BYTES and "request" not in document:
            if len(self._prepared) >= PREPARED_MAX:
                self._prepared.clear()
            self._prepared[header] = run
        return run

    def _route(self, document: dict[str, Any]) -> Prepared:
        target = _targets.find(self._targets, document.get("function"))
        method = _targets.find_method(target, None)
        content_type = document.get("content_type", "")
        query = [(name, text) for name, text in document.get("query", ())]
        route = method.binding.route(target.http_method, document.get("path", {}), query, document.get("request"))
        start = self._starter(target, method, _replies.ROUTE)
        bind = route.binder()

        def run(call_id: int, body: Body) -> None:
            try:
                arguments = bind(body, content_type)
            except Unprocessable as mismatch:
                self._channel.send_pieces(_replies.document(call_id, 422, mismatch.document()))
                return
            start(call_id, (), arguments)

        return run

    def _json(self, document: dict[str, Any]) -> Prepared:
        target = _targets.find(self._targets, document.get("function"))
        method = _targets.find_method(target, document.get("method"))
        start = self._starter(target, method, _replies.JSON)

        def run(call_id: int, body: Body) -> None:
            start(call_id, (), method.binding.keywords(_read(body)))

        return run

    def _pickle(self, document: dict[str, Any]) -> Prepared:
        target = _targets.find(self._targets, document.get("function"))

        def run(call_id: int, body: Body) -> None:
            try:
                argument = _payload.load(body)
                args, kwargs = tuple(argument["args"]), dict(argument["kwargs"])
            except Exception as error:
                raise CallRefused(
                    INVALID_BODY, 400, f"the arguments cannot be unpickled: {type(error).__name__}: {error}"
                ) from error
            method = _targets.find_method(target, argument.get("method"))
            made_with = (tuple(argument.get("constructor_args", ())), dict(argument.get("constructor_kwargs", {})))
            self._start(call_id, target, method, args, kwargs, _replies.PICKLE, made_with, by_keyword=False)

        return run

    def _job(self, call_id: int, body: Body) -> None:
        given = _read(body)
        envelope = _jobs.recognise(self._targets, given)
        if envelope is None:
            job = _jobs.read(self._targets, given)
            self._start(call_id, *job[:4], _replies.JOB, job.made_with)
            return
        try:
            job = _jobs.open_envelope(self._targets, envelope)
        except Exception as error:
            self._channel.send_pieces(_replies.ENVELOPE.error(call_id, error))
            return
        self._start(call_id, *job[:4], _replies.ENVELOPE, job.made_with, by_keyword=False)

    def _execute(self, call_id: int, body: Body) -> None:
        from tetra_rp._worker import _source  # few endpoints are asked for it

        execution = _source.Execution(_source.read(_read(body)))
        self._executor.call_sync(call_id, execution.run, (), {}, execution)

    def _starter(
        self, target: Target, method: Method, reply: Reply
    ) -> Callable[[int, tuple[Any, ...], dict[str, Any]], None]:
        """`_start` for calls that name no constructor arguments; for plain functions without its decisions."""
        if not target.is_class:
            begin, function = self._begin(method), method.call
            return lambda call_id, args, kwargs: begin(call_id, function, args, kwargs, reply)
        return lambda call_id, args, kwargs: self._start(call_id, target, method, args, kwargs, reply, ((), {}))

    def _begin(self, method: Method) -> Callable[[int, Callable[..., Any], tuple[Any, ...], dict[str, Any], Reply], None]:
        """How its calls are run."""
        if method.never_waits:
            return self._executor.call_at_once
        return self._executor.call_async if method.is_async else self._executor.call_sync

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
        begin = self._begin(method)
        if not target.is_class:
            function = method.call if by_keyword else target.original
            begin(call_id, function, args, kwargs, reply)
            return
        instance = self._instances.ready(target.name, *made_with)
        if instance is not None:
            begin(call_id, _targets.bound(instance, method, by_keyword=by_keyword), args, kwargs, reply)
            return

        async def construct_and_call() -> Any:
            made = await self._instances.get(target.name, target.original, *made_with)
            function = _targets.bound(made, method, by_keyword=by_keyword)
            if method.is_async:
                result = function(*args, **kwargs)
                return result if _streams.is_generator(result) else await result
            result = await self._executor.on_sync_thread(lambda: function(*args, **kwargs))
            return await result if inspect.iscoroutine(result) else result

        self._executor.call_async(call_id, construct_and_call, (), {}, reply)


def _read(body: Body) -> Any:
    try:
        return _binding.loads(body) if body else {}
    except ValueError as error:
        raise CallRefused(INVALID_BODY, 400, f"the input is not JSON: {error}") from None
