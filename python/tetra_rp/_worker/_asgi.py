"""The user's own web application, served in this process behind the gateway: by uvicorn, or by granian where the environment says so."""

from __future__ import annotations

import os
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from tetra_rp._worker import _load

if TYPE_CHECKING:
    from tetra_rp._worker._loop import Worker

SERVER_VARIABLE = "FLASH_ASGI_SERVER"
SERVERS = ("uvicorn", "granian")

# Connections that wait to be accepted; what uvicorn asks for too.
BACKLOG_MAX = 2048


class ServerUnknown(Exception):
    """The environment names a server that is none of ours."""


class ServerMissing(Exception):
    """The server is not in the worker's environment."""

    def __init__(self, reference: str, server: str) -> None:
        super().__init__(
            f"{reference} is a web application, and serving it needs {server} in the workers' environment; "
            f"add `{server}` to the project's requirements.txt or pyproject.toml"
        )


class StartupFailed(Exception):
    """The application's own start-up went wrong; its server has logged why."""

    def __init__(self, reference: str) -> None:
        super().__init__(f"the start-up of {reference} failed; the endpoint's log says why")


def serve_application(worker: Worker, reference: str) -> Coroutine[Any, Any, None]:
    """Imports `module:variable` and returns what serves it until STOP. READY tells the port."""
    server = os.environ.get(SERVER_VARIABLE) or SERVERS[0]
    if server not in SERVERS:
        raise ServerUnknown(f"{SERVER_VARIABLE} is {server!r}; it may be {' or '.join(SERVERS)}")
    application = _load.load_variable(reference)
    if server == "granian":
        from tetra_rp._worker._asgi_granian import serve
    else:
        from tetra_rp._worker._asgi_uvicorn import serve
    return serve(worker, reference, application)
