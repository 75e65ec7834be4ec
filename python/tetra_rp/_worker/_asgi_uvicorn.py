"""Serves an ASGI application by uvicorn."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Coroutine, Iterator
from typing import TYPE_CHECKING, Any

from tetra_rp import _trace
from tetra_rp._worker import _websockets
from tetra_rp._worker._asgi import BACKLOG_MAX, ServerMissing, StartupFailed

if TYPE_CHECKING:
    from tetra_rp._worker._loop import Worker

# How long open connections may take to end after STOP.
GRACEFUL_SHUTDOWN_SECONDS_MAX = 30

def serve(worker: Worker, reference: str, application: Any) -> Coroutine[Any, Any, None]:
    try:
        import uvicorn
    except ImportError as error:
        raise ServerMissing(reference, "uvicorn") from error

    listener = listen()

    class Server(uvicorn.Server):
        """Tells the gateway when requests may come, and leaves signals alone."""

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            if self.started and not self.should_exit:
                worker.ready(port=listener.getsockname()[1])

    config = uvicorn.Config(
        application,
        log_level="warning",
        access_log=False,
        lifespan="auto",
        ws=_websockets.protocol(),
        timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_SECONDS_MAX,
    )
    config.load()
    config.loaded_app = _trace.application(config.loaded_app)
    server = Server(config)

    async def serving() -> None:
        worker.open()
        stop = worker.loop.create_task(_exit_on_stop(worker, server))
        try:
            await server.serve(sockets=[listener])
        except SystemExit as error:  # how newer versions of uvicorn say that the start-up failed
            raise StartupFailed(reference) from error
        finally:
            stop.cancel()
        if not server.started:
            raise StartupFailed(reference)

    return serving()


def listen() -> socket.socket:
    """A socket on a free port of this machine alone.

    It names its protocol, unlike those of `socket.create_server`: only then does asyncio switch off Nagle's algorithm for
    its connections, which would hold back each answer on a kept connection until the delayed acknowledgement of the last.
    """
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(BACKLOG_MAX)
    return listener


async def _exit_on_stop(worker: Worker, server: Any) -> None:
    await worker.stopped()
    server.should_exit = True
