"""The socket to the gateway: reads frames on the main loop, writes from any thread, ends the process at end of file."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Sequence

from tetra_rp._payload import Buffer
from tetra_rp._worker._frames import Body, FrameReader, ProtocolError

# Up to here joining pieces into one send is cheaper than handing the kernel a list of them.
JOIN_SIZE_MAX_BYTES = 64 * 1024
# Linux's IOV_MAX.
PIECES_PER_SEND_MAX = 1024

EXIT_OK = 0
EXIT_FAILED = 1


class Channel:
    """One per process. `send*` may be called from any thread; everything else belongs to the main loop's thread."""

    def __init__(self, gateway: socket.socket) -> None:
        gateway.setblocking(False)
        self._socket = gateway
        self._reader = FrameReader()
        self._deliver: Callable[[int, int, bytes, Body], None] = _nobody
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        # Frames of the main thread wait here until the end of a turn of the loop, so that many leave in one send.
        self._turn: list[Buffer] = []
        self._flush_scheduled = False
        # What the kernel did not take. Guarded by the lock.
        self._backlog: deque[memoryview] = deque()
        self._drained: list[asyncio.Future[None]] = []
        self._early: list[tuple[int, int, bytes, Body]] = []

    def attach(self, loop: asyncio.AbstractEventLoop, deliver: Callable[[int, int, bytes, Body], None]) -> None:
        self._loop = loop
        self._deliver = deliver
        for frame in self._early:
            loop.call_soon(self._deliver_early, frame)
        self._early.clear()
        loop.add_reader(self._socket.fileno(), self._readable)

    def receive_one(self) -> tuple[int, int, bytes, Body]:
        """The first frame, waiting for it. Only before `attach`, which delivers what came with it."""
        frames: list[tuple[int, int, bytes, Body]] = []
        self._socket.setblocking(True)
        while not frames:
            size = self._socket.recv_into(self._reader.space())
            if size == 0:
                os._exit(EXIT_OK)
            self._reader.received(size, lambda *frame: frames.append(frame))
        self._socket.setblocking(False)
        self._early = frames[1:]
        return frames[0]

    def watch_for_end(self) -> None:
        """Ends the process when the gateway is gone, also while user code holds up the main thread."""
        threading.Thread(target=self._watch, name="flash-end-of-file", daemon=True).start()

    def send(self, frame: bytes) -> None:
        """Main thread: queues a frame; it leaves at the end of this turn of the loop."""
        self._turn.append(frame)
        if not self._flush_scheduled:
            self._flush_scheduled = True
            assert self._loop is not None
            self._loop.call_soon(self.flush)

    def send_pieces(self, pieces: Sequence[Buffer]) -> None:
        """Main thread: a frame in pieces that are not copied."""
        self._turn.extend(pieces)
        if not self._flush_scheduled:
            self._flush_scheduled = True
            assert self._loop is not None
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Main thread: writes what this turn queued."""
        self._flush_scheduled = False
        turn = self._turn
        if turn:
            self._turn = []
            self.send_now(turn)

    def send_now(self, pieces: Sequence[Buffer]) -> None:
        """Any thread: writes whole frames at once; what the kernel does not take follows from the main loop."""
        with self._lock:
            if self._backlog:
                self._backlog.extend(map(memoryview, pieces))
                return
            rest = self._write(pieces)
            if not rest:
                return
            self._backlog.extend(rest)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._await_writable)

    async def drained(self) -> None:
        """When everything queued so far is with the kernel."""
        self.flush()
        with self._lock:
            if not self._backlog:
                return
        assert self._loop is not None
        future = self._loop.create_future()
        self._drained.append(future)
        await future

    def _readable(self) -> None:
        try:
            size = self._socket.recv_into(self._reader.space())
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            size = 0
        if size == 0:
            os._exit(EXIT_OK)
        # Answers given during this turn need no flush of their own: one follows right below.
        self._flush_scheduled = True
        try:
            self._reader.received(size, self._deliver)
        except Exception:  # what user code raises is answered; this is a frame that nobody can read
            _end_over_rubbish()
        self.flush()

    def _deliver_early(self, frame: tuple[int, int, bytes, Body]) -> None:
        try:
            self._deliver(*frame)
        except Exception:
            _end_over_rubbish()

    def _write(self, pieces: Sequence[Buffer]) -> list[memoryview]:
        """Writes what the kernel takes and returns the rest. The lock is held."""
        total = sum(map(len, pieces))
        if total <= JOIN_SIZE_MAX_BYTES:
            joined = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            try:
                sent = self._socket.send(joined)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                os._exit(EXIT_OK)  # the gateway is gone
            return [] if sent == total else [memoryview(joined)[sent:]]
        rest = deque(memoryview(piece) for piece in pieces)
        self._write_all(rest)
        return list(rest)

    def _write_all(self, rest: deque[memoryview]) -> None:
        """Takes from the front of `rest` what the kernel accepts. The lock is held."""
        while rest:
            try:
                sent = self._socket.sendmsg([rest[at] for at in range(min(len(rest), PIECES_PER_SEND_MAX))])
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                os._exit(EXIT_OK)
            while rest and sent >= len(rest[0]):
                sent -= len(rest.popleft())
            if sent:
                rest[0] = rest[0][sent:]

    def _await_writable(self) -> None:
        assert self._loop is not None
        self._loop.add_writer(self._socket.fileno(), self._writable)

    def _writable(self) -> None:
        with self._lock:
            self._write_all(self._backlog)
            if self._backlog:
                return
        assert self._loop is not None
        self._loop.remove_writer(self._socket.fileno())
        waiting, self._drained = self._drained, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def _watch(self) -> None:
        # Asks for no event at all: a hang-up is reported regardless, and normal traffic does not wake this thread.
        poll = select.poll()
        poll.register(self._socket.fileno(), 0)
        while not poll.poll():
            pass
        os._exit(EXIT_OK)


def take_standard_input() -> socket.socket:
    """Moves the gateway's socket away from descriptor 0, where user code and its children would find it."""
    descriptor = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return keep_from_forks(socket.socket(fileno=descriptor))


def keep_from_forks(gateway: socket.socket) -> socket.socket:
    """A forked child of user code must not hold the connection open, nor write to it."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=gateway.close)
    return gateway


def _end_over_rubbish() -> None:
    """There is no way to go on: the reader is in the middle of what it was given."""
    traceback.print_exc(file=sys.stderr)
    sys.stderr.flush()
    os._exit(EXIT_FAILED)


def _nobody(kind: int, call_id: int, header: bytes, body: Body) -> None:
    raise ProtocolError("a frame before START was answered")

