"""Frames: `u32 length, u8 kind, u32 call id, u32 header size, header, body`, little endian.

`length` counts the bytes after itself.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable
from typing import Any

Body = bytes | memoryview

START, READY, FAILED, CALL, RESULT, ERROR, CANCEL, STOP, PART, CREDIT = range(1, 11)
# Between the gateway and a template only.
UNSAFE, FORK, FORKED, REAP, REAPED = range(11, 16)

FRAME_SIZE_MAX_BYTES = 256 * 1024 * 1024
READ_SIZE_BYTES = 256 * 1024

# length, kind, call id, header size
_PREFIX = struct.Struct("<IBII")
PREFIX_SIZE_BYTES = _PREFIX.size
_LENGTH_SIZE_BYTES = 4
_AFTER_LENGTH_BYTES = PREFIX_SIZE_BYTES - _LENGTH_SIZE_BYTES

_pack = _PREFIX.pack
_unpack_from = _PREFIX.unpack_from


class ProtocolError(Exception):
    """The other side does not speak this protocol; there is no way to go on."""


class FrameTooLarge(Exception):
    """A frame that would be larger than the protocol allows."""


def prefix(kind: int, call_id: int, header_size: int, body_size: int) -> bytes:
    """The bytes before the header. Raises `FrameTooLarge`."""
    length = _AFTER_LENGTH_BYTES + header_size + body_size
    if length > FRAME_SIZE_MAX_BYTES:
        raise FrameTooLarge(f"{length} bytes do not fit in a frame; the limit is {FRAME_SIZE_MAX_BYTES} bytes")
    return _pack(length, kind, call_id, header_size)


def small(kind: int, call_id: int, header: bytes, body: bytes) -> bytes:
    """A whole frame as one byte string, for parts that are cheap to copy. Raises `FrameTooLarge`."""
    length = _AFTER_LENGTH_BYTES + len(header) + len(body)
    if length > FRAME_SIZE_MAX_BYTES:
        raise FrameTooLarge(f"{length} bytes do not fit in a frame; the limit is {FRAME_SIZE_MAX_BYTES} bytes")
    return _pack(length, kind, call_id, len(header)) + header + body


def ready_header() -> dict[str, Any]:
    """What READY says of the process, whatever else it says."""
    return {"pid": os.getpid(), "python": sys.version.split()[0]}


class FrameReader:
    """Turns what a socket delivers into frames.

    `space()` is the memory to receive into, `received(size, deliver)` says how much came. A body is `bytes` (a copy), or for
    a frame larger than the read buffer a writable `memoryview` of memory that is the frame's own.
    """

    def __init__(self) -> None:
        self._buffer = memoryview(bytearray(READ_SIZE_BYTES))
        self._start = 0
        self._end = 0
        self._large: memoryview | None = None
        self._large_filled = 0

    def space(self) -> memoryview:
        if self._large is not None:
            return self._large[self._large_filled :]
        return self._buffer[self._end :]

    def received(self, size: int, deliver: Callable[[int, int, bytes, Body], None]) -> None:
        """Calls `deliver(kind, call_id, header, body)` for each complete frame. Raises `ProtocolError`."""
        if self._large is not None:
            self._large_filled += size
            if self._large_filled < len(self._large):
                return
            frame, self._large = self._large, None
            _, kind, call_id, header_size = _unpack_from(frame)
            at = PREFIX_SIZE_BYTES + header_size
            deliver(kind, call_id, bytes(frame[PREFIX_SIZE_BYTES:at]), frame[at:])
            return

        buffer = self._buffer
        start = self._start
        end = self._end + size
        while end - start >= PREFIX_SIZE_BYTES:
            length, kind, call_id, header_size = _unpack_from(buffer, start)
            stop = start + _LENGTH_SIZE_BYTES + length
            header_at = start + PREFIX_SIZE_BYTES
            body_at = header_at + header_size
            if length > FRAME_SIZE_MAX_BYTES or body_at > stop:
                raise ProtocolError(f"impossible frame: length {length}, header size {header_size}")
            if stop > end:
                if stop - start > READ_SIZE_BYTES:
                    self._begin_large(buffer[start:end], stop - start)
                    start = end
                break
            deliver(kind, call_id, bytes(buffer[header_at:body_at]), bytes(buffer[body_at:stop]))
            start = stop

        if start == end:
            start = end = 0
        elif start:
            rest = bytes(buffer[start:end])
            end -= start
            buffer[:end] = rest
            start = 0
        self._start = start
        self._end = end

    def _begin_large(self, received: memoryview, size: int) -> None:
        self._large = memoryview(bytearray(size))
        self._large_filled = len(received)
        self._large[: len(received)] = received
