"""WebSockets of the user's own web application: uvicorn speaks them with a package that may not be there."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

HINT = "add `websockets` to the project's requirements.txt or pyproject.toml"
_DETAIL = "the application's environment has no package that speaks WebSocket"
_log = logging.getLogger("uvicorn.error")


def protocol() -> str | type[asyncio.Protocol]:
    """What uvicorn is to take handshakes with."""
    from uvicorn.protocols.websockets.auto import AutoWebSocketsProtocol

    return "auto" if AutoWebSocketsProtocol is not None else Unspoken


class Unspoken(asyncio.Protocol):
    """Answers a handshake where nobody can shake hands; uvicorn makes one for each."""

    _is_logged = False

    def __init__(self, **_: Any) -> None: ...

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, _: bytes) -> None:
        if not Unspoken._is_logged:
            Unspoken._is_logged = True
            _log.error("a WebSocket was refused: %s; %s", _DETAIL, HINT)
        self._transport.write(_answer())
        self._transport.close()


def _answer() -> bytes:
    problem = {
        "type": "urn:flash:error:FL321",
        "title": "connection cannot be upgraded",
        "status": 501,
        "code": "FL321",
        "detail": _DETAIL,
        "hint": HINT,
    }
    body = json.dumps(problem).encode()
    head = (
        "HTTP/1.1 501 Not Implemented\r\nContent-Type: application/problem+json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
