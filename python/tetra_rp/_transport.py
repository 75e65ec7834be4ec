"""How calls leave this process: the seam between `@remote` and whatever carries them."""

from __future__ import annotations

import asyncio
import http.client
import json
import select
import socket
import threading
import urllib.parse
import weakref
from typing import Any, Protocol

from tetra_rp import _context, _errors, _payload, _trace
from tetra_rp._running import Announcement, find_running

PICKLE_CONTENT_TYPE = "application/vnd.flash.pickle"
CALL_PATH = "/api/v1/call"

CONNECT_TIMEOUT_SECONDS = 5.0
# A first call may wait for a worker to start and load a model; the endpoint's own limits end a call sooner.
ANSWER_TIMEOUT_SECONDS = 3600.0
IDLE_CONNECTIONS_MAX = 16


class Transport(Protocol):
    """Carries a call to the function's endpoint and back."""

    async def call(self, function: str, argument: dict[str, Any]) -> Any:
        """The remote function's result.

        `argument` is `{"args": tuple, "kwargs": dict}` and for classes also `{"method", "constructor_args",
        "constructor_kwargs"}`. Raises `FlashError`.
        """


class HttpTransport:
    """Calls through the project's running mothership, `POST {url}/api/v1/call/{function}`.

    The mothership is looked for at each call, so a script survives its restart. Calls wait in threads; their connections are
    kept for later calls of any thread.
    """

    def __init__(self) -> None:
        self._kept = _KeptConnections()
        weakref.finalize(self, self._kept.close)

    async def call(self, function: str, argument: dict[str, Any]) -> Any:
        return await asyncio.to_thread(self._call, function, argument)

    def _call(self, function: str, argument: dict[str, Any]) -> Any:
        _context.check_calls_allowed(function)
        running = find_running()
        try:
            body = _payload.dump(argument)
        except Exception as error:
            raise _errors.SerializationError(
                f"the arguments of {function} cannot be pickled: {error}", code="FL306"
            ) from error
        path = f"{CALL_PATH}/{urllib.parse.quote(function, safe='')}"
        headers = {
            "Content-Type": PICKLE_CONTENT_TYPE,
            "Accept": PICKLE_CONTENT_TYPE,
            "Content-Length": str(sum(map(len, body))),
            **_trace.headers(),
        }
        status, content_type, answer = self._exchange(running, "POST", path, body, headers)
        if status == 200 and content_type == PICKLE_CONTENT_TYPE:
            try:
                return _payload.load(answer)
            except Exception as error:
                raise _errors.SerializationError(
                    f"the result of {function} cannot be unpickled here: {type(error).__name__}: {error}", code="FL306"
                ) from error
        raise _problem(running, status, content_type, answer)

    def manifest(self) -> dict[str, Any]:
        """What the mothership answers to `GET /manifest`. Raises `FlashError`."""
        running = find_running()
        status, content_type, answer = self._exchange(running, "GET", "/manifest", None, {})
        if status != 200:
            raise _problem(running, status, content_type, answer)
        document = json.loads(answer)
        if not isinstance(document, dict):
            raise _errors.CallError(f"{running.url}/manifest is not a JSON object", status=status)
        return document

    def _exchange(
        self, running: Announcement, method: str, path: str, body: list[_payload.Buffer] | None, headers: dict[str, str]
    ) -> tuple[int, str, bytes]:
        """Status, content type without parameters, body."""
        if running.token:
            headers["Authorization"] = f"Bearer {running.token}"
        connection = self._kept.take(running.url)
        try:
            if connection.sock is None:
                connection.connect()
                plain: Any = connection.sock
                plain.settimeout(ANSWER_TIMEOUT_SECONDS)
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            base = urllib.parse.urlsplit(running.url).path
            connection.request(method, base + path, body, headers)
            response = connection.getresponse()
            answer = response.read()
        except ConnectionRefusedError as error:
            connection.close()
            raise _errors.NotRunningError(
                f"nothing listens at {running.url} ({running.source}); start the project with `flash run`"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            # Not sent again: the call may have been made.
            connection.close()
            raise _errors.TransportError(
                f"the call to {running.url}{path} failed: {type(error).__name__}: {error}"
            ) from error
        except BaseException:
            connection.close()
            raise
        self._kept.give_back(running.url, connection)
        content_type = (response.getheader("content-type") or "").partition(";")[0].strip().lower()
        return response.status, content_type, answer


class _KeptConnections:
    """Idle connections, the last used first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[tuple[str, http.client.HTTPConnection]] = []

    def take(self, url: str) -> http.client.HTTPConnection:
        """A connection to `url` that looks alive, or a new one that is not connected yet."""
        while True:
            with self._lock:
                kept = self._idle.pop() if self._idle else None
            if kept is None:
                break
            if kept[0] == url and not _has_ended(kept[1]):
                return kept[1]
            kept[1].close()
        address = urllib.parse.urlsplit(url)
        kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
        return kind(address.hostname or "", address.port, timeout=CONNECT_TIMEOUT_SECONDS)

    def give_back(self, url: str, connection: http.client.HTTPConnection) -> None:
        if connection.sock is None:
            return  # the server asked to end it
        with self._lock:
            if len(self._idle) < IDLE_CONNECTIONS_MAX:
                self._idle.append((url, connection))
                return
        connection.close()

    def close(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()


def _has_ended(connection: http.client.HTTPConnection) -> bool:
    """An idle connection has nothing to read but its end."""
    poll = select.poll()
    poll.register(connection.sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _problem(running: Announcement, status: int, content_type: str, answer: bytes) -> _errors.CallError:
    """The exception for an answer that is not a result."""
    document: Any = None
    if content_type.endswith("json"):
        try:
            document = json.loads(answer)
        except ValueError:
            pass
    if not isinstance(document, dict) or "code" not in document:
        text = answer[:200].decode("utf-8", "replace").strip()
        return _errors.CallError(
            f"{running.url} answered {status} ({content_type or 'no content type'}), "
            f"which is not an answer of a mothership: {text}",
            status=status,
        )
    return _errors.from_answer(
        str(document["code"]),
        status,
        str(document.get("detail") or document.get("title") or "the call failed"),
        hint=document.get("hint"),
        exception=document.get("exception"),
    )
