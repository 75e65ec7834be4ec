"""Calls that user code makes to functions of other resources: frames to the gateway, which knows where everybody is."""

from __future__ import annotations

import asyncio
import concurrent.futures
import itertools
import json
import threading
from typing import Any, Union

from tetra_rp import _errors, _payload, _trace
from tetra_rp._worker import _frames
from tetra_rp._worker._channel import Channel
from tetra_rp._worker._frames import Body

_Waiter = Union["asyncio.Future[Any]", "concurrent.futures.Future[Any]"]


class WorkerTransport:
    """May be used from any thread and any event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, channel: Channel) -> None:
        self._loop = loop
        self._channel = channel
        self._main_thread = threading.get_ident()
        self._ids = itertools.count(1)
        self._waiting: dict[int, _Waiter] = {}

    async def call(self, function: str, argument: dict[str, Any]) -> Any:
        """The value that `function` returns elsewhere. Raises the `CallError` that it is answered with."""
        header = _trace.join(json.dumps({"form": "pickle", "function": function}, separators=(",", ":")).encode())
        pieces = _payload.dump(argument)
        call_id = next(self._ids)
        prefix = _frames.prefix(_frames.CALL, call_id, len(header), sum(map(len, pieces)))
        frame = [prefix, header, *pieces]
        if asyncio.get_running_loop() is self._loop:
            own: asyncio.Future[Any] = self._loop.create_future()
            answer = await self._exchange(call_id, own, own, frame, on_main=True)
        else:
            foreign: concurrent.futures.Future[Any] = concurrent.futures.Future()
            answer = await self._exchange(call_id, foreign, asyncio.wrap_future(foreign), frame, on_main=False)
        kind, document, body = answer
        if kind == _frames.RESULT:
            return _payload.load(body)
        raise _error(document)

    async def _exchange(
        self, call_id: int, waiter: _Waiter, future: asyncio.Future[Any], frame: list[_payload.Buffer], *, on_main: bool
    ) -> Any:
        self._waiting[call_id] = waiter
        try:
            if on_main:
                self._channel.send_pieces(frame)
            else:
                self._channel.send_now(frame)
            return await future
        finally:
            self._waiting.pop(call_id, None)

    def answered(self, kind: int, call_id: int, header: bytes, body: Body) -> None:
        """RESULT or ERROR came in; main thread."""
        waiter = self._waiting.pop(call_id, None)
        if waiter is None:
            return  # the caller has stopped waiting
        document = json.loads(header) if header else {}
        if isinstance(waiter, concurrent.futures.Future):
            if waiter.set_running_or_notify_cancel():
                waiter.set_result((kind, document, body))
        elif not waiter.done():
            waiter.set_result((kind, document, body))


def _error(document: dict[str, Any]) -> _errors.CallError:
    return _errors.from_answer(
        document.get("code", ""),
        document.get("status", 500),
        document.get("message", "the call failed"),
        hint=document.get("hint"),
        exception=document,
    )
