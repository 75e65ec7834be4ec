"""Frames, pickles and JSON text as bytes."""

from __future__ import annotations

import array
import dataclasses
import datetime
import decimal
import enum
import pickle
import struct
import uuid
from pathlib import PurePosixPath
from types import SimpleNamespace

import pydantic
import pytest

from tetra_rp import _errors, _payload
from tetra_rp._worker import _encoding, _failures, _frames
from tetra_rp._worker._frames import READ_SIZE_BYTES, FrameReader, ProtocolError


def frame(kind: int, call_id: int, header: bytes, body: bytes) -> bytes:
    return struct.pack("<IBII", 9 + len(header) + len(body), kind, call_id, len(header)) + header + body


def read(stream: bytes, step: int) -> list[tuple[int, int, bytes, bytes]]:
    """What a reader makes of `stream`, when no more than `step` bytes arrive at a time."""
    reader, found, at = FrameReader(), [], 0
    while at < len(stream):
        space = reader.space()
        size = min(step, len(space), len(stream) - at)
        assert size > 0
        space[:size] = stream[at : at + size]
        reader.received(size, lambda kind, call_id, header, body: found.append((kind, call_id, header, bytes(body))))
        at += size
    return found


FRAMES = [
    (4, 1, b'{"form":"job"}', b"{}"),
    (8, 0, b"", b""),
    (4, 2, b"", b"x" * (READ_SIZE_BYTES + 5)),
    (5, 2**32 - 1, b"h" * 300, b""),
    (4, 3, b"{}", b"y" * (READ_SIZE_BYTES - 15)),
    (4, 4, b"{}", b"z" * 100),
]


@pytest.mark.parametrize("step", [1, 7, 13, 4096, READ_SIZE_BYTES])
def test_frames_come_out_however_the_bytes_arrive(step):
    frames = FRAMES if step > 1 else [each for each in FRAMES if len(each[3]) < 1000]
    assert read(b"".join(frame(*each) for each in frames), step) == frames


def test_frames_are_written_as_they_are_read():
    assert _frames.small(5, 7, b"h", b"body") == frame(5, 7, b"h", b"body")
    assert _frames.prefix(5, 7, 1, 4) + b"hbody" == frame(5, 7, b"h", b"body")
    with pytest.raises(_frames.FrameTooLarge):
        _frames.prefix(5, 7, 0, _frames.FRAME_SIZE_MAX_BYTES)


@pytest.mark.parametrize("head", [struct.pack("<IBII", 2**32 - 1, 4, 1, 0), struct.pack("<IBII", 9, 4, 1, 1)])
def test_impossible_frames_are_refused(head):
    with pytest.raises(ProtocolError):
        read(head, 13)


class Own:
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Own)

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    "value",
    [None, 1, 1.5, "ü", b"\x00", [1, (2,)], {"a": {1, 2}}, datetime.date(2026, 1, 2), Own(), {"args": (1,), "kwargs": {}}],
    ids=str,
)
def test_pickles_come_back(value):
    assert _payload.load(_payload.dump_bytes(value)) == value


def test_recursive_values_and_shared_objects_stay_so():
    inner = [1]
    value = [inner, inner]
    value.append(value)
    found = _payload.load(_payload.dump_bytes(value))
    assert found[0] is found[1] and found[2] is found


def test_functions_travel_by_value_where_needed():
    number = 3
    assert _payload.load(_payload.dump_bytes(lambda x: x + number))(4) == 7


def test_large_buffers_are_not_copied_into_the_pickle():
    data = bytearray(b"x" * 1_000_000)
    small, large = _payload.dump([Buffered(data)])
    assert struct.unpack_from("<I", small) == (2,)
    assert len(small) < 1000 and large.obj is data
    pieces = [small, large]
    (found,) = _payload.load(b"".join(pieces))
    assert found.data == data
    assert not memoryview(found.data).readonly


