"""A process that has loaded the user's code and is forked for each worker, where that is safe.

It runs no event loop and starts no thread: a fork copies only the thread that forks. Frames as everywhere; FORK comes with
the new worker's socket.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import sys
from typing import Any, NoReturn

from tetra_rp import _context
from tetra_rp._worker import _frames, _load, _output, _websockets
from tetra_rp._worker._frames import Body, FrameReader

RECEIVE_SIZE_BYTES = 4096
# In one message at most. The gateway sends three with each FORK: the worker's socket, standard output and standard error.
DESCRIPTORS_MAX = 24
# What two processes cannot use side by side.
SHARED = ("socket:", "pipe:", "anon_inode:", "/dev/nvidia", "/dev/dri")

LOADING = "the code is being loaded for all workers; a function can be called once they run"


class Forked:
    """What a worker that was forked has at birth."""

    __slots__ = ("gateway", "targets")

    def __init__(self, gateway: socket.socket, targets: dict[str, _load.Target] | None) -> None:
        self.gateway = gateway
        self.targets = targets


def serve(gateway: socket.socket, start: dict[str, Any]) -> Forked:
    """Loads the code and forks on demand. Comes back in every worker; in the template itself never."""
    _context.calls_refused = LOADING
    inherited = _open_descriptors()
    try:
        targets = _preload(start)
    except BaseException as error:  # workers that load it for themselves will say what is wrong, to those who call
        _leave(gateway, f"{type(error).__name__}: {error}")
    danger = _unsafe_because(inherited)
    if danger is not None:
        _leave(gateway, danger)
    # Collections in a worker would touch, and so copy, what all of them share.
    gc.collect()
    gc.freeze()
    _send(gateway, _frames.READY, 0, _frames.ready_header())
    worker = _Template(gateway).run()
    _context.calls_refused = None
    _reseed()
    return Forked(worker, targets)


def _unsafe_because(inherited: dict[int, str]) -> str | None:
    """Why a fork of this process would not be as good as a new one."""
    threads = len(os.listdir("/proc/self/task"))
    if threads > 1:
        return f"importing the code starts threads ({threads - 1} are running)"
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return "importing the code starts CUDA"
    for descriptor, opened in _open_descriptors().items():
        if opened.startswith(SHARED) and inherited.get(descriptor) != opened:
            return f"importing the code opens {opened.partition(':[')[0]} (descriptor {descriptor}), which forks would share"
    return None


def _open_descriptors() -> dict[int, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # the listing's own
            continue
    return found


class _Template:
    def __init__(self, gateway: socket.socket) -> None:
        self._gateway = gateway
        self._reader = FrameReader()
        self._descriptors: list[int] = []
        self._worker: socket.socket | None = None

    def run(self) -> socket.socket:
        """The socket of a worker, in that worker."""
        self._gateway.setblocking(True)
        while self._worker is None:
            data, descriptors, _, _ = socket.recv_fds(self._gateway, RECEIVE_SIZE_BYTES, DESCRIPTORS_MAX)
            if not data:
                os._exit(0)
            self._descriptors.extend(descriptors)
            self._reader.space()[: len(data)] = data
            self._reader.received(len(data), self._take)
        return self._worker

    def _take(self, kind: int, number: int, header: bytes, body: Body) -> None:
        if self._worker is not None:  # we are the worker; what follows is for the template
            return
        if kind == _frames.FORK:
            ends, self._descriptors = self._descriptors[:3], self._descriptors[3:]
            self._fork(number, ends, json.loads(header or b"{}"))
        elif kind == _frames.REAP:
            _, status = os.waitpid(json.loads(bytes(body))["pid"], 0)
            _send(self._gateway, _frames.REAPED, number, {"status": status})
        else:
            raise _frames.ProtocolError(f"unexpected frame of kind {kind}")

    def _fork(self, number: int, ends: list[int], header: dict[str, Any]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._become_worker(*ends)
            os.environ.update(header.get("environment", {}))
            return
        for descriptor in ends:
            os.close(descriptor)
        try:
            os.setpgid(pid, pid)
        except OSError:  # it was faster, or is gone
            pass
        _send(self._gateway, _frames.FORKED, number, {"pid": pid})

    def _become_worker(self, gateway: int, stdout: int, stderr: int) -> None:
        # Its own group, as if the gateway had started it: what user code starts ends with it.
        os.setpgid(0, 0)
        for descriptor, place in ((stdout, 1), (stderr, 2)):
            os.dup2(descriptor, place)
            os.close(descriptor)
        _output.rebind()
        for other in self._descriptors:
            os.close(other)
        self._worker = socket.socket(fileno=gateway)


def _preload(start: dict[str, Any]) -> dict[str, _load.Target] | None:
    _load.extend_path(start)
    if not start.get("asgi"):
        return _load.load(start)
    _load.load_variable(start["asgi"])
    _websockets.protocol()  # workers find uvicorn loaded, and what it speaks WebSocket with

    return None


def _reseed() -> None:
    """The standard library's generator reseeds itself in a fork; numpy's old one does not."""
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()


def _send(gateway: socket.socket, kind: int, number: int, header: dict[str, Any]) -> None:
    gateway.sendall(_frames.small(kind, number, json.dumps(header).encode(), b""))


def _leave(gateway: socket.socket, why: str) -> NoReturn:
    gateway.setblocking(True)
    _send(gateway, _frames.UNSAFE, 0, {"reason": why})
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
