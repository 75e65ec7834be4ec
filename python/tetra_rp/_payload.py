"""The `pickle` form of arguments and results (docs/worker-protocol.md).

    u32 count, count × u64 size (little endian), then that many chunks:
    chunk 0 is a pickle (protocol 5), the others its out-of-band buffers in order.

Large buffers (numpy arrays, `pickle.PickleBuffer`) are never copied into the pickle.
"""

from __future__ import annotations

import pickle
import struct
from typing import Any

Buffer = bytes | bytearray | memoryview

PICKLE_PROTOCOL = 5
BUFFERS_COUNT_MAX = 65_536
LARGE_PIECE_SIZE_MIN_BYTES = 64 * 1024

_COUNT = struct.Struct("<I")


class InvalidPayload(ValueError):
    """The bytes are not of this form."""


def dump(value: Any) -> list[Buffer]:
    """`value` as byte pieces to be sent one after the other. Raises what pickling raises.

    Large values are pieces of their own and not copied; small ones are joined.
    """
    buffers: list[pickle.PickleBuffer] = []
    main = _dump_plain(value)
    if main is None:
        # Imported late: most calls carry plain data, and this import takes tens of milliseconds.
        import cloudpickle  # type: ignore[import-untyped]

        main = [cloudpickle.dumps(value, protocol=PICKLE_PROTOCOL, buffer_callback=buffers.append)]
    aside: list[Buffer] = []
    for buffer in buffers:
        try:
            aside.append(buffer.raw())
        except BufferError:  # not contiguous: the receiver gets the same bytes in C order
            aside.append(memoryview(buffer).tobytes())
    sizes = (sum(map(len, main)), *map(len, aside))
    return _join_small([struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes), *main, *aside])


def dump_bytes(value: Any) -> bytes:
    """`dump` as one byte string."""
    return b"".join(dump(value))


def _join_small(pieces: list[Buffer]) -> list[Buffer]:
    """The same bytes in fewer pieces: what is small costs less to copy than to send by itself."""
    joined: list[Buffer] = []
    small: list[Buffer] = []
    for piece in pieces:
        if len(piece) < LARGE_PIECE_SIZE_MIN_BYTES:
            small.append(piece)
            continue
        joined += (b"".join(small), piece)
        small = []
    joined.append(b"".join(small))
    return [piece for piece in joined if len(piece)]


def load(body: Buffer) -> Any:
    """The value in `body`. Raises `InvalidPayload`, or what unpickling raises."""
    if len(body) >= 12 and body[:4] == b"\x01\0\0\0":
        (size,) = struct.unpack_from("<Q", body, 4)
        if size != len(body) - 12:
            raise InvalidPayload("sizes and length do not agree")
        return pickle.loads(memoryview(body)[12:])
    chunks = _chunks(memoryview(body))
    return pickle.loads(chunks[0], buffers=[_writable(chunk) for chunk in chunks[1:]])


def _chunks(body: memoryview) -> list[memoryview]:
    if len(body) < _COUNT.size:
        raise InvalidPayload("too short")
    (count,) = _COUNT.unpack_from(body)
    at = _COUNT.size + 8 * count
    if not 1 <= count <= BUFFERS_COUNT_MAX or at > len(body):
        raise InvalidPayload(f"impossible number of chunks: {count}")
    sizes = struct.unpack_from(f"<{count}Q", body, _COUNT.size)
    if at + sum(sizes) != len(body):
        raise InvalidPayload("sizes and length do not agree")
    chunks = []
    for size in sizes:
        chunks.append(body[at : at + size])
        at += size
    return chunks


def _writable(chunk: memoryview) -> Buffer:
    # A receiver may change its own arrays in place; the pickle itself marks the ones that were read-only.
    return bytearray(chunk) if chunk.readonly else chunk


class _NotPlain(Exception):
    """The value holds something beyond the built-in data types."""


class _PlainPickler(pickle.Pickler):
    """Pickles built-in data in C and gives up at anything else, which cloudpickle then takes.

    The standard pickler would write functions and classes of `__main__` by name, and the worker has another `__main__`.
    """

    def reducer_override(self, value: Any) -> Any:
        raise _NotPlain


class _Pieces(list[bytes]):
    """A file for the pickler, which hands over large `bytes` as they are."""

    def write(self, data: Any) -> int:
        # What is no `bytes` may be changed by its owner before it is sent.
        self.append(data if type(data) is bytes else bytes(data))
        return len(data)


def _dump_plain(value: Any) -> list[Buffer] | None:
    target = _Pieces()
    try:
        _PlainPickler(target, PICKLE_PROTOCOL).dump(value)
    except _NotPlain:
        return None
    return list(target)