def test_large_bytes_are_sent_as_they_are_and_what_may_change_is_copied():
    fixed, changing = b"x" * 1_000_000, bytearray(b"y" * 1_000_000)
    pieces = _payload.dump({"fixed": fixed, "changing": changing, "small": [1, 2]})
    assert any(piece is fixed for piece in pieces)
    changing[:] = b"z" * 1_000_000
    found = _payload.load(b"".join(pieces))
    assert found == {"fixed": fixed, "changing": bytearray(b"y" * 1_000_000), "small": [1, 2]}
    assert all(len(piece) >= _payload.LARGE_PIECE_SIZE_MIN_BYTES for piece in pieces[1:-1:2])


class Buffered:
    def __init__(self, data: bytearray) -> None:
        self.data = data

    def __reduce_ex__(self, protocol: int):
        return Buffered, (pickle.PickleBuffer(self.data),)


@pytest.mark.parametrize("body", [b"", b"\0\0\0\0", b"\1\0\0\0", b"\2\0\0\0" + bytes(16), b"\1\0\0\0\5" + bytes(7)])
def test_broken_payloads_are_refused(body):
    with pytest.raises((_payload.InvalidPayload, EOFError)):
        _payload.load(body)


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    when: datetime.date


class Model(pydantic.BaseModel):
    x: int
    when: datetime.date


DAY = datetime.date(2026, 1, 2)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (3, "3"),
        ("ü\n", '"ü\\n"'),
        ({"a": [1, 2.5, True], "b": (1,)}, '{"a":[1,2.5,true],"b":[1]}'),
        ({1: 2, None: 3}, '{"1":2,"null":3}'),
        (Model(x=1, when=DAY), '{"x":1,"when":"2026-01-02"}'),
        ([Model(x=1, when=DAY)], '[{"x":1,"when":"2026-01-02"}]'),
        (Point(1, DAY), '{"x":1,"when":"2026-01-02"}'),
        (datetime.datetime(2026, 1, 2, 3, 4), '"2026-01-02T03:04:00"'),
        (datetime.timedelta(seconds=1.5), "1.5"),
        (uuid.UUID(int=1), '"00000000-0000-0000-0000-000000000001"'),
        (decimal.Decimal("1.10"), '"1.10"'),
        (Colour.RED, '"red"'),
        (PurePosixPath("/a/b"), '"/a/b"'),
        ({3}, "[3]"),
    ],
    ids=str,
)
def test_json(value, text):
    assert _encoding.to_json(value).decode() == text


def cycle() -> list[object]:
    value: list[object] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), "NaN or an infinity"),
        ([float("inf")], "NaN or an infinity"),
        (object(), "an object of type object"),
        (SimpleNamespace(), "an object of type types.SimpleNamespace"),
        (b"x", "it holds bytes; return base64 text"),
        ((number for number in ()), "streamed results are not supported here"),
        ({(1, 2): 3}, "JSON has text keys only"),
        (cycle(), "contains itself"),
        ("\ud800", "lone surrogates"),
        (array.array("i", [1]), "return its .tolist()"),
    ],
    ids=str,
)
def test_what_json_cannot_hold(value, words):
    with pytest.raises(_encoding.NotSerializable) as raised:
        _encoding.to_json(value)
    assert words in str(raised.value)
    assert _encoding.to_json([1]) == b"[1]"


class Rude(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_errors_of_errors_are_contained():
    header = _failures.error_header(Rude())
    assert b"Rude" in header and b"its message cannot be made: RuntimeError" in header
    assert b"\\ud800" in _failures.error_header(ValueError("\ud800"))


def test_call_errors_survive_pickling():
    error = _errors.RemoteExecutionError("bad", remote_type="ValueError", remote_traceback="there")
    found = pickle.loads(pickle.dumps(error))
    assert type(found) is type(error) and str(found) == str(error) and found.remote_type == "ValueError"


def test_errors_without_a_type_show_the_message_alone():
    document = {"type": "", "message": "it broke", "traceback": ""}
    assert str(_errors.from_answer("FL305", 500, "it broke", exception=document)) == "it broke"
