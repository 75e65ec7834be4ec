"""Plays the gateway for a real worker process: a socket pair, frames by hand, every wait with a deadline."""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from tetra_rp import _payload

START, READY, FAILED, CALL, RESULT, ERROR, CANCEL, STOP, PART, CREDIT = range(1, 11)
DEADLINE_SECONDS = 30.0
SDK = Path(__file__).resolve().parent.parent


class Frame(NamedTuple):
    kind: int
    call_id: int
    header: dict[str, Any]
    body: bytes
    trace: str = ""

    def json(self) -> Any:
        return json.loads(self.body)

    def value(self) -> Any:
        return _payload.load(bytearray(self.body))


class Gateway:
    """One worker. `functions` are START's entries, in short: a name, or a dict that overrides the defaults."""

    def __init__(
        self,
        project: Path,
        functions: list[str | dict[str, Any]],
        *,
        asgi: str | None = None,
        environment: dict[str, str] | None = None,
        import_paths: list[str] | None = None,
        isolated_python: str | None = None,
        sync_threads: int = 1,
    ) -> None:
        ours, theirs = socket.socketpair()
        self.socket = ours
        self.socket.settimeout(DEADLINE_SECONDS)
        self._received = b""
        self._next_id = 0
        self.log = project / "worker.log"
        variables = {
            **os.environ,
            "PYTHONPATH": f"{SDK}{os.pathsep}{project}",
            "PYTHONUNBUFFERED": "1",
            **(environment or {}),
        }
        with theirs, self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [isolated_python or sys.executable, "-X", "utf8", "-W", "error", "-m", "tetra_rp._worker"],
                stdin=theirs.fileno(),
                stdout=log,
                stderr=log,
                cwd=project,
                env=variables,
            )
        start = {
            "resource": "api",
            "kind": "asgi" if asgi else "load_balanced",
            "asgi": asgi,
            "functions": [_entry(function) for function in functions],
            "sync_threads": sync_threads,
            "import_root": str(project),
        }
        if import_paths is not None:
            start["import_paths"] = import_paths
        self.send(START, 0, None, json.dumps(start).encode())
        self.first = self.receive()

    def __enter__(self) -> Gateway:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
        try:
            self.process.wait(DEADLINE_SECONDS)
        finally:
            self.process.kill()
            self.process.wait()

    def send(self, kind: int, call_id: int, header: dict[str, Any] | None = None, body: bytes = b"", trace: str = "") -> None:
        head = b"" if header is None else json.dumps(header).encode()
        if trace:
            head += b"\n" + trace.encode()
        self.socket.sendall(struct.pack("<IBII", 9 + len(head) + len(body), kind, call_id, len(head)) + head + body)

    def receive(self) -> Frame:
        (length,) = struct.unpack("<I", self._exactly(4))
        kind, call_id, header_size = struct.unpack("<BII", self._exactly(9))
        header, _, trace = self._exactly(header_size).partition(b"\n")
        body = self._exactly(length - 9 - header_size)
        return Frame(kind, call_id, json.loads(header) if header else {}, body, trace.decode())

    def begin(self, header: dict[str, Any], body: Any = b"", trace: str = "") -> int:
        """Sends a CALL; `body` that is no bytes is sent as JSON."""
        self._next_id += 1
        self.send(CALL, self._next_id, header, body if isinstance(body, bytes) else json.dumps(body).encode(), trace)
        return self._next_id

    def call(self, header: dict[str, Any], body: Any = b"", trace: str = "") -> Frame:
        """A CALL and its answer, which must be the next frame."""
        call_id = self.begin(header, body, trace)
        answer = self.receive()
        assert answer.call_id == call_id
        return answer

    def credit(self, call_id: int, count: int) -> None:
        self.send(CREDIT, call_id, None, count.to_bytes(4, "little"))

    def stream(self, function: str, body: Any = b"", **header: Any) -> list[Frame]:
        """A route's PARTs, each paid for when it comes, and the frame that ends them."""
        return self._stream(self.begin({"form": "route", "function": function, **header}, body))

    def stream_job(self, given: Any) -> list[Frame]:
        return self._stream(self.begin({"form": "job"}, given))

    def _stream(self, call_id: int) -> list[Frame]:
        frames = [self.receive()]
        while frames[-1].kind == PART:
            self.credit(call_id, 1)
            frames.append(self.receive())
        assert {frame.call_id for frame in frames} == {call_id}
        return frames

    def route(self, function: str, body: Any = b"", **header: Any) -> Frame:
        return self.call({"form": "route", "function": function, **header}, body)

    def job(self, given: Any) -> Frame:
        return self.call({"form": "job"}, given)

    def pickle(self, function: str, *args: Any, **argument: Any) -> Frame:
        document = {"args": args, "kwargs": {}, **argument}
        return self.call({"form": "pickle", "function": function}, _payload.dump_bytes(document))

    def pieces(self) -> list[tuple[int | None, bytes]]:
        """What was printed so far: pieces with their call id, and what has none."""
        found: list[tuple[int | None, bytes]] = []
        rest = self.log.read_bytes()
        while rest:
            header = re.match(rb"\x1e(\d+):(\d+)\x1f", rest)
            if header:
                end = header.end() + int(header[2])
                found.append((int(header[1]), rest[header.end() : end]))
            else:
                end = rest.find(b"\x1e", 1) if b"\x1e" in rest[1:] else len(rest)
                found.append((None, rest[:end]))
            rest = rest[end:]
        return found

    def printed(self, *calls: int | None) -> str:
        """What these calls have printed, or all of them."""
        return b"".join(text for call, text in self.pieces() if not calls or call in calls).decode()

    def at_end(self) -> bool:
        return self.socket.recv(1) == b""

    def exit_code(self) -> int:
        return self.process.wait(DEADLINE_SECONDS)

    def _exactly(self, size: int) -> bytes:
        while len(self._received) < size:
            received = self.socket.recv(1 << 20)
            if not received:
                raise EOFError(f"the worker is gone; its log:\n{self.printed()}")
            self._received += received
        taken, self._received = self._received[:size], self._received[size:]
        return taken


def _entry(function: str | dict[str, Any]) -> dict[str, Any]:
    given = {"name": function} if isinstance(function, str) else function
    defaults = {"module": "main", "is_async": True, "is_class": False, "http_method": "POST"}
    return {**defaults, "http_path": f"/{given['name']}", **given}
