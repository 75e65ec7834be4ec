"""Serves an ASGI application by granian's server for use inside a process, which is experimental by its own word.

It takes no socket that is open already and does not say when it listens, so its port is found for it and then knocked at.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from tetra_rp import _trace
from tetra_rp._worker._asgi import BACKLOG_MAX, ServerMissing, StartupFailed

if TYPE_CHECKING:
    from tetra_rp._worker._loop import Worker

HOST = "127.0.0.1"
KNOCK_PERIOD_SECONDS = 0.002


def serve(worker: Worker, reference: str, application: Any) -> Coroutine[Any, Any, None]:
    try:
        from granian.constants import Interfaces
        from granian.log import LogLevels
        from granian.server.embed import Server
    except ImportError as error:
        raise ServerMissing(reference, "granian") from error

    start = _Start(_trace.application(application))
    port = _free_port()

    async def serving() -> None:
        worker.open()
        server = Server(
            start.application,
            address=HOST,
            port=port,
            interface=Interfaces.ASGI,
            backlog=BACKLOG_MAX,
            log_level=LogLevels.error,
        )
        task = worker.loop.create_task(server.serve())
        opening = worker.loop.create_task(_tell(worker, start, port))
        stopping = worker.loop.create_task(_stop(worker, server))
        try:
            await task
        except Exception as error:
            if not start.is_told:
                raise StartupFailed(reference) from error
            raise
        finally:
            opening.cancel()
            stopping.cancel()

    return serving()


class _Start:
    """The application, and whether its own start-up is over: it has said so, or it has none."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.over = asyncio.Event()
        self.is_told = False

    async def application(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await self._inner(scope, receive, send)
            return
        has_failed = False

        async def told(message: dict[str, Any]) -> None:
            nonlocal has_failed
            has_failed = message["type"] == "lifespan.startup.failed"
            await send(message)
            if not has_failed:
                self.over.set()

        try:
            await self._inner(scope, receive, told)
        finally:
            if not has_failed:
                self.over.set()


async def _tell(worker: Worker, start: _Start, port: int) -> None:
    """READY when requests may come."""
    await start.over.wait()
    while True:
        try:
            _, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            await asyncio.sleep(KNOCK_PERIOD_SECONDS)
            continue
        writer.close()
        start.is_told = True
        worker.ready(port=port)
        return


async def _stop(worker: Worker, server: Any) -> None:
    await worker.stopped()
    server.stop()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((HOST, 0))
        return found.getsockname()[1]  # type: ignore[no-any-return]
