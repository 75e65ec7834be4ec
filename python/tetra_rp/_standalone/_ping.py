"""`/ping` for web applications of the project's own, which need not have it: platforms ask it before they send requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

HEALTHY = b'{"status":"healthy"}'


class WithPing:
    """The application, with an answer of our own where its answer to `/ping` is that there is none."""

    def __init__(self, application: Any) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/ping":
            send = _Healthy(send)
        await self._application(scope, receive, send)


class _Healthy:
    """Passes on what is sent, but for a 404, which becomes 200."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._is_replaced = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 404:
            self._is_replaced = True
            headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(HEALTHY))]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        elif not self._is_replaced:
            await self._send(message)
        elif not message.get("more_body", False):
            await self._send({"type": "http.response.body", "body": HEALTHY})
