"""Results that come piece by piece: a generator's items → PART frames, no more of them than the gateway has asked for."""

from __future__ import annotations

import asyncio
import contextvars
import types
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from tetra_rp._payload import Buffer
from tetra_rp._worker import _encoding, _frames
from tetra_rp._worker._channel import Channel
from tetra_rp._worker._encoding import NotSerializable

# PARTs that a worker may send before the first CREDIT, and so those that are ever under way for one call.
PARTS_MAX = 16
PART_SIZE_MAX_BYTES = 64 * 1024

_CREDIT_SIZE_BYTES = 4

_TEXT = "text/plain; charset=utf-8"
_BYTES = "application/octet-stream"
_LINES = "application/jsonl"

Items = Iterator[Any] | AsyncIterator[Any]
RunOnSyncThread = Callable[[Callable[[], Any]], "asyncio.Future[Any]"]


class Stream:
    """A result to be sent as it comes. Without a `head` the first item decides about it and about how items are written."""

    __slots__ = ("encode", "head", "items")

    def __init__(self, items: Items, head: bytes | None = None, encode: Callable[[Any], bytes] | None = None) -> None:
        self.items = items
        self.head = head
        self.encode = encode or (_plain if head is not None else None)


def lines(items: Items) -> Stream:
    """Each item is a line of JSON, whatever the first one is."""
    return Stream(items, _head(_LINES), _line)


def is_generator(value: Any) -> bool:
    return isinstance(value, (types.GeneratorType, types.AsyncGeneratorType))


def credit_of(body: bytes | memoryview) -> int:
    """How many PARTs more a CREDIT allows."""
    if len(body) != _CREDIT_SIZE_BYTES:
        raise _frames.ProtocolError(f"a CREDIT of {len(body)} bytes")
    return int.from_bytes(body, "little")


class Streaming:
    """One stream on its way. All but the steps of a sync generator happens on the main loop's thread."""

    def __init__(self, call_id: int, stream: Stream, loop: asyncio.AbstractEventLoop, channel: Channel) -> None:
        self._call_id = call_id
        self._items = stream.items
        self._head = stream.head
        self._encode = stream.encode
        self._loop = loop
        self._is_async = hasattr(self._items, "__anext__")
        # From the sync thread frames leave at once; none of the same stream may wait behind them.
        self._send: Callable[[Sequence[Buffer]], None] = channel.send_pieces if self._is_async else channel.send_now
        self._pending: deque[bytes] = deque()
        # Each is written by one side only: granted by the main loop, used by whoever pulls.
        self._granted = PARTS_MAX
        self._used = 0
        self._more: asyncio.Future[None] | None = None
        self._stopped = False

    def grant(self, count: int) -> None:
        self._granted += count
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    async def run(self, on_sync_thread: RunOnSyncThread, is_busy: Callable[[], bool]) -> Sequence[Buffer]:
        """Sends all items; gives the frame that ends the answer. The generator is closed whatever happens."""
        if self._head is not None:
            self._pending.append(b"")
            self._push()
        if self._is_async:
            await self._pull_async()
        else:
            await self._pull_sync(on_sync_thread, is_busy)
        while self._pending:
            await self._credit()
            self._push()
        # Nothing was sent if there was nothing: then the end is all there is to say.
        header = _head(_LINES) if self._head is None else b""
        return (_frames.small(_frames.RESULT, self._call_id, header, b""),)

    async def _pull_async(self) -> None:
        items: Any = self._items
        try:
            async for item in items:
                self._take(item)
                self._push()
                while self._pending:
                    await self._credit()
                    self._push()
        finally:
            close = getattr(items, "aclose", None)
            if close is not None:
                await close()

    async def _pull_sync(self, on_sync_thread: RunOnSyncThread, is_busy: Callable[[], bool]) -> None:
        items: Any = self._items
        # One context for all steps: what the generator sets in a context variable it finds again.
        context = contextvars.copy_context()

        def step() -> bool:
            while not self._stopped:
                try:
                    item = next(items)
                except StopIteration:
                    return True
                self._take(item)
                self._push()
                # Nobody waits on the thread: other calls have their turn between two items.
                if self._pending or is_busy():
                    return False
            return True

        try:
            while not await on_sync_thread(lambda: context.run(step)):
                while self._pending:
                    await self._credit()
                    self._push()
        finally:
            self._stopped = True
            close = getattr(items, "close", None)
            if close is not None:
                await on_sync_thread(lambda: context.run(close))

    def _take(self, item: Any) -> None:
        """An item, encoded, to what is to be sent."""
        encode = self._encode
        if encode is None:
            encode, kind = _form_of(item)
            body = encode(item)
            self._encode, self._head = encode, _head(kind)
            if not body:
                self._pending.append(b"")
        else:
            body = encode(item)
        if len(body) <= PART_SIZE_MAX_BYTES:
            if body:
                self._pending.append(body)
        else:
            for at in range(0, len(body), PART_SIZE_MAX_BYTES):
                self._pending.append(body[at : at + PART_SIZE_MAX_BYTES])

    def _push(self) -> None:
        """Sends as many of the pending parts as there is credit for."""
        while self._pending and self._used < self._granted:
            header = (self._head or b"") if self._used == 0 else b""
            self._used += 1
            self._send((_frames.small(_frames.PART, self._call_id, header, self._pending.popleft()),))

    async def _credit(self) -> None:
        if self._used < self._granted:
            return
        self._more = self._loop.create_future()
        await self._more


def _form_of(first: Any) -> tuple[Callable[[Any], bytes], str]:
    """Text and bytes go as they are; anything else is JSON, one value a line."""
    if isinstance(first, str):
        return _plain, _TEXT
    if isinstance(first, (bytes, bytearray, memoryview)):
        return _plain, _BYTES
    return _line, _LINES


def _plain(item: Any) -> bytes:
    if isinstance(item, str):
        try:
            return item.encode()
        except UnicodeEncodeError:
            raise NotSerializable("an item of the stream is text with lone surrogates") from None
    if isinstance(item, (bytes, bytearray, memoryview)):
        return bytes(item)
    raise NotSerializable(f"a stream of text or bytes cannot hold an item of type {type(item).__name__}")


def _line(item: Any) -> bytes:
    return _encoding.to_json(item) + b"\n"


def _head(content_type: str) -> bytes:
    return b'{"content_type":"%s"}' % content_type.encode()
