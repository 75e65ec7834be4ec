"""How calls leave this process: the seam between `@remote` and whatever carries them."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import urllib.parse
from typing import Any, Protocol

from tetra_rp import _errors, _payload
from tetra_rp._running import Announcement, find_running

PICKLE_CONTENT_TYPE = "application/vnd.flash.pickle"
CALL_PATH = "/api/v1/call"

CONNECT_TIMEOUT_SECONDS = 5.0
# A first call may wait for a worker to start and load a model; the endpoint's own limits end a call sooner.
ANSWER_TIMEOUT_SECONDS = 3600.0


class Transport(Protocol):
    """Carries a call to the function's endpoint and back."""

    async def call(self, function: str, argument: dict[str, Any]) -> Any:
        """The remote function's result.

        `argument` is `{"args": tuple, "kwargs": dict}` and for classes also `{"method", "constructor_args",
        "constructor_kwargs"}`. Raises `FlashError`.
        """


class HttpTransport:
    """Calls through the project's running mothership, `POST {url}/api/v1/call/{function}`.

    The mothership is looked for at each call, so a script survives its restart. Connections are kept per thread.
    """

    def __init__(self) -> None:
        self._kept = threading.local()

    async def call(self, function: str, argument: dict[str, Any]) -> Any:
        return await asyncio.to_thread(self._call, function, argument)

    def _call(self, function: str, argument: dict[str, Any]) -> Any:
        running = find_running()
        try:
            body = _payload.dump_bytes(argument)
        except Exception as error:
            raise _errors.SerializationError(
                f"the arguments of {function} cannot be pickled: {error}", code="FL306"
            ) from error
        path = f"{CALL_PATH}/{urllib.parse.quote(function, safe='')}"
        headers = {"Content-Type": PICKLE_CONTENT_TYPE, "Accept": PICKLE_CONTENT_TYPE}
        if running.token:
            headers["Authorization"] = f"Bearer {running.token}"
        status, content_type, answer = self._exchange(running, path, body, headers)
        if status == 200 and content_type == PICKLE_CONTENT_TYPE:
            try:
                return _payload.load(answer)
            except Exception as error:
                raise _errors.SerializationError(
                    f"the result of {function} cannot be unpickled here: {type(error).__name__}: {error}", code="FL306"
                ) from error
        raise _problem(running, status, content_type, answer)

    def _exchange(
        self, running: Announcement, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, str, bytes]:
        """Status, content type without parameters, body."""
        connection, fresh = self._connection(running)
        try:
            try:
                return _post(connection, running, path, body, headers)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                connection.close()
                if fresh:
                    raise
                # The server closed a kept connection between two calls. Only a connection that has been used is
                # tried again: on it, the end came before any byte of an answer.
                return _post(connection, running, path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            if isinstance(error, ConnectionRefusedError):
                raise _errors.NotRunningError(
                    f"nothing listens at {running.url} ({running.source}); start the project with `flash run`"
                ) from error
            raise _errors.TransportError(
                f"the call to {running.url}{path} failed: {type(error).__name__}: {error}"
            ) from error

    def _connection(self, running: Announcement) -> tuple[http.client.HTTPConnection, bool]:
        """This thread's connection to the mothership, and whether it is new."""
        kept = getattr(self._kept, "connection", None)
        if kept is not None and self._kept.url == running.url and kept.sock is not None:
            return kept, False
        address = urllib.parse.urlsplit(running.url)
        kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
        connection = kind(address.hostname or "", address.port, timeout=CONNECT_TIMEOUT_SECONDS)
        if kept is not None:
            kept.close()
        self._kept.connection, self._kept.url = connection, running.url
        return connection, True


def _post(
    connection: http.client.HTTPConnection, running: Announcement, path: str, body: bytes, headers: dict[str, str]
) -> tuple[int, str, bytes]:
    if connection.sock is None:
        connection.connect()
        connection.sock.settimeout(ANSWER_TIMEOUT_SECONDS)
    base = urllib.parse.urlsplit(running.url).path.rstrip("/")
    connection.request("POST", base + path, body, headers)
    response = connection.getresponse()
    content_type = (response.getheader("content-type") or "").partition(";")[0].strip().lower()
    return response.status, content_type, response.read()


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


def fetch_manifest() -> dict[str, Any]:
    """What `GET /manifest` of the running mothership answers. Raises `FlashError`."""
    running = find_running()
    address = urllib.parse.urlsplit(running.url)
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    connection = kind(address.hostname or "", address.port, timeout=CONNECT_TIMEOUT_SECONDS)
    headers = {"Authorization": f"Bearer {running.token}"} if running.token else {}
    try:
        connection.request("GET", f"{address.path.rstrip('/')}/manifest", headers=headers)
        response = connection.getresponse()
        content_type = (response.getheader("content-type") or "").partition(";")[0].strip().lower()
        answer = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise _errors.NotRunningError(f"{running.url} ({running.source}) does not answer: {error}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise _problem(running, response.status, content_type, answer)
    document = json.loads(answer)
    if not isinstance(document, dict):
        raise _errors.CallError(f"{running.url}/manifest is not a JSON object", status=response.status)
    return document
