"""Frames that no gateway sends: whatever comes, the worker answers the next call or ends with an error."""

from __future__ import annotations

import random
import struct

import pytest
from conftest import StartWorker
from gateway import CALL, CANCEL, CREDIT, ERROR, PART, READY, RESULT, START
from tetra_rp._worker._frames import FRAME_SIZE_MAX_BYTES, FrameReader, ProtocolError

SOURCE = """
    from tetra_rp import LiveLoadBalancer, LiveServerless, remote

    api = LiveLoadBalancer(name="api")
    other = LiveServerless(name="other")

    @remote(other)
    async def tell(): ...

    @remote(api, method="POST", path="/ask")
    async def ask():
        return await tell()

    @remote(api, method="POST", path="/quick")
    async def quick():
        return "quick"
"""
HEADERS = [b"", b"{", b"null", b"[]", b"\xff\xfe", b'{"form":[]}', b'{"form":"route","function":{}}']
BODIES = [b"", b"\xff", b"\0" * 5]
KINDS = [0, START, READY, CALL, RESULT, ERROR, CANCEL, PART, CREDIT, 12, 255]
STREAMS = 2_000


def frame(kind: int, call_id: int, header: bytes, body: bytes) -> bytes:
    return struct.pack("<IBII", 9 + len(header) + len(body), kind, call_id, len(header)) + header + body


QUICK = frame(CALL, 9, b'{"form":"json","function":"quick"}', b"{}")


@pytest.mark.parametrize("kind", KINDS)
def test_a_frame_that_cannot_be_read_costs_its_worker_at_most(kind: int, worker: StartWorker) -> None:
    gateway = worker(SOURCE, ["quick"])
    for header in HEADERS:
        gateway.socket.sendall(frame(kind, 7, header, BODIES[len(header) % len(BODIES)]) + QUICK)
        try:
            answer = gateway.receive()
            while answer.call_id != 9:
                answer = gateway.receive()
            assert (answer.kind, answer.json()) == (RESULT, "quick"), header
        except (EOFError, ConnectionResetError):
            assert gateway.exit_code() == 1, header
            assert "Traceback" in gateway.printed(), header
            gateway = worker(SOURCE, ["quick"])


def test_streams_are_taken_apart_or_refused_whatever_is_in_them() -> None:
    for seed in range(STREAMS):
        noise = random.Random(seed)
        sent = [
            (noise.randrange(256), noise.randrange(2**32), noise.randbytes(noise.randrange(40)), noise.randbytes(noise.randrange(90)))
            for _ in range(noise.randrange(6))
        ]
        stream = bytearray(b"".join(frame(*part) for part in sent))
        damaged = noise.randrange(3) if stream else 0
        for _ in range(damaged):
            stream[noise.randrange(len(stream))] = noise.randrange(256)
        reader, taken, largest = FrameReader(), [], 0
        try:
            at = 0
            while at < len(stream):
                space = reader.space()
                largest = max(largest, len(space))
                size = min(len(space), noise.randrange(1, 50), len(stream) - at)
                assert size > 0, seed
                space[:size] = stream[at : at + size]
                reader.received(size, lambda *part: taken.append((*part[:3], bytes(part[3]))))
                at += size
        except ProtocolError:
            assert damaged, seed
        assert largest <= FRAME_SIZE_MAX_BYTES + 4, seed
        if not damaged:
            assert taken == sent, seed


def test_a_credit_without_a_number_ends_the_worker(worker: StartWorker) -> None:
    gateway = worker(SOURCE, ["quick"])
    gateway.socket.sendall(frame(CREDIT, 1, b"", b"") + QUICK)
    assert gateway.at_end()
    assert gateway.exit_code() == 1


@pytest.mark.parametrize("header", [b"{", b"[]", b"\xff", b"7"])
def test_an_answer_that_cannot_be_read_is_an_error_of_its_call_or_the_end(header: bytes, worker: StartWorker) -> None:
    gateway = worker(SOURCE, ["quick", "ask"])
    asked = gateway.begin({"form": "route", "function": "ask"})
    called = gateway.receive()
    assert called.kind == CALL
    gateway.socket.sendall(frame(ERROR, called.call_id, header, b"") + QUICK)
    try:
        answers = {answer.call_id: answer.kind for answer in (gateway.receive(), gateway.receive())}
        assert answers == {asked: ERROR, 9: RESULT}
    except (EOFError, ConnectionResetError):
        assert gateway.exit_code() == 1
