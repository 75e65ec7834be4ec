"""Starting: under runpod's worker loop, or under uvicorn. Both are packages of the image or the project, not of ours."""

from __future__ import annotations

import os
from typing import Any

from tetra_rp._standalone._application import Application
from tetra_rp._standalone._ping import WithPing
from tetra_rp._standalone._queue import QueueHandler

HOST_VARIABLE, HOST_DEFAULT = "FLASH_HOST", "0.0.0.0"
PORT_VARIABLE, PORT_DEFAULT = "PORT", 8000
# Longer than load balancers keep theirs, so that no request meets a connection that is being closed.
KEEP_ALIVE_SECONDS = 600


def serve_queue(handler: QueueHandler) -> None:
    """Takes jobs until the process is ended. Raises what the user's modules raise when imported."""
    handler.hosted.load()
    try:
        import runpod  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ModuleNotFoundError as error:
        raise _missing(error, "runpod", "taking jobs of a queue endpoint") from None
    settings: dict[str, Any] = {"handler": handler}
    most = handler.hosted.max_concurrency
    if most > 1:
        settings["concurrency_modifier"] = lambda current: most
    runpod.serverless.start(settings)


def serve_http(application: Any) -> None:
    """Serves HTTP on port 8000 (`PORT`) until the process is ended. Raises what the user's modules raise when imported.

    Takes what `application` makes, or any other ASGI application, which is given a `/ping` if it has none.
    """
    is_ours = isinstance(application, Application)
    if is_ours:
        application.load()
    try:
        import uvicorn
    except ModuleNotFoundError as error:
        raise _missing(error, "uvicorn", "serving HTTP") from None
    uvicorn.run(
        application if is_ours else WithPing(application),
        host=os.environ.get(HOST_VARIABLE) or HOST_DEFAULT,
        port=_port(),
        lifespan="on" if is_ours else "auto",
        access_log=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )


def _port() -> int:
    text = os.environ.get(PORT_VARIABLE) or str(PORT_DEFAULT)
    if not text.isdecimal() or int(text) > 65535:
        raise SystemExit(f"error: {PORT_VARIABLE} is {text!r}; it has to be a port from 0 to 65535")
    return int(text)


def _missing(error: ModuleNotFoundError, package: str, purpose: str) -> BaseException:
    if error.name != package:
        return error  # the package is there, and something that it needs is not
    return SystemExit(
        f"error: {purpose} needs the package {package}, which this Python does not have\n"
        f"hint: pip install {package}, or add {package} to the project's requirements.txt and build again"
    )
