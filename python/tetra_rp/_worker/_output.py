"""What Python code prints → pieces that say which call printed them, on the same pipes as everything else.

`docs/worker-protocol.md` (Output) has their form. Nothing is kept back: what was written is with the kernel, whatever becomes of
this process. What C libraries and child processes write to the descriptors comes without a mark.
"""

from __future__ import annotations

import contextvars
import io
import os
import select
import sys
from typing import Any

# The call whose code runs in this context, 0 in none. Tasks and `asyncio.to_thread` inherit it, bare threads do not.
call: contextvars.ContextVar[int] = contextvars.ContextVar("flash_call", default=0)

# Where text that is printed in this context goes as well.
capture: contextvars.ContextVar[Capture | None] = contextvars.ContextVar("flash_capture", default=None)
CAPTURED_SIZE_MAX_BYTES = 1024 * 1024

# Up to here the kernel keeps a write in one piece, whoever else writes to the pipe.
PIECE_SIZE_MAX_BYTES = min(select.PIPE_BUF, 4096)
_HEADER_SIZE_MAX_BYTES = 17
_TEXT_SIZE_MAX_BYTES = PIECE_SIZE_MAX_BYTES - _HEADER_SIZE_MAX_BYTES


class Capture:
    """What one call prints, up to a limit; the endpoint's logs have all of it."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._is_cut = False

    def add(self, text: bytes) -> None:
        room = CAPTURED_SIZE_MAX_BYTES - len(self._data)
        self._data += text[:room]
        self._is_cut = self._is_cut or len(text) > room

    def text(self) -> str:
        return self._data.decode("utf-8", "replace") + ("[…]" if self._is_cut else "")


class MarkedOutput(io.RawIOBase):
    """The bytes' side of `sys.stdout` and `sys.stderr`."""

    def __init__(self, descriptor: int, name: str) -> None:
        self._descriptor = descriptor
        self._pipe = _identity(descriptor)
        self.name = name
        self.mode = "wb"

    def rebind(self) -> None:
        """Another pipe has been put in the descriptor's place, by us."""
        self._pipe = _identity(self._descriptor)

    def fileno(self) -> int:
        return self._descriptor

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        text = bytes(memoryview(data))
        captured = capture.get()
        if captured is not None:
            captured.add(text)
        # User code may have put something else in the descriptor's place, to catch what is printed.
        if _identity(self._descriptor) != self._pipe:
            _write(self._descriptor, text)
            return len(text)
        number = call.get()
        for at in range(0, len(text), _TEXT_SIZE_MAX_BYTES):
            part = text[at : at + _TEXT_SIZE_MAX_BYTES]
            _write(self._descriptor, b"\x1e%d:%d\x1f%b" % (number, len(part), part))
        return len(text)


_outputs: list[MarkedOutput] = []


def mark() -> None:
    """From now on what Python code prints says whose it is."""
    sys.stdout = _marked(sys.stdout, 1, "<stdout>")
    sys.stderr = _marked(sys.stderr, 2, "<stderr>")


def rebind() -> None:
    """In a fork that has pipes of its own. User code that was imported before it may have kept what `mark` made."""
    for output in _outputs:
        output.rebind()


def _marked(plain: Any, descriptor: int, name: str) -> io.TextIOWrapper:
    output: Any = MarkedOutput(descriptor, name)
    _outputs.append(output)
    marked = io.TextIOWrapper(output, encoding="utf-8", errors=plain.errors, newline="\n", write_through=True)
    marked.mode = "w"
    return marked


def _identity(descriptor: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _write(descriptor: int, data: bytes) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # a program that user code started has made the pipe so
            select.select((), (descriptor,), ())
        except OSError:
            return  # closed by user code, or nobody reads any more: no reason for a print to fail
